package process

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"

	"github.com/slipway-paas/slipway/internal/platform"
)

// ports hands out loopback ports, never one to two live instances.
type ports struct {
	first, last int

	mu    sync.Mutex
	taken map[int]bool
}

func newPorts(first, last int) *ports {
	return &ports{first: first, last: last, taken: make(map[int]bool)}
}

// take returns a port nobody listens on, wanted if that is free. Give it back.
func (p *ports) take(wanted int) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wanted >= p.first && wanted <= p.last && p.free(wanted) {
		p.taken[wanted] = true
		return wanted, nil
	}
	// Starting anywhere keeps a port from being reused soon, by clients that
	// still believe in the old instance.
	span := p.last - p.first + 1
	start := rand.IntN(span)
	for i := range span {
		if port := p.first + (start+i)%span; p.free(port) {
			p.taken[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("every port from %d to %d is in use: %w", p.first, p.last, platform.ErrUnavailable)
}

// keep marks the port of an adopted instance.
func (p *ports) keep(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken[port] = true
}

func (p *ports) giveBack(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, port)
}

// free reports whether nobody has the port on any address.
func (p *ports) free(port int) bool {
	if p.taken[port] {
		return false
	}
	for _, host := range []string{"127.0.0.1", ""} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// address is where an instance with that port listens.
func address(port int) string {
	if port == 0 {
		return ""
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
