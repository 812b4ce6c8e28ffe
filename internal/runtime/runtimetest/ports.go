package runtimetest

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// listen answers each connection with what follows it on the command line.
const listen = `exec perl -MIO::Socket::INET -e '$| = 1; my $s = IO::Socket::INET->new(LocalAddr => "0.0.0.0", LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) or die "cannot listen: $!\n"; print "listening\n"; while (my $c = $s->accept) { print $c "well\n"; close $c }'`

func ports(t *testing.T, m Machine) {
	h, _ := open(t, m)
	first, second := h.spec(listen), h.spec(listen)
	first.Spec.Port, second.Spec.Port = true, true
	one, two := h.start(first), h.start(second)
	if one.Address == "" || one.Address == two.Address {
		t.Fatalf("the addresses are %q and %q", one.Address, two.Address)
	}
	checker, shared := h.r.(runtime.PortChecker)
	for _, running := range []runtime.Running{one, two} {
		h.printed(running, "listening")
		connection, err := net.Dial("tcp", running.Address)
		if err != nil {
			t.Fatalf("it cannot be reached: %v", err)
		}
		connection.Close()
		if shared {
			if err := checker.CheckPort(running.Spec.ID); err != nil {
				t.Errorf("CheckPort: %v", err)
			}
		}
	}
	h.stop(first.ID, patience)
	h.exit(first.ID)
	if again := h.start(first); again.Address != one.Address {
		t.Errorf("after a restart the address is %s, it was %s", again.Address, one.Address)
	}
}

func portTaken(t *testing.T, m Machine) {
	h, _ := open(t, m)
	checker, ok := h.r.(runtime.PortChecker)
	if !ok {
		t.Skip("its instances do not share the machine's ports")
	}
	s := h.spec("echo started; exec sleep 1000")
	s.Spec.Port = true
	running := h.start(s)
	h.printed(running, "started")
	if err := checker.CheckPort(s.ID); err == nil || !strings.Contains(err.Error(), "nothing listens") {
		t.Errorf("CheckPort while nobody listens: %v", err)
	}
	thief, err := net.Listen("tcp", running.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	if err := checker.CheckPort(s.ID); err == nil || !strings.Contains(err.Error(), "user") {
		t.Errorf("CheckPort while another process listens: %v, want its name", err)
	}
	h.stop(s.ID, 0)
	h.exit(s.ID)
	if again := h.start(s); again.Address == running.Address {
		t.Errorf("it was given %s, where somebody else listens", again.Address)
	}
	if err := checker.CheckPort("nobody-web-1"); err == nil {
		t.Error("CheckPort of an unknown instance is nil")
	}
}

func isolation(t *testing.T, m Machine) {
	h, _ := open(t, m)
	neighbour := h.spec(`echo secret_file | tr _ - > mine; chmod 644 mine; cp mine "$TMPDIR/mine"; echo ready; exec -a neighbour-marker sleep 1000`)
	neighbour.Spec.Env["SECRET"] = "secret-value"
	running := h.start(neighbour)
	h.printed(running, "ready")
	if running.Isolation == platform.IsolationNone {
		t.Skip("this machine gives no isolation, and says so")
	}
	curious := spec("curious", h.image, strings.Join([]string{
		`cat ` + h.Hidden, `cat ` + running.Output, `ls /root /home`,
		`cat /proc/[0-9]*/environ`, `cat /proc/[0-9]*/cmdline | tr '\0' ' '`,
		`cat /tmp/mine /app/mine`, `cat ` + filepath.Dir(running.Output) + `/*/mine`, `grep -rs secret.file ` + filepath.Dir(h.Hidden) + ` /app`, `kill -9 -1`, `true`,
	}, " 2>&1; "))
	curious.Spec.Env["OWN"] = "own"
	out, _ := h.run(curious)
	secrets := []string{"secret-file", "secret-value", "the platform's own"}
	if running.Isolation != platform.IsolationUser { // a uid alone hides no command line
		secrets = append(secrets, "neighbour-marker")
	}
	for _, secret := range secrets {
		if strings.Contains(out, secret) {
			t.Errorf("an app could read %q of others: %q", secret, out)
		}
	}
	h.noExit()
}
