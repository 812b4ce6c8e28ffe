package process

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/slipway-paas/slipway/internal/platform"
)

// ports hands out loopback ports, never one to two live instances.
type ports struct {
	first, last       int
	notFirst, notLast int

	mu    sync.Mutex
	taken map[int]bool
}

func newPorts(o Options) *ports {
	return &ports{first: o.FirstPort, last: o.LastPort, notFirst: o.NotFirst, notLast: o.NotLast, taken: make(map[int]bool)}
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
	if p.taken[port] || port >= p.notFirst && port <= p.notLast {
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

// takePorts gives an instance the ports it asks for, those it had before if
// they are free. What it was given stands in its record, also after an error.
func (r *Runtime) takePorts(i *instance, spec platform.Spec) (err error) {
	if !spec.Port && len(spec.Ports) == 0 {
		return nil
	}
	before, _, _ := r.readRecord(i.dir, i.id)
	if spec.Port {
		if i.record.Port, err = r.ports.take(before.Port); err != nil {
			return err
		}
	}
	for _, known := range spec.Ports {
		if _, twice := i.record.Ports[known]; twice {
			continue
		}
		own, err := r.ports.take(before.Ports[known])
		if err != nil {
			return err
		}
		if i.record.Ports == nil {
			i.record.Ports = make(map[int]int)
		}
		i.record.Ports[known] = own
	}
	return nil
}

// taken are the ports of an instance.
func (rec record) taken() []int {
	ports := slices.Collect(maps.Values(rec.Ports))
	if rec.Port != 0 {
		ports = append(ports, rec.Port)
	}
	return ports
}

// addresses are where an instance with those ports listens, by the number its
// app knows them by.
func addresses(ports map[int]int) map[int]string {
	var all map[int]string
	for known, own := range ports {
		if all == nil {
			all = make(map[int]string, len(ports))
		}
		all[known] = address(own)
	}
	return all
}

// address is where an instance with that port listens.
func address(port int) string {
	if port == 0 {
		return ""
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
