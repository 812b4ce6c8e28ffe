package node_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// worker is a group of one without an address.
func (w *world) worker(release int, command string, set func(*platform.Spec)) platform.Group {
	spec := w.spec("one", command)
	spec.Port = false
	if set != nil {
		set(&spec)
	}
	return platform.Group{Release: release, Process: "worker", Quantity: 1, Spec: spec}
}

// inside runs a command line in an instance and returns what it said.
func (w *world) inside(instance, command string) string {
	w.Helper()
	var out bytes.Buffer
	code, err := w.fleet.Exec(w.Context(), "blog", instance, []string{"bash", "-c", command}, platform.IO{Stdout: &out, Stderr: &out})
	if code != 0 || err != nil {
		w.Fatalf("%s exited with %d, %v, and said %q", command, code, err, out.String())
	}
	return out.String()
}

// gate is a door that a command of an app waits at, by the line in wait.
type gate struct {
	net.Listener
	wait string
}

func (w *world) gate() gate {
	w.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { ln.Close() })
	return gate{ln, fmt.Sprintf("exec 3<>/dev/tcp/127.0.0.1/%d && read go <&3", ln.Addr().(*net.TCPAddr).Port)}
}

// path is of a request that waits at the gate.
func (g gate) path() string { return "/?gate=" + g.Addr().String() }

// arrived blocks until somebody waits at the gate.
func (w *world) arrived(g gate) net.Conn {
	w.Helper()
	_ = g.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := g.Accept()
	if err != nil {
		w.Fatalf("nobody came to the gate: %v", err)
	}
	w.Cleanup(func() { conn.Close() })
	return conn
}

func open(conn net.Conn) { fmt.Fprintln(conn, "go"); conn.Close() }

func TestReadinessBeginsAfterThePostStartCommand(t *testing.T) {
	w := newWorld(t)
	w.node()
	g := w.gate()
	group := w.worker(1, "exec sleep 1000", func(s *platform.Spec) {
		s.PostStart = "echo $VERSION >> hooked; " + g.wait + " && echo over >> hooked"
		s.Readiness = &platform.Probe{Exec: &platform.Exec{Command: []string{"sh", "-c", "tail -n 1 hooked >> seen"}}, PeriodSeconds: 1}
	})
	w.apply("blog", group)
	conn := w.arrived(g)
	id := w.await("blog", "an instance", func(all []platform.Instance) []platform.Instance { // it may be told later than it waits
		if len(all) == 0 {
			return nil
		}
		return all
	})[0].ID
	w.inside(id, "test ! -e seen") // some processes later
	open(conn)
	up := w.up("blog", 1, 1)
	if got := w.inside(id, "cat hooked; head -n 1 seen"); got != "one\nover\nover\n" || up[0].Restarts != 0 {
		t.Errorf("inside is %q, seen is %+v", got, up[0])
	}
}

func TestAFailedPostStartCommandIsAFailedStart(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.apply("blog", w.worker(1, "trap 'echo was ended; exit' TERM; while :; do sleep 0.01; done", func(s *platform.Spec) {
		s.PostStart = "echo no such table; exit 3"
	}))
	w.await("blog", "a crash loop", func(all []platform.Instance) []platform.Instance {
		for _, i := range all {
			if i.State == platform.InstanceUp {
				t.Fatalf("it is said to be up: %+v", i)
			}
			if i.CrashLoop && i.State == platform.InstanceCrashed && strings.Contains(i.Message, "post-start command exited with code 3") {
				return all
			}
		}
		return nil
	})
	for _, want := range []string{"post-start: no such table", "is restarted: post-start command exited with code 3", "was ended"} {
		w.said("blog", func(line string) bool { return strings.Contains(line, want) })
	}
}

func TestACrashDuringThePostStartCommandIsSaidToBeACrash(t *testing.T) {
	w := newWorld(t)
	w.node()
	g := w.gate()
	w.apply("blog", w.worker(1, g.wait+"; exit 5", func(s *platform.Spec) { s.PostStart = "sleep 1000" }))
	open(w.arrived(g))
	// It is crashed for a tenth of a second, which no report need say.
	w.said("blog", func(line string) bool {
		return strings.HasPrefix(line, "worker.") && strings.Contains(line, "exited with code 5, restarting")
	})
}

func TestAPreStopCommandRunsBeforeSIGTERM(t *testing.T) {
	w := newWorld(t)
	w.node()
	const command = "trap 'cat before; exit' TERM; echo ready; while :; do sleep 0.01; done"
	w.apply("blog", w.worker(1, command, func(s *platform.Spec) {
		s.PreStop = "sleep 0.2; echo $VERSION said goodbye > before; echo busy; exit 3"
	}))
	w.up("blog", 1, 1)
	w.said("blog", func(line string) bool { return line == "ready" })
	w.apply("blog")
	for _, want := range []string{"pre-stop: busy", "pre-stop command exited with code 3", "one said goodbye"} {
		w.said("blog", func(line string) bool { return strings.HasSuffix(line, want) })
	}
}

func TestAPreStopCommandHasTheGraceAndNoMore(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.apply("blog", w.worker(1, "trap '' TERM; while :; do sleep 0.01; done", func(s *platform.Spec) {
		s.PreStop, s.Grace = "sleep 1000", time.Second
	}))
	w.up("blog", 1, 1)
	w.apply("blog")
	w.await("blog", "its end", func(all []platform.Instance) []platform.Instance {
		if len(all) == 0 {
			return []platform.Instance{}
		}
		return nil
	})
	w.said("blog", func(line string) bool { return strings.HasSuffix(line, "pre-stop command was killed: it ran for 1 s") })
}

func TestAnAdoptedInstanceHasNoSecondPostStart(t *testing.T) {
	w := newWorld(t)
	first := w.node()
	w.apply("blog", w.worker(1, "exec sleep 1000", func(s *platform.Spec) { s.PostStart = "echo hooked >> hooked" }))
	id := w.up("blog", 1, 1)[0].ID
	first.kill()
	second := w.node()
	w.node() // takes over
	<-second.ended
	if up := w.up("blog", 1, 1)[0]; up.ID != id || up.Restarts != 0 {
		t.Errorf("it became %+v", up)
	}
	if got := w.inside(id, "cat hooked"); got != "hooked\n" {
		t.Errorf("its post-start command left %q", got)
	}
}

func TestAPostStartThatWasCutOffIsAFailedStart(t *testing.T) {
	w := newWorld(t)
	g := w.gate()
	first := w.node()
	w.apply("blog", w.worker(1, "exec sleep 1000", func(s *platform.Spec) { s.PostStart = "echo hooked >> hooked; " + g.wait }))
	w.arrived(g)
	first.kill()
	second := w.node()
	conn := w.arrived(g) // beside a fresh copy
	w.node()             // takes over in the middle
	<-second.ended
	conn.Close()
	open(w.arrived(g))
	up := w.up("blog", 1, 1)[0]
	if up.Restarts == 0 {
		t.Errorf("it became %+v", up)
	}
	if got := w.inside(up.ID, "cat hooked"); got != "hooked\n" {
		t.Errorf("its post-start command left %q", got)
	}
	w.said("blog", func(line string) bool { return strings.Contains(line, "post-start command was interrupted") })
}

func TestAPreStopThatWasCutOffIsRunAgainAndOneThatEndedIsNot(t *testing.T) {
	w := newWorld(t)
	begun, ended := w.gate(), w.gate()
	first := w.node()
	// The pre-stop command waits at the one gate, the process's own end at the other.
	w.apply("blog", w.worker(1, "trap 'trap \"\" TERM; "+ended.wait+"; exit' TERM; echo ready; while :; do sleep 0.01; done", func(s *platform.Spec) {
		s.PreStop, s.Grace = begun.wait, time.Minute
	}))
	w.up("blog", 1, 1)
	w.said("blog", func(line string) bool { return line == "ready" })
	w.apply("blog")
	w.arrived(begun)
	first.kill()
	second := w.node()
	open(w.arrived(begun))
	conn := w.arrived(ended)
	second.kill()
	w.node()
	open(conn)
	w.await("blog", "its end", func(all []platform.Instance) []platform.Instance {
		if len(all) == 0 {
			return []platform.Instance{}
		}
		return nil
	})
	_ = begun.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(50 * time.Millisecond)) // who came is in the queue
	if _, err := begun.Accept(); err == nil {
		t.Error("the pre-stop command ran again though it had ended")
	}
}
