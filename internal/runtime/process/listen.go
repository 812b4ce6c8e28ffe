package process

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// CheckPort implements runtime.PortChecker.
func (r *Runtime) CheckPort(id string) error {
	r.mu.Lock()
	i := r.live[id]
	r.mu.Unlock()
	if i == nil || !isClosed(i.started) || i.confined == nil {
		return &platform.NotFoundError{Kind: "Instance", ID: id}
	}
	port := i.record.Port
	if port == 0 {
		return nil
	}
	listeners, err := listeners(port)
	if err != nil {
		return err
	}
	for _, l := range listeners {
		if l.uid == i.record.UID && i.confined.HoldsSocket(l.inode) {
			return nil
		}
	}
	if len(listeners) == 0 {
		return fmt.Errorf("nothing listens on port %d: the process must listen on the port in PORT, at 127.0.0.1 or every address", port)
	}
	return fmt.Errorf("port %d is held by %s, not by the instance: stop that, or restart the instance to get another port", port, holder(listeners[0]))
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// listener is a listening socket that connections to 127.0.0.1 reach.
type listener struct {
	uid   int
	inode uint64
}

// listeners reads proc(5), net/tcp and net/tcp6, where the kernel lists
// listening sockets before all others: however many connections there are,
// little is read.
func listeners(port int) ([]listener, error) {
	var found []listener
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(file)
		if os.IsNotExist(err) && file == "/proc/net/tcp6" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("who listens on port %d: %w", port, err)
		}
		found = append(found, listening(f, port)...)
		f.Close()
	}
	return found, nil
}

func listening(table *os.File, port int) []listener {
	const listen = "0A"
	var found []listener
	lines := bufio.NewScanner(table)
	lines.Scan() // the headings
	for lines.Scan() {
		// sl local remote state queues timer retransmits uid timeout inode
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 {
			continue
		}
		if fields[3] != listen {
			break
		}
		host, hexPort, _ := strings.Cut(fields[1], ":")
		if p, err := strconv.ParseUint(hexPort, 16, 16); err != nil || int(p) != port || !reachable(host) {
			continue
		}
		uid, _ := strconv.Atoi(fields[7])
		inode, _ := strconv.ParseUint(fields[9], 10, 64)
		found = append(found, listener{uid, inode})
	}
	return found
}

// reachable reports whether a socket bound to the address, written as the
// kernel does in words of host order, accepts connections to 127.0.0.1.
func reachable(host string) bool {
	raw, err := hex.DecodeString(host)
	if err != nil {
		return false
	}
	for word := range len(raw) / 4 {
		w := raw[word*4 : word*4+4]
		w[0], w[1], w[2], w[3] = w[3], w[2], w[1], w[0]
	}
	loopback := []byte{127, 0, 0, 1}
	mapped := append(append(make([]byte, 10), 0xff, 0xff), loopback...)
	return bytes.Equal(raw, make([]byte, len(raw))) || bytes.Equal(raw, loopback) || bytes.Equal(raw, mapped)
}

// holder names the process that has the socket, or at least its user.
func holder(l listener) string {
	socket := fmt.Sprintf("socket:[%d]", l.inode)
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == socket {
			pid := strings.Split(link, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			return fmt.Sprintf("process %s (%s) of user %d", pid, strings.TrimSpace(string(name)), l.uid)
		}
	}
	return fmt.Sprintf("a process of user %d", l.uid)
}
