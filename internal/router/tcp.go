package router

import (
	"context"
	"errors"
	"math"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/platform"
)

// A TCP route leads what a port of the edge takes to one port of an app's
// instances, the one with the fewest connections first. A connection enters its
// instance's turnstile as a request does, so that Drain waits for it; what the
// two ends say passes as it is, each end's close included.

func tcpRoutes(wish []platform.TCPRoute) map[int]platform.TCPRoute {
	if len(wish) == 0 {
		return nil
	}
	routes := make(map[int]platform.TCPRoute, len(wish))
	for _, tr := range wish {
		routes[tr.Listen] = tr
	}
	return routes
}

// takePorts leads to a the ports that its route names and did not name before,
// and gives up those it names no more unless another app has taken them.
func (r *Router) takePorts(a *app, old, next *route) {
	var before, after map[int]platform.TCPRoute
	if old != nil {
		before = old.tcp
	}
	if next != nil {
		after = next.tcp
	}
	for port := range after {
		if _, had := before[port]; !had || r.door(port) == nil {
			r.doors.Store(port, a)
		}
	}
	for port := range before {
		if _, kept := after[port]; !kept {
			r.doors.CompareAndDelete(port, a)
		}
	}
}

// door is the app that a port of the edge leads to, or nil.
func (r *Router) door(port int) *app {
	if a, ok := r.doors.Load(port); ok {
		return a.(*app)
	}
	return nil
}

// TCPPorts are the ports of the edge that routes name, in order: who runs the
// router listens at them.
func (r *Router) TCPPorts() []int {
	var ports []int
	for port := range r.doors.Range {
		ports = append(ports, port.(int))
	}
	slices.Sort(ports)
	return ports
}

// pool is the instances of a process type.
func (rt *route) pool(process string) pool {
	if process = mainAs(process); process == "" {
		return rt.main
	}
	return rt.services[process]
}

// pickPort is the instance that a connection goes to: of the old release, while
// two serve, as long as that has one.
func (rt *route) pickPort(tr platform.TCPRoute, tried []*instance) *instance {
	first, second := rt.poolsOf(tr.Process)
	if inst := first.pickPort(tr.Port, tried); inst != nil {
		return inst
	}
	return second.pickPort(tr.Port, tried)
}

// pickPort is the instance with the fewest open of those that have the port and
// are not among tried.
func (p pool) pickPort(port int, tried []*instance) *instance {
	var best *instance
	for _, inst := range p {
		if inst.reachable(port) && !slices.Contains(tried, inst) && (best == nil || inst.door.inside() < best.door.inside()) {
			best = inst
		}
	}
	return best
}

// ServeTCP takes connections from ln for the port of the edge it is named by,
// until ln is closed or the router drains or closes; then it returns nil. It
// takes ln over. Connections go on when ln is closed.
func (r *Router) ServeTCP(ln net.Listener, port int) error {
	if !r.addListener(ln) {
		return ln.Close()
	}
	defer r.dropListener(ln)
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil && r.open.enter():
			go r.carryTCP(conn, port) // ends with the connection, which the router's end cuts
		case err == nil: // it is too late
			_ = conn.Close()
		case r.draining.Load() || errors.Is(err, net.ErrClosed):
			return nil
		default:
			var passing interface{ Temporary() bool }
			if !errors.As(err, &passing) || !passing.Temporary() { // too many open files passes
				return err
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// addListener reports false when it is too late to serve.
func (s *serving) addListener(ln net.Listener) bool {
	s.serveMu.Lock()
	defer s.serveMu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.listeners = append(s.listeners, ln)
	return true
}

// dropListener forgets one that is closed.
func (s *serving) dropListener(ln net.Listener) {
	s.serveMu.Lock()
	defer s.serveMu.Unlock()
	s.listeners = slices.DeleteFunc(s.listeners, func(l net.Listener) bool { return l == ln })
	s.watch.changed()
}

// serves reports whether connections may yet come from a listener.
func (s *serving) serves() bool {
	s.serveMu.Lock()
	defer s.serveMu.Unlock()
	return len(s.listeners) > 0
}

// carryTCP is the life of one connection, which was let in at r.open.
func (r *Router) carryTCP(conn net.Conn, port int) {
	defer r.open.leave()
	defer conn.Close()
	door := &r.metrics.Doors[access.TCP]
	door.Enter()
	defer door.Close()
	ctx, cancel := context.WithCancel(r.base)
	defer cancel()
	a, inst, upstream := r.reach(ctx, conn, port)
	if inst == nil {
		return
	}
	defer inst.door.leave()
	defer a.tcpOpen.Add(-1)
	defer upstream.Close()
	stop := context.AfterFunc(ctx, func() { _, _ = conn.Close(), upstream.Close() })
	defer stop()
	r.converse(conn, upstream, r.tcpIdle(a))
}

// reach finds an instance for a connection and connects to it; the caller then
// leaves its door and takes the connection off the app's count.
func (r *Router) reach(ctx context.Context, conn net.Conn, port int) (*app, *instance, net.Conn) {
	var tried []*instance
	var g *guest
	for {
		a := r.door(port)
		if a == nil {
			return nil, nil, nil
		}
		rt, inst := a.acquirePort(port, clientOf(conn), tried)
		switch {
		case rt == nil:
			return nil, nil, nil
		case inst == nil && rt.hold && len(tried) == 0:
			if g = r.waitTCP(ctx, a, port, g); g == nil {
				return nil, nil, nil
			}
			defer r.onItsWay(g)
			continue
		case inst == nil:
			return nil, nil, nil
		}
		if a.tcpOpen.Add(1) <= int64(r.opt.TCPConnections) {
			if upstream := r.dialTCP(ctx, conn, inst, rt, port); upstream != nil {
				return a, inst, upstream
			}
			tried = append(tried, inst)
		} else {
			r.crowded(a, port)
			first, second := rt.poolsOf(rt.tcp[port].Process)
			tried = append(append(tried, first...), second...)
		}
		a.tcpOpen.Add(-1)
		inst.door.leave()
	}
}

// crowded logs that an app's TCP routes have no room.
func (r *Router) crowded(a *app, port int) {
	if a.saidCrowded.now(r.now()) {
		r.log.Warn("connections were refused: the app has as many as it may", "app", a.name, "port", port, "max", r.opt.TCPConnections)
	}
}

// acquirePort enters an instance of the app's current route that serves the
// port of the edge: see acquire. A nil route means that the client may not come
// in, or the port leads nowhere.
func (a *app) acquirePort(port int, client string, tried []*instance) (*route, *instance) {
	for {
		rt := a.route.Load()
		if rt == nil || rt.maintenance || rt.denies(client) || !allowed(rt.allow, client) {
			return nil, nil
		}
		tr, leads := rt.tcp[port]
		if !leads {
			return nil, nil
		}
		inst := rt.pickPort(tr, tried)
		if inst != nil && inst.door.enter() {
			if a.route.Load() == rt {
				return rt, inst
			}
			inst.door.leave()
			continue
		}
		if inst == nil && a.route.Load() == rt {
			return rt, nil
		}
	}
}

// clientOf is the address of the peer, without its port.
func clientOf(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return ""
	}
	return host
}

// waitTCP has a connection wait for an instance, as a request does, and returns
// its guest, or nil when it has waited in vain. before is that of an earlier wait.
func (r *Router) waitTCP(ctx context.Context, a *app, port int, before *guest) *guest {
	g := &guest{app: a, port: port, let: make(chan struct{})}
	if before != nil && before.app == a {
		g.ticket = before.ticket
	}
	until, ok := r.join(g)
	if !ok {
		return nil
	}
	late := time.NewTimer(time.Until(until))
	defer late.Stop()
	select {
	case <-g.let:
	case <-late.C:
	case <-ctx.Done():
	}
	if r.leave(g) {
		return nil
	}
	return g
}

// dialTCP connects to a port of an instance and says who the client is where
// the route asks for it; nil: it cannot be reached.
func (r *Router) dialTCP(ctx context.Context, conn net.Conn, inst *instance, rt *route, port int) net.Conn {
	tr := rt.tcp[port]
	place := inst.place.Load()
	if place == nil {
		return nil
	}
	dialer := net.Dialer{Timeout: r.connectTime(rt)}
	upstream, err := r.dial(ctx, &dialer, "tcp", place.ports[tr.Port])
	if err != nil {
		r.log.Debug("instance was not reached", "instance", inst.id, "err", err)
		return nil
	}
	if header := proxyHeader(tr.Proxy, conn); len(header) > 0 {
		if _, err := upstream.Write(header); err != nil {
			upstream.Close()
			return nil
		}
	}
	return upstream
}

// tcpIdle is how long a connection of an app may carry nothing.
func (r *Router) tcpIdle(a *app) time.Duration {
	if rt := a.route.Load(); rt != nil && rt.edge.Timeouts.TCP > 0 {
		return rt.edge.Timeouts.TCP
	}
	return r.opt.TCPIdle
}

// converse carries what two connections say to one another: see join.
func (r *Router) converse(a, b net.Conn, limit time.Duration) {
	var from, to wire
	from.begin(a, false, &r.slabs)
	to.begin(b, false, &r.slabs)
	join(&from, &to, limit, from.say)
}

// quiet closes two connections when nothing was said for a time. It looks
// rarely, so that saying something costs a store.
type quiet struct {
	limit time.Duration
	talk  atomic.Bool // something was said since it looked last
	timer *time.Timer
	conns [2]net.Conn
}

func newQuiet(limit time.Duration, a, b net.Conn) *quiet {
	q := &quiet{limit: limit, conns: [2]net.Conn{a, b}}
	q.talk.Store(true)
	q.timer = time.AfterFunc(math.MaxInt64, q.look)
	q.timer.Reset(limit) // look uses the timer
	return q
}

func (q *quiet) said() { q.talk.Store(true) }

func (q *quiet) look() {
	if q.talk.Swap(false) {
		q.timer.Reset(q.limit)
		return
	}
	for _, conn := range q.conns {
		_ = closeBare(conn)
	}
}

func (q *quiet) end() { q.timer.Stop() }
