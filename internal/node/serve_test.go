package node_test

import (
	"bytes"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestADeployServesAndItsOutputIsLogged(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.deploy("blog", 1, w.spec("one", "exec ./server"), 2)
	w.says("blog", "one")
	w.said("blog", func(line string) bool { return line == "listening" })

	begun := time.Now()
	w.deploy("blog", 2, w.spec("two", "exec ./server"), 2)
	t.Logf("the second deploy took %s", time.Since(begun))
	w.says("blog", "two")
	w.await("blog", "the old instances to go", func(all []platform.Instance) []platform.Instance {
		if len(all) == 2 && all[0].Release == 2 && all[1].Release == 2 {
			return all
		}
		return nil
	})
	w.said("blog", func(line string) bool { return line == "terminating" })
	if report, ok := w.fleet.Cutover("blog", w.cutover); !ok || report.From != 1 || report.To != 2 {
		t.Errorf("Cutover = %+v, %v", report, ok)
	}
}

func TestAPathIsLedToAnotherProcessType(t *testing.T) {
	w := newWorld(t)
	w.node()
	web := platform.Group{Release: 1, Process: "web", Quantity: 1, Spec: w.spec("web", "exec ./server")}
	admin := platform.Group{Release: 1, Process: "admin", Quantity: 1, Spec: w.spec("admin", "exec ./server")}
	w.apply("blog", web, admin)
	route := &platform.Route{
		App: "blog", Hosts: []string{"blog.localhost"}, Release: 1, Cutover: 1,
		Paths: []platform.PathRoute{{Process: "admin", Patterns: []string{"/admin"}}},
	}
	for _, i := range w.up("blog", 1, 2) {
		backend := platform.Backend{Instance: i.ID}
		if i.Process == "admin" {
			backend.Process = "admin"
		}
		if i.Address == "" {
			t.Errorf("it has no address: %+v", i)
		}
		route.Backends = append(route.Backends, backend)
	}
	version, err := w.fleet.SetRoute("blog", route)
	if err != nil {
		t.Fatal(err)
	}
	w.acked(version)
	for path, want := range map[string]string{"/": "web ", "/admin": "admin ", "/admin/users": "admin "} {
		if body := w.mustGet("blog", path); !strings.HasPrefix(body, want) {
			t.Errorf("%s is answered by %q, want %q", path, body, want)
		}
	}
}

func TestAnInstanceOutlivesItsNodeAndTheControlPlane(t *testing.T) {
	w := newWorld(t)
	first := w.node()
	w.deploy("blog", 1, w.spec("one", "exec ./server"), 1)
	id := w.mustGet("blog", "/id")

	first.kill()
	w.node()
	if again := w.mustGet("blog", "/id"); again != id {
		t.Error("another instance answers after the node's restart")
	}
	w.crash()
	if again := w.mustGet("blog", "/id"); again != id {
		t.Error("another instance answers without a control plane")
	}
	w.begin()
	if err := w.fleet.WaitSynced(t.Context()); err != nil {
		t.Fatal(err)
	}
	up := w.up("blog", 1, 1)
	if up[0].Restarts != 0 {
		t.Errorf("it was restarted: %+v", up[0])
	}
	w.acked(w.version("blog"))
}

func (w *world) version(app string) int64 {
	w.Helper()
	specs, doomed := w.fleet.Wanted(app)
	version, err := w.fleet.SetInstances(app, specs, doomed...) // changes nothing
	if err != nil {
		w.Fatal(err)
	}
	return version
}

func TestAfterAPowerCutItServesWithoutTheControlPlane(t *testing.T) {
	w := newWorld(t)
	first := w.node()
	w.deploy("blog", 1, w.spec("one", "exec ./server"), 1)
	before := w.mustGet("blog", "/id")
	w.crash()
	first.kill()
	w.killInstances()

	w.node()
	deadline := time.Now().Add(patience)
	for status := 0; status != http.StatusOK; {
		if status, _ = w.get("blog", "/"); time.Now().After(deadline) {
			t.Fatal("it does not serve again")
		}
	}
	if w.mustGet("blog", "/id") == before {
		t.Error("the instance was not killed; the test proves nothing")
	}
	w.begin()
}

func TestACrashIsRestartedAndItsLogSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.deploy("blog", 1, w.spec("one", "exec ./server"), 1)
	before := w.mustGet("blog", "/id")
	w.ask(http.MethodPost, "blog", "/exit") // which is not sent twice
	w.await("blog", "a restart", func(all []platform.Instance) []platform.Instance {
		if len(all) == 1 && all[0].Restarts == 1 && all[0].State == platform.InstanceUp {
			return all
		}
		return nil
	})
	if w.mustGet("blog", "/id") == before {
		t.Error("the same process answers")
	}
	w.said("blog", func(line string) bool {
		return strings.HasPrefix(line, "web.") && strings.Contains(line, "exited with code 3, restarting in 0.1 s (1st time)")
	})
}

func TestOneThatCrashesAgainAndAgainIsSaidToLoop(t *testing.T) {
	w := newWorld(t)
	w.node()
	spec := w.spec("one", "echo no database; exit 4")
	spec.Port = false
	w.apply("blog", platform.Group{Release: 1, Process: "worker", Quantity: 1, Spec: spec})
	seen := w.await("blog", "a crash loop", func(all []platform.Instance) []platform.Instance {
		if len(all) == 1 && all[0].CrashLoop && all[0].State == platform.InstanceCrashed { // and not started once more
			return all
		}
		return nil
	})
	if i := seen[0]; !strings.Contains(i.Message, "exited with code 4: no database") {
		t.Errorf("it is seen as %+v", i)
	}
}

func TestOneThatNeverListensIsToldAboutPORT(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.apply("blog", platform.Group{Release: 1, Process: "web", Quantity: 1, Spec: w.spec("one", "exec sleep 1000")})
	seen := w.await("blog", "a message", func(all []platform.Instance) []platform.Instance {
		if len(all) == 1 && all[0].Message != "" {
			return all
		}
		return nil
	})
	if i := seen[0]; i.State != platform.InstanceStarting || !strings.Contains(i.Message, "PORT") {
		t.Errorf("it is seen as %+v", i)
	}
}

func TestOneThatFallsSickIsStartedAnew(t *testing.T) {
	w := newWorld(t)
	w.node()
	spec := w.spec("one", "exec ./server")
	spec.Readiness = &platform.Probe{HTTPGet: &platform.HTTPGet{Path: "/health"}, PeriodSeconds: 1, TimeoutSeconds: 60}
	spec.Liveness = &platform.Probe{HTTPGet: &platform.HTTPGet{Path: "/health"}, PeriodSeconds: 1, TimeoutSeconds: 60, FailureThreshold: 1}
	w.deploy("blog", 1, spec, 1)
	w.mustGet("blog", "/sick")
	w.await("blog", "a restart", func(all []platform.Instance) []platform.Instance {
		if len(all) == 1 && all[0].Restarts == 1 && all[0].State == platform.InstanceUp {
			return all
		}
		return nil
	})
	w.said("blog", func(line string) bool { return strings.Contains(line, "liveness probe failed") })
}

func TestARunIsJoinedWithWhoeverAskedForIt(t *testing.T) {
	w := newWorld(t)
	w.node()
	var out, errs bytes.Buffer
	spec := w.spec("one", "cat; echo to stderr >&2; exit 7")
	spec.Port = false
	run := platform.InstanceSpec{ID: "blog-run-aaaaa", App: "blog", Process: "run", Release: 1, Spec: spec}
	exit, err := w.scheduler.Run(t.Context(), run, platform.IO{
		Stdin: strings.NewReader("through and through"), Stdout: &out, Stderr: &errs,
	})
	if err != nil || exit != 7 || out.String() != "through and through" || errs.String() != "to stderr\n" {
		t.Errorf("Run = %d, %v; it said %q and %q", exit, err, out.String(), errs.String())
	}
}

func TestStopEndsTheInstancesIfAskedTo(t *testing.T) {
	w := newWorld(t)
	p := w.node()
	w.deploy("blog", 1, w.spec("one", "exec ./server"), 1)
	if err := w.tryStop(true); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if pids := w.instancePids(); len(pids) != 0 || p.err != nil {
		t.Errorf("instances left: %v, the node ended with %v", pids, p.err)
	}
	w.node() // and they are back with it
	w.up("blog", 1, 1)
}

func TestSIGTERMLeavesTheInstances(t *testing.T) {
	w := newWorld(t)
	p := w.node()
	w.deploy("blog", 1, w.spec("one", "exec ./server"), 1)
	id := w.mustGet("blog", "/id")
	_ = p.Process.Signal(syscall.SIGTERM)
	<-p.ended
	if p.err != nil {
		t.Errorf("the node ended with %v", p.err)
	}
	w.node()
	if again := w.mustGet("blog", "/id"); again != id {
		t.Error("another instance answers")
	}
}
