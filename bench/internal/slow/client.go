package main

import (
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func newEnds() *ends { return &ends{how: map[string]int{}} }

// be is a slow client until the router ends it.
func (e *ends) be(conn net.Conn, k kind) {
	defer conn.Close()
	if tcp, ok := conn.(*net.TCPConn); ok && !k.reads {
		_ = tcp.SetReadBuffer(4 << 10) // so that the kernel does not take it all for who takes nothing
	}
	_, _ = io.WriteString(conn, k.begin)
	if k.every > 0 {
		stop := make(chan struct{})
		defer close(stop)
		go drip(conn, k, stop)
	}
	if !k.reads {
		e.add(cut(conn))
		return
	}
	answer, _ := io.ReadAll(conn)
	status := "no answer"
	if words := strings.Fields(string(answer)); len(words) > 1 {
		status = words[1]
	}
	e.add(status)
}

func (e *ends) add(how string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.how[how]++
}

func (e *ends) String() string {
	var all []string
	for _, how := range slices.Sorted(maps.Keys(e.how)) {
		all = append(all, fmt.Sprintf("%s: %d", how, e.how[how]))
	}
	return strings.Join(all, ", ")
}

func drip(conn net.Conn, k kind, stop chan struct{}) {
	ticker := time.NewTicker(k.every)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			if _, err := io.WriteString(conn, k.drip); err != nil {
				return
			}
		}
	}
}

// established is a state of TCP: tcp(7).
const established = 1

// cut waits until the other side has ended the connection, without reading.
func cut(conn net.Conn) string {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err.Error()
	}
	for range time.Tick(time.Second / 2) {
		var state uint8
		err := raw.Control(func(fd uintptr) {
			if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil { //nolint:gosec // a descriptor
				state = info.State
			}
		})
		if err != nil || state != established {
			break
		}
	}
	return "cut off"
}

// highest is the most memory a process had until stop, in KiB.
func highest(pid int, stop chan struct{}) (most int) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		most = max(most, pss(pid))
		select {
		case <-ticker.C:
		case <-stop:
			return most
		}
	}
}

// pss is a process' share of memory in KiB: proc(5), smaps_rollup.
func pss(pid int) (kib int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			_, _ = fmt.Sscan(rest, &kib)
		}
	}
	return kib
}

// cpu is for how many seconds a process ran.
func cpu(pid int) (ran float64) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		if words := strings.Fields(string(text)); len(words) > 0 {
			ns, _ := strconv.ParseFloat(words[0], 64)
			ran += ns / 1e9
		}
	}
	return ran
}
