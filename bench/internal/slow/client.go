package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// crowd is all the clients of a kind. It says when they are there, and once all
// have been ended, how.
func crowd(k *kind, addr string) error {
	e := &ends{how: map[string]int{}}
	all := make([]net.Conn, 0, k.count)
	dialer := net.Dialer{Control: k.small}
	for range k.count {
		conn, err := dialer.DialContext(context.Background(), "tcp", addr)
		if err != nil {
			return err
		}
		all = append(all, conn)
		_, _ = io.WriteString(conn, k.begin)
		e.all.Go(func() { e.be(conn, k) })
	}
	fmt.Println("there")
	if k.every > 0 {
		go drip(all, k)
	}
	e.all.Wait()
	fmt.Println(e)
	return nil
}

// small has a client that takes nothing have no room in the kernel either: a
// window is agreed on when a connection begins.
func (k *kind) small(_, _ string, raw syscall.RawConn) (err error) {
	if k.reads {
		return nil
	}
	failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) }) //nolint:gosec // a descriptor
	if err == nil {
		err = failed
	}
	return err
}

// drip has all say something more, one after the other.
func drip(all []net.Conn, k *kind) {
	const batches = 500
	ticker := time.NewTicker(k.every / batches)
	defer ticker.Stop()
	for at := 0; ; at++ {
		<-ticker.C
		for i := at % batches; i < len(all); i += batches {
			_, _ = io.WriteString(all[i], k.drip)
		}
	}
}

// ends are how the slow clients ended.
type ends struct {
	mu  sync.Mutex
	how map[string]int
	all sync.WaitGroup
}

// be is a slow client until the proxy ends it.
func (e *ends) be(conn net.Conn, k *kind) {
	defer conn.Close()
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

// established is a state of TCP: tcp(7).
const established = 1

// cut waits until the other side has ended the connection, without reading.
func cut(conn net.Conn) string {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err.Error()
	}
	for range time.Tick(2 * time.Second) {
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

// The other app is asked this often, by so many.
const (
	askers = 10
	apart  = 20 * time.Millisecond
)

// ask asks the other app until its input ends, and prints when each request was
// due, in microseconds, and how many milliseconds after that it was answered.
func ask(addr string) error {
	stop := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); close(stop) }()
	var mu sync.Mutex
	var out strings.Builder
	failed := make(chan error, askers)
	for i := range askers {
		go func() { failed <- asker(addr, time.Now().Add(apart*time.Duration(i)/askers), stop, &mu, &out) }()
	}
	for range askers {
		if err := <-failed; err != nil {
			return err
		}
	}
	_, err := io.WriteString(os.Stdout, out.String())
	return err
}

func asker(addr string, due time.Time, stop chan struct{}, mu *sync.Mutex, out *strings.Builder) error {
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	rd := bufio.NewReader(conn)
	for ; ; due = due.Add(apart) {
		select {
		case <-time.After(time.Until(due)):
		case <-stop:
			return nil
		}
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: quick.test\r\n\r\n")
		res, err := http.ReadResponse(rd, nil)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		mu.Lock()
		fmt.Fprintf(out, "%d %.3f\n", due.UnixMicro(), time.Since(due).Seconds()*1e3)
		mu.Unlock()
	}
}
