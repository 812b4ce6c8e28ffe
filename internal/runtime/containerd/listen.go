package containerd

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ExplainPort implements runtime.PortExplainer.
func (r *Runtime) ExplainPort(id string, port int) error {
	r.mu.Lock()
	i := r.live[id]
	r.mu.Unlock()
	if i == nil || !i.running() {
		return nil
	}
	if port == 0 {
		port = listenPort(i.record.Spec.Spec)
	}
	all, local := listeners(int(i.task.Pid()))
	switch {
	case all[port]:
		return nil
	case local[port]:
		return fmt.Errorf("listens on port %d of 127.0.0.1 only, where nobody outside of the instance reaches it: make the program listen on 0.0.0.0", port)
	}
	for other := range all {
		return fmt.Errorf("does not listen on port %d but on %d: make the program listen on the port that the environment variable PORT names, on 0.0.0.0", port, other)
	}
	return nil
}

// listeners are the TCP ports listened on in the network of a process, on
// every or another address, and on its own loopback: proc(5), net/tcp.
func listeners(pid int) (all, local map[int]bool) {
	all, local = make(map[int]bool), make(map[int]bool)
	for _, table := range []string{"tcp", "tcp6"} {
		file, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(file)
		lines.Scan() // the headings
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			if len(fields) < 4 || fields[3] != "0A" { // listening sockets come first
				break
			}
			host, hexPort, _ := strings.Cut(fields[1], ":")
			port, err := strconv.ParseUint(hexPort, 16, 16)
			if err != nil {
				continue
			}
			if strings.HasSuffix(host, "7F") && len(host) == 8 || host == "00000000000000000000000001000000" {
				local[int(port)] = true
			} else {
				all[int(port)] = true
			}
		}
		file.Close()
	}
	return all, local
}
