package node

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/slipway-paas/slipway/internal/router"
)

// ports are the listeners of TCP routes. They follow the router's table: a port
// that a route names is listened at, one that none names is closed, and its
// connections go on. At a succession they pass on as the doors do.
type ports struct {
	log     *slog.Logger
	router  *router.Router
	reports *reporter
	host    string // where the edge listens
	gaveUp  func() // told when a port is listened at no more

	mu        sync.Mutex
	work      *sync.WaitGroup // nil: not yet, or no more
	listening map[int]net.Listener
}

// hostOf is the host of an address to listen at; empty: everywhere.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return host
}

const portName = "tcp "

// portListeners takes the listeners of TCP routes out of an estate.
func (e *estate) portListeners() map[int]net.Listener {
	all := make(map[int]net.Listener)
	for name, ln := range e.listeners {
		if text, ok := strings.CutPrefix(name, portName); ok {
			delete(e.listeners, name)
			if port, err := strconv.Atoi(text); err == nil {
				all[port] = ln
			} else {
				_ = ln.Close()
			}
		}
	}
	return all
}

func closeAll(listeners map[int]net.Listener) {
	for _, ln := range listeners {
		_ = ln.Close()
	}
}

// named are the listeners, for a successor.
func (p *ports) named() map[string]net.Listener {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]net.Listener, len(p.listening))
	for port, ln := range p.listening {
		all[portName+strconv.Itoa(port)] = ln
	}
	return all
}

// open begins to listen, with what was handed over first.
func (p *ports) open(work *sync.WaitGroup, inherited map[int]net.Listener) {
	p.mu.Lock()
	p.work, p.listening = work, make(map[int]net.Listener)
	for port, ln := range inherited {
		p.serve(port, ln)
	}
	p.mu.Unlock()
	p.follow()
}

// follow makes what is listened at what the routes name. What cannot be is
// told, and tried again with the next change.
func (p *ports) follow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.work == nil {
		return
	}
	wanted := p.router.TCPPorts()
	for port, ln := range p.listening {
		if !slices.Contains(wanted, port) {
			delete(p.listening, port)
			_ = ln.Close()
			p.gaveUp()
		}
	}
	failed := ""
	for _, port := range wanted {
		if p.listening[port] != nil {
			continue
		}
		ln, err := net.Listen("tcp", net.JoinHostPort(p.host, strconv.Itoa(port)))
		if err != nil {
			failed = cmp.Or(failed, fmt.Sprintf("connections to port %d reach no app: %v; end what listens there, or give the app another port", port, err))
			continue
		}
		p.serve(port, ln)
	}
	p.reports.problem("ports", failed)
}

// serve has the router take the connections of a listener. p.mu is held.
func (p *ports) serve(port int, ln net.Listener) {
	p.listening[port] = ln
	p.work.Go(func() {
		if err := p.router.ServeTCP(ln, port); err != nil {
			p.log.Error("port of the edge was lost", "port", port, "err", err)
		}
	})
}
