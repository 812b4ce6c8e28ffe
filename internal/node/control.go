package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Info is what a node says about itself.
type Info struct {
	ID      string `json:"id"`
	Pid     int    `json:"pid"`
	Version string `json:"version"`
	// State is the version of the state in force.
	State     int64 `json:"state"`
	Connected bool  `json:"connected"` // to the control plane
	// Substitute: it serves in place of a successor that died, supervises nothing,
	// and waits for another to take over.
	Substitute bool                `json:"substitute,omitempty"`
	HTTP       string              `json:"http"` // where it listens; empty: not
	HTTPS      string              `json:"https"`
	Instances  []platform.Instance `json:"instances"`
	Problems   []string            `json:"problems"`
}

func (n *node) info() Info {
	have, connected := n.puller.look()
	doors := n.doors.Load()
	return Info{
		ID: n.opt.ID, Pid: os.Getpid(), Version: n.opt.Version, State: have.Version, Connected: connected,
		HTTP: doors.address("http"), HTTPS: doors.address("https"), Substitute: n.substitutes.Load(),
		Instances: n.super.look(nil), Problems: n.reports.listProblems(),
	}
}

// control answers this machine at the node's own socket: who may open it
// decides the file's mode, 0600.
//
//	GET  /status            Info
//	GET  /metrics           what Prometheus reads
//	GET  /edge?app=         platform.EdgeStatus
//	POST /stop?instances=   ends the node; the answer is the end of the connection
//	POST /handover          becomes a hand-over: see succession.go
//	POST /connections       becomes what connections pass by: see passing.go
//	GET  /known             what the router has learnt: see inheritance.go
type control struct {
	server   *http.Server
	listener net.Listener
	socket   string

	mu    sync.Mutex
	named bool // the name is ours
}

// openSocket makes the socket under a name of its own: what can go wrong, goes
// wrong while an older node is still in office.
func (n *node) openSocket() (*control, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(n.info())
	})
	mux.Handle("GET /metrics", n.exporter)
	mux.HandleFunc("GET /edge", n.serveEdgeStatus)
	mux.HandleFunc("POST /stop", n.serveStop)
	mux.HandleFunc("POST /handover", n.handOver)
	mux.HandleFunc("POST /connections", n.passConnections)
	mux.HandleFunc("GET /known", n.serveKnown)
	c := &control{server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, socket: n.opt.Socket}
	return c, c.bind()
}

// bind makes the socket, again for one whose name another has taken.
func (c *control) bind() error {
	fresh := c.socket + ".new"
	_ = os.Remove(fresh) // of a crash
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return fmt.Errorf("open the node's socket: %w", err)
	}
	ln.SetUnlinkOnClose(false) // it may be a successor's by then
	if err := os.Chmod(fresh, 0o600); err != nil {
		return errors.Join(fmt.Errorf("open the node's socket: %w", err), ln.Close())
	}
	c.listener = ln
	return nil
}

// answer takes the socket's real name: there is no moment in which nobody answers.
func (c *control) answer() error {
	ln := c.listener
	go func() { _ = c.server.Serve(ln) }() // ended by close
	c.mu.Lock()
	defer c.mu.Unlock()
	c.named = true
	if err := os.Rename(c.socket+".new", c.socket); err != nil {
		return fmt.Errorf("open the node's socket: %w", err)
	}
	return nil
}

// decline closes a socket that never took its name.
func (c *control) decline() {
	_ = c.listener.Close()
	_ = os.Remove(c.socket + ".new")
}

// yield leaves the name to another, who takes it after that.
func (c *control) yield() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.named = false
}

func (c *control) close() {
	c.mu.Lock()
	if c.named {
		_ = os.Remove(c.socket)
	}
	c.mu.Unlock()
	_ = c.server.Close()
	_ = c.listener.Close() // in case it never answered
}

func (n *node) serveStop(_ http.ResponseWriter, r *http.Request) {
	instances, _ := strconv.ParseBool(r.FormValue("instances"))
	select {
	case n.stop <- instances:
	case <-r.Context().Done():
		return
	}
	<-r.Context().Done() // the node closes the connection last of all
}

// Stop ends the node that answers at socket and returns when it serves no more:
// its requests are finished and, if asked for, its instances ended. No node
// there is no error.
func Stop(ctx context.Context, socket string, instances bool) error {
	answer, err := call(ctx, http.MethodPost, socket, "/stop?"+url.Values{"instances": {strconv.FormatBool(instances)}}.Encode())
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("stop the node: %w", ctx.Err())
	case errors.Is(err, io.EOF) || errors.Is(err, errReset):
		return nil
	case errors.Is(err, platform.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("stop the node: %w", err)
	}
	defer answer.Body.Close()
	return fmt.Errorf("stop the node: it answered %s", answer.Status)
}

// Status asks the node that answers at socket; an error that matches
// platform.ErrNotFound means there is none.
func Status(ctx context.Context, socket string) (Info, error) {
	answer, err := call(ctx, http.MethodGet, socket, "/status")
	if err != nil {
		return Info{}, err
	}
	defer answer.Body.Close()
	var info Info
	if err := json.NewDecoder(answer.Body).Decode(&info); err != nil {
		return Info{}, fmt.Errorf("read the node's status: %w", err)
	}
	return info, nil
}

// maxMetrics bounds what a node tells of itself.
const maxMetrics = 256 << 20

// Metrics is what the node that answers at socket tells Prometheus, as text; an
// error that matches platform.ErrNotFound means there is none.
func Metrics(ctx context.Context, socket string) (string, error) {
	answer, err := call(ctx, http.MethodGet, socket, "/metrics")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxMetrics))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answered %s", answer.Status)
	}
	if err != nil {
		return "", fmt.Errorf("read the node's metrics: %w", err)
	}
	return string(text), nil
}

func call(ctx context.Context, method, socket, path string) (*http.Response, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("no node answers at %s: %w", socket, platform.ErrNotFound)
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}}
	request, err := http.NewRequestWithContext(ctx, method, "http://node"+path, nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return client.Do(request)
}
