package dockerfile

import (
	"os"
	"os/exec"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Check reports whether Dockerfile builds work on this machine: nil, or what
// is missing and how to get it.
func Check() *platform.UserError {
	missing := func(what, cure string) *platform.UserError {
		return &platform.UserError{Kind: platform.ErrUnavailable, Message: "Dockerfile builds do not work on this machine: " + what, Cure: cure}
	}
	if os.Geteuid() != 0 {
		return missing("slipway does not run as root", "Run slipway serve as root, or push a tree that a buildpack builds.")
	}
	for _, program := range []struct{ name, debian string }{{"runc", "runc"}, {"iptables", "iptables"}} {
		if _, err := lookPath(program.name); err != nil {
			return missing(program.name+" is not installed", "apt-get install "+program.debian)
		}
	}
	if err := os.WriteFile(forwarding, []byte(readForwarding()), 0o644); err != nil {
		return missing("its network cannot be changed ("+err.Error()+")", "Run slipway serve where it has CAP_NET_ADMIN and /proc/sys is writable.")
	}
	return nil
}

// lookPath finds a program of the system's also where PATH lacks sbin.
func lookPath(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/" + name)
}
