package containerd_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/vishvananda/netlink"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime/containerd"
)

// ward is a world with a runtime that is in use.
type ward struct {
	world
	*containerd.Runtime
}

func newWard(t *testing.T) ward {
	w := newWorld(t)
	r := w.open(t)
	if _, err := r.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	return ward{w, r}
}

var count atomic.Int64

func spec(image string, argv ...string) platform.InstanceSpec {
	return platform.InstanceSpec{
		ID: fmt.Sprintf("blog-web-%010d-abcde", count.Add(1)), App: "blog", Process: "web", Release: 1,
		Spec: platform.Spec{Image: image, Entrypoint: argv, Env: map[string]string{}, Grace: time.Second},
	}
}

// sh is an instance of an image that runs a command line.
func sh(image, line string) platform.InstanceSpec { return spec(image, "/bin/sh", "-c", line) }

// run runs a spec to its end and returns what it printed.
func (w ward) run(t *testing.T, s platform.InstanceSpec) (string, int) {
	t.Helper()
	var out bytes.Buffer
	code, err := w.Run(t.Context(), s, platform.IO{Stdout: &out, Merged: true})
	if err != nil {
		t.Fatalf("Run: %v (printed %q)", err, out.String())
	}
	return out.String(), code
}

// start starts a spec and returns once it has printed text.
func (w ward) start(t *testing.T, s platform.InstanceSpec, text string) string {
	t.Helper()
	running, err := w.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Stop(context.Background(), s.ID, 0) })
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if out, _ := os.ReadFile(running.Output); strings.Contains(string(out), text) {
			return running.Address
		} else if time.Now().After(deadline) {
			t.Fatalf("it printed %q, want %q", out, text)
		}
	}
}

func wants(t *testing.T, what, out string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(out, part) {
			t.Errorf("%s: %q is not in %q", what, part, out)
		}
	}
}

func TestAnImageIsRunAsItSays(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	image := push(t, w.host, v1.Config{
		Entrypoint: []string{"/bin/echo", "from", "entrypoint"}, Cmd: []string{"and", "cmd"},
		Env: []string{"COLOR=blue", "SHAPE=round"}, WorkingDir: "/srv", User: "www-data",
	}, debian(t))
	own := spec(image)
	own.Spec.Entrypoint = nil
	out, _ := w.run(t, own)
	wants(t, "ENTRYPOINT and CMD", out, "from entrypoint and cmd\n")
	args := own
	args.ID, args.Spec.Args = spec(image).ID, []string{"other"}
	out, _ = w.run(t, args)
	wants(t, "arguments of ours", out, "from entrypoint other\n")

	s := sh(image, `id -un; pwd; echo "$COLOR $SHAPE $HOME $PORT $PORT_7777"; grep -c . /etc/hosts /etc/resolv.conf`)
	s.Spec.Env["COLOR"], s.Spec.Port, s.Spec.Listen, s.Spec.Ports = "green", true, 8080, []int{7777}
	out, _ = w.run(t, s)
	wants(t, "USER, WORKDIR and ENV", out, "www-data\n/srv\ngreen round /var/www 8080 7777\n")

	s = sh(image, "")
	s.Spec.Entrypoint, s.Spec.Args = []string{"/bin/bash", "-c"}, []string{"echo $0"}
	out, _ = w.run(t, s)
	wants(t, "a shell", out, "/bin/bash\n")
}

func TestAnImageWithoutBashHasShAndOneWithoutShellIsToldSo(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	line := func(image string) platform.InstanceSpec {
		s := spec(image, "/bin/bash", "-c")
		s.Spec.Args = []string{"echo $0"}
		return s
	}
	removed := layer(t, 0, file("usr/bin/.wh.bash", ""))
	out, _ := w.run(t, line(push(t, w.host, v1.Config{}, debian(t), removed)))
	wants(t, "without bash", out, "/bin/sh\n")

	bare := push(t, w.host, v1.Config{Entrypoint: []string{"/none"}}, layer(t, 0, file("hello", "no program")))
	for what, s := range map[string]platform.InstanceSpec{
		"the image has no shell": line(bare), "no program /none": {ID: spec(bare).ID, App: "blog", Spec: platform.Spec{Image: bare}},
	} {
		_, err := w.Start(t.Context(), s)
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("Start: %v, want %q", err, what)
		}
	}
	empty := push(t, w.host, v1.Config{}, layer(t, 0, file("hello", "")))
	if _, err := w.Start(t.Context(), platform.InstanceSpec{ID: spec(empty).ID, App: "blog", Spec: platform.Spec{Image: empty}}); err == nil || !strings.Contains(err.Error(), "neither ENTRYPOINT nor CMD") {
		t.Errorf("Start of an image that says nothing: %v", err)
	}
}

// listens prints once it listens at HOST:PORT.
const listens = `exec perl -MIO::Socket::INET -e '$| = 1; my $s = IO::Socket::INET->new(LocalAddr => $ARGV[0], LocalPort => $ENV{PORT}, Listen => 5) or die; print "listening\n"; while (my $c = $s->accept) { print $c "well\n"; close $c }' `

// reach says what becomes of a connection.
const reach = `reach() { perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1], Timeout => 1) ? "reached" : "refused", " $ARGV[0]\n"' $1 $2; }; `

func TestInstancesReachNeitherEachOtherNorTheMachine(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	image := push(t, w.host, v1.Config{}, debian(t))
	one := sh(image, listens+"0.0.0.0")
	one.Spec.Port = true
	address := w.start(t, one, "listening")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatalf("the machine does not reach an instance: %v", err)
	}
	conn.Close()
	host, port, _ := net.SplitHostPort(address)

	// A service of the machine on every address, as a database might be.
	service, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	_, servicePort, _ := net.SplitHostPort(service.Addr().String())
	script := reach + fmt.Sprintf("reach %s %s; reach 127.0.0.1 %s", host, port, servicePort)
	addresses, _ := net.InterfaceAddrs()
	var machine []string
	for _, a := range addresses {
		if ip, _, _ := net.ParseCIDR(a.String()); ip.To4() != nil && !ip.IsLoopback() {
			machine = append(machine, ip.String())
			script += fmt.Sprintf("; reach %s %s", ip, servicePort)
		}
	}
	if len(machine) == 0 {
		t.Fatal("the machine has no address, not even on the bridge")
	}
	out, _ := w.run(t, sh(image, script))
	if strings.Contains(out, "reached") || strings.Count(out, "refused") != len(machine)+2 {
		t.Errorf("an instance says %q", out)
	}
	// What leads nowhere above leads somewhere from here: the test can fail.
	if conn, err := net.Dial("tcp", net.JoinHostPort(machine[0], servicePort)); err != nil {
		t.Errorf("the service is not there at all: %v", err)
	} else {
		conn.Close()
	}
	out, _ = w.run(t, sh(image, `perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1); print IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $s->sockport) ? "loopback works\n" : "no loopback: $!\n"'; cat /proc/net/if_inet6 2>/dev/null | wc -l`))
	wants(t, "inside", out, "loopback works", "0\n")
}

func TestAnAnswerArrivesThatThePacketFilterTakesForAStrangers(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	image := push(t, w.host, v1.Config{}, debian(t))
	late := sh(image, `exec perl -MIO::Socket::INET -e '$| = 1; my $s = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 5) or die; print "listening\n"; my $first = $s->accept; my $second = $s->accept; print $first "well\n"'`)
	late.Spec.Port = true
	address := w.start(t, late, "listening")
	first, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	to := first.RemoteAddr().(*net.TCPAddr).IP
	var filter netlink.ConntrackFilter
	if err := filter.AddIP(netlink.ConntrackOrigDstIP, to); err != nil {
		t.Fatal(err)
	}
	forgotten, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, netlink.FAMILY_V4, &filter)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skipf("this kernel does not let conntrack forget: %v", err)
	}
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) || forgotten == 0 {
		t.Fatalf("%d connections were forgotten: %v", forgotten, err)
	}
	second, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	_ = first.SetReadDeadline(time.Now().Add(5 * time.Minute))
	if text, err := io.ReadAll(first); string(text) != "well\n" {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestTheMachineIsWhereItWasForInstancesWhenOthersComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	_, bridge, _ := w.Names()
	at := func() string {
		link, err := netlink.LinkByName(bridge)
		if err != nil {
			t.Fatal(err)
		}
		return link.Attrs().HardwareAddr.String()
	}
	image := push(t, w.host, v1.Config{}, debian(t))
	s := sh(image, "echo here; exec sleep 1000")
	w.start(t, s, "here")
	with := at()
	if err := w.Stop(t.Context(), s.ID, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the device of an instance stays", func() bool { return ports(t, bridge) == 0 })
	if without := at(); without != with {
		t.Errorf("it was at %s, and is at %s", with, without)
	}
}

// ports is how many devices a bridge leads to.
func ports(t *testing.T, bridge string) (n int) {
	t.Helper()
	links, err := platform.Uninterrupted(netlink.LinkList)
	if err != nil {
		t.Fatal(err)
	}
	master, err := netlink.LinkByName(bridge)
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if link.Attrs().MasterIndex == master.Attrs().Index {
			n++
		}
	}
	return n
}

func TestWhoListensOnLoopbackAloneIsToldSo(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	image := push(t, w.host, v1.Config{}, debian(t))
	deaf := sh(image, listens+"127.0.0.1")
	deaf.Spec.Port = true
	w.start(t, deaf, "listening")
	if err := w.ExplainPort(deaf.ID, 0); err == nil || !strings.Contains(err.Error(), "127.0.0.1 only") || !strings.Contains(err.Error(), "0.0.0.0") {
		t.Errorf("ExplainPort: %v", err)
	}
	if err := w.ExplainPort(deaf.ID, 1234); err != nil {
		t.Errorf("ExplainPort of a port nobody has: %v", err)
	}
}

func TestAContainerHasNoPrivileges(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	setuid := layer(t, 0, tar.Header{Name: "usr/bin/rooted", Mode: 0o4755, Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SLIPWAY.content": "#!/bin/sh\nid -u\n"}})
	image := push(t, w.host, v1.Config{User: "1234:1234"}, debian(t), setuid)
	out, _ := w.run(t, sh(image, `grep -E 'NoNewPrivs|CapEff|Seccomp:' /proc/self/status; cp /bin/cat /tmp/x; id -u; su -c id 2>&1; mount -t tmpfs x /mnt 2>&1; echo > /proc/sys/kernel/hostname; true`))
	wants(t, "as a user", out, "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "1234\n")
	if strings.Contains(out, "uid=0") {
		t.Errorf("su made it root: %q", out)
	}
	root := push(t, w.host, v1.Config{}, debian(t))
	out, _ = w.run(t, sh(root, `id -u; grep CapEff /proc/self/status; mount -t tmpfs x /mnt 2>&1; hostname x 2>&1; unshare -m true 2>&1; mknod /tmp/d b 8 0 2>&1 && cat /tmp/d 2>&1; cat /proc/kcore 2>&1 | head -c 10; chown 7 /tmp && echo may chown`))
	// Docker's without raw sockets: 00000000a80405fb less NET_RAW (1<<13).
	wants(t, "as root", out, "0\n", "CapEff:", "may chown", "ermitted")
	if strings.Contains(out, "a80425fb") {
		t.Errorf("root may open raw sockets: %q", out)
	}
}

func TestAReadOnlyFileSystemHasTmpAndVolumes(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	s := sh(push(t, w.host, v1.Config{}, debian(t)), `touch /x; touch /tmp/x && echo tmp; touch /data/x && echo volume`)
	s.Spec.ReadOnly, s.Spec.Mounts = true, []platform.Mount{{App: "u-1", Volume: "data", Path: "/data"}}
	out, _ := w.run(t, s)
	wants(t, "read-only", out, "Read-only file system", "tmp\n", "volume\n")
}

func TestLayersStayInTheImage(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	hidden := w.dir + "/hidden"
	if err := os.WriteFile(hidden, []byte("the platform's own"), 0o644); err != nil {
		t.Fatal(err)
	}
	below := layer(t, 0, folder("old"), file("old/gone", "1"), file("old/stays", "1"), folder("emptied"), file("emptied/gone", "1"))
	above := layer(t, 0, file("old/.wh.gone", ""), file("emptied/.wh..wh..opq", ""), file("emptied/fresh", "1"),
		tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("../", 30) + w.dir},
		file("out/hidden", "overwritten"), file("../../../../../../../.."+hidden, "overwritten"))
	image := push(t, w.host, v1.Config{}, debian(t), below, above)
	if out, err := w.Run(t.Context(), sh(image, "ls /old /emptied"), platform.IO{}); err != nil {
		t.Logf("the image is refused: %v, %v", out, err)
	} else if out, _ := w.run(t, sh(image, "ls /old /emptied; true")); strings.Contains(out, "gone") || !strings.Contains(out, "stays") || !strings.Contains(out, "fresh") {
		t.Errorf("whiteouts: %q", out)
	}
	climbing := push(t, w.host, v1.Config{}, debian(t), layer(t, 0, tar.Header{Name: "taken", Typeflag: tar.TypeLink, Linkname: "../../../../../../../.." + hidden}))
	var out bytes.Buffer
	_, err := w.Run(t.Context(), sh(climbing, "cat /taken"), platform.IO{Stdout: &out, Stderr: &out})
	if strings.Contains(out.String(), "platform's own") {
		t.Errorf("a hard link led out of the image: %q, %v", out.String(), err)
	}
	if text, _ := os.ReadFile(hidden); string(text) != "the platform's own" {
		t.Errorf("a layer wrote outside of its image: %q", text)
	}
}

func TestAnImageForAnotherMachineIsRefusedInWords(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	image := pushFor(t, w.host, "s390x", v1.Config{}, layer(t, 0, file("hello", "")))
	_, err := w.Start(t.Context(), sh(image, "true"))
	if err == nil || !strings.Contains(err.Error(), "not for this machine") || !strings.Contains(err.Error(), image) {
		t.Errorf("Start: %v", err)
	}
}

func TestSignalsFollowTheImage(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	image := push(t, w.host, v1.Config{StopSignal: "SIGUSR1"}, debian(t))
	for line, want := range map[string]int{
		`trap "echo told; exit 9" USR1; echo ready; while :; do sleep 0.05; done`: 9,
		// Nobody hears it: what it does by default is done.
		`echo ready; exec sleep 1000`: 138,
	} {
		s := sh(image, line)
		w.start(t, s, "ready")
		if err := w.Stop(t.Context(), s.ID, 5*time.Minute); err != nil {
			t.Fatal(err)
		}
		for exit := range w.Watch(t.Context()) {
			if exit.ID != s.ID || exit.Code != want {
				t.Errorf("%q ended as %+v, want code %d", line, exit, want)
			}
			break
		}
	}
}
