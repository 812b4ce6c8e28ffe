package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/slipway-paas/slipway/internal/platform"
)

// listen opens a TCP door, one of plain TCP as main.go says; when the port is taken it says by whom, as far as
// this user may see.
func listen(option, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &platform.UserError{Kind: platform.ErrConflict, Message: fmt.Sprintf(
			"%s %s is taken%s: stop that, or choose another address with %s", option, address, portHolder(address), option)}
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s %s needs root, or a port above 1023", option, address)
	}
	return listener, named(option, err)
}

// listenUnix opens a socket for this user only, in place of a stale one. The
// state directory's lock has made sure that nobody answers there.
func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !isMissing(err) {
		return nil, err
	}
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}

// portHolder is " by nginx (pid 12)", or nothing when it cannot be seen.
func portHolder(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	inodes := listeningInodes(port)
	if len(inodes) == 0 {
		return ""
	}
	descriptors, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well formed
	for _, descriptor := range descriptors {
		target, err := os.Readlink(descriptor)
		if err != nil || !inodes[target] {
			continue
		}
		pid := strings.Split(descriptor, "/")[2]
		name, _ := os.ReadFile("/proc/" + pid + "/comm") // only for the message
		return fmt.Sprintf(" by %s (pid %s)", strings.TrimSpace(string(name)), pid)
	}
	return ""
}

// listeningInodes are the sockets that listen on a TCP port, as /proc/<pid>/fd
// names them.
func listeningInodes(port string) map[string]bool {
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		return nil
	}
	suffix, listening := fmt.Sprintf(":%04X", number), "0A"
	inodes := make(map[string]bool)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 9 && strings.HasSuffix(f[1], suffix) && f[3] == listening {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	return inodes
}
