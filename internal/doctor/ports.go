package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ports tries each address the way the platform would.
func ports(ctx context.Context, o Options) []Finding {
	var found []Finding
	for _, port := range o.Ports {
		found = append(found, port.look(ctx))
	}
	return found
}

func (p Port) look(ctx context.Context) Finding {
	name := "port " + p.Name
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", p.Address)
	switch {
	case err == nil:
		_ = listener.Close()
		return Finding{name, OK, p.Address + " is free", ""}
	case errors.Is(err, syscall.EADDRINUSE):
		return taken(name, p.Address)
	case errors.Is(err, syscall.EACCES):
		return Finding{
			name, Fail, p.Address + " is for root only",
			"sysctl -w net.ipv4.ip_unprivileged_port_start=80, or choose a port above 1023",
		}
	}
	return Finding{name, Fail, err.Error(), "choose an address of this machine"}
}

// taken tells ours from others: ours is any process of this same program.
func taken(name, address string) Finding {
	pid := holder(address)
	if pid == 0 {
		return Finding{name, Fail, address + " is taken by a process that cannot be seen from here", "ss -ltnp tells which, as root"}
	}
	exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	own, err := os.Executable()
	// A binary replaced by an upgrade is "(deleted)" to whoever still runs it.
	if err == nil && filepath.Base(strings.TrimSuffix(exe, " (deleted)")) == filepath.Base(own) {
		return Finding{name, OK, fmt.Sprintf("%s is ours (pid %d)", address, pid), ""}
	}
	return Finding{
		name, Fail, fmt.Sprintf("%s is taken by %s (pid %d)", address, strings.TrimSpace(string(comm)), pid),
		fmt.Sprintf("stop it with kill %d, or choose another port", pid),
	}
}

// holder is the pid that listens on the address's port, 0 when unknown.
func holder(address string) int {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for _, inode := range listeners(table, port) {
			if pid := owner(inode); pid != 0 {
				return pid
			}
		}
	}
	return 0
}

// listeners returns the inodes of sockets that listen on the port, from a
// table in the form of proc(5).
func listeners(table string, port uint64) []string {
	file, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer file.Close()
	const stateListen = "0A"
	var inodes []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		columns := strings.Fields(lines.Text())
		if len(columns) < 10 || columns[3] != stateListen {
			continue
		}
		_, hex, _ := strings.Cut(columns[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && n == port {
			inodes = append(inodes, columns[9])
		}
	}
	return inodes
}

// owner is a pid that has the socket open, 0 when it cannot be seen.
func owner(inode string) int {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == "socket:["+inode+"]" {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
			return pid
		}
	}
	return 0
}
