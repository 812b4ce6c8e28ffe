package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/bench/internal/proc"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// front is a proxy, of one process or of some.
type front struct {
	*part
	ends bool // it ends all slow clients in time
	pids []int
	dir  string
}

func (f *front) end() {
	f.part.end()
	_ = os.RemoveAll(f.dir)
}

func startEdge(slow, quick string) (*front, error) {
	p, err := listening(first, "edge", slow, quick)
	if err != nil {
		return nil, err
	}
	return &front{part: p, ends: true, pids: []int{p.cmd.Process.Pid}}, nil
}

// edge is a router as `slipway node` has it, before two apps.
func edge(slow, quick string) error {
	loops := max(1, runtime.NumCPU()/2)
	runtime.GOMAXPROCS(runtime.NumCPU() + loops)
	r := router.New(slog.New(slog.DiscardHandler), router.Options{Loops: loops})
	for name, address := range map[string]string{"slow": slow, "quick": quick} {
		r.SetRoute(name, &platform.Route{App: name, Hosts: []string{name + ".test"}, Release: 1, Backends: []platform.Backend{{Instance: name, Address: address}}})
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return r.Serve(ln)
}

const nginxConf = `
pid %[1]s/pid; error_log %[1]s/log; worker_processes auto; worker_rlimit_nofile 20000; user root; daemon off;
events { worker_connections 19000; }
http {
	access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	keepalive_requests 1000000000; client_max_body_size 0; proxy_max_temp_file_size 0; proxy_request_buffering off;
	client_header_timeout 10s; client_body_timeout 30s; send_timeout 30s; reset_timedout_connection on;
	upstream slow { server %[3]s; keepalive 256; }
	upstream quick { server %[4]s; keepalive 256; keepalive_requests 1000000000; }
	server { listen %[2]s; server_name slow.test; location / { proxy_pass http://slow; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $http_host; } }
	server { listen %[2]s; server_name quick.test; location / { proxy_pass http://quick; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $http_host; } }
}
`

func startNginx(slow, quick string) (*front, error) {
	dir, err := os.MkdirTemp(filepath.Dir(os.Args[0]), "nginx-")
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, addr, slow, quick), 0o600); err != nil {
		return nil, err
	}
	p, err := start(first, "nginx", "-c", conf)
	if err != nil {
		return nil, err
	}
	p.addr = addr
	f := &front{part: p, dir: dir}
	for range 100 {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
			f.pids = append(children(p.cmd.Process.Pid), p.cmd.Process.Pid)
			return f, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	f.end()
	return nil, fmt.Errorf("it does not listen at %s", addr)
}

func children(pid int) (pids []int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", pid))
	for word := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.Atoi(word); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// app answers with little, or with a megabyte, and takes any body.
func app() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	ln = modest{ln}
	large := strings.Repeat("x", 1<<20)
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // slow clients are the point
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/large" {
			w.Header().Set("Content-Length", strconv.Itoa(len(large)))
			_, _ = io.WriteString(w, large)
			return
		}
		_, _ = io.WriteString(w, "hello")
	}))
}

// modest has the kernel keep as little of an answer for the app as it does over
// Ethernet at first. For the large segments of loopback it would keep two megabytes
// for each client that takes nothing, more than it has for all of them; and what
// were measured is how it goes on without.
type modest struct{ net.Listener }

func (m modest) Accept() (net.Conn, error) {
	conn, err := m.Listener.Accept()
	if err == nil {
		err = conn.(*net.TCPConn).SetWriteBuffer(32 << 10)
	}
	return conn, err
}

// highest is the most memory it had until stop, in KiB.
func (f *front) highest(stop chan struct{}) (most int) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		most = max(most, proc.PSS(f.pids...))
		select {
		case <-ticker.C:
		case <-stop:
			return most
		}
	}
}
