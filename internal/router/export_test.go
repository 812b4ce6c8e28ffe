package router

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// SetUnderWay is how long one that was let go out of a lobby keeps its place
// from the next, for tests on machines of any speed.
func (r *Router) SetUnderWay(d time.Duration) { r.underWay = d }

// ConfigFor is what a handshake for a name goes on with, and what it is shown.
func (r *Router) ConfigFor(name string) (*tls.Certificate, error) {
	hello := &tls.ClientHelloInfo{ServerName: name}
	config, err := r.configFor(hello)
	if err != nil {
		return nil, err
	}
	return config.GetCertificate(hello)
}

// ShownTo is what a handshake for a name is shown, for a client that leaves with
// ctx.
func (r *Router) ShownTo(ctx context.Context, name string) (cert *tls.Certificate, err error) {
	return r.certificateFor(ctx, name)
}

// SetLate says how late the router is; before it serves.
func (r *Router) SetLate(late func() time.Duration) { r.late = late }

// TakeTurns asks for the turns of so many handshakes, as they do.
func (r *Router) TakeTurns(n int) {
	for range n {
		_, _ = r.handshakes.pace.Turn(r.now())
	}
}

// Slows reports whether handshakes are put off.
func (r *Router) Slows() bool { return r.handshakes.pace.Slowed() }

// Sheds reports whether requests are turned away for the router's sake.
func (r *Router) Sheds() bool { return r.guard.Snapshot().Late }

// Parked is how many connections wait in the lot.
func (r *Router) Parked() int {
	r.parking.mu.Lock()
	defer r.parking.mu.Unlock()
	return len(r.parking.all)
}

// Connections is how many clients are connected, as MaxConnections counts them.
func (r *Router) Connections() int { return int(r.watch.count.Load()) }

// Resumed is how many went from there.
func (r *Router) Resumed() int {
	r.parking.mu.Lock()
	defer r.parking.mu.Unlock()
	return r.parking.went
}

// ServesHTTPS reports whether ServeTLS has begun.
func (r *Router) ServesHTTPS() bool { return r.httpsPort.Load() != 0 }

// OnLoops is how many clients the loops have.
func (r *Router) OnLoops() (n int) {
	for _, l := range r.allLoops() {
		n += int(l.clients.Load())
	}
	return n
}

// HandedOver is how often those that are the loops' were handed over so far.
func (r *Router) HandedOver() (n int) {
	r.onLoops(func(l *loop) {
		for _, s := range l.sockets {
			if c, ok := s.handler.(*inSocket); ok {
				n += int(c.handed)
			}
		}
	})
	return n
}

// Pauses is how often loops could take no connection.
func (r *Router) Pauses() (n int) {
	r.onLoops(func(l *loop) {
		for _, s := range l.sockets {
			if d, ok := s.handler.(*loopListener); ok {
				n += d.paused
			}
		}
	})
	return n
}

// Buffers is how many the loops' connections hold.
func (r *Router) Buffers() (n int) {
	count := func(s *slab) {
		if s != nil {
			n++
		}
	}
	r.onLoops(func(l *loop) {
		for _, s := range l.sockets {
			switch h := s.handler.(type) {
			case *inSocket:
				if count(h.slab); h.act != nil {
					count(h.act.slab)
				}
			case *outSocket:
				count(h.slab)
				count(h.textSlab)
			}
		}
	})
	return n
}

// onLoops has f run by each loop.
func (r *Router) onLoops(f func(*loop)) {
	for _, l := range r.allLoops() {
		done := make(chan struct{})
		if l.post(func() { f(l); close(done) }) {
			<-done
		}
	}
}

// Joints is how many upgraded connections the loops carry, and how many
// buffers those hold.
func (r *Router) Joints() (n, buffers int) {
	r.onLoops(func(l *loop) {
		for _, s := range l.sockets {
			m, ok := s.handler.(*limb)
			switch {
			case !ok:
				continue
			case m == &m.of.app:
				n++
			}
			if m.rest != nil || m.slab != nil || m.of.of.slab != nil || m.of.of.act.slab != nil {
				buffers++
			}
		}
	})
	return n, buffers
}

// Fill has each loop be full until the function it returns is called: n things
// stand in line, each of which takes so much of the loop's time and stands in line
// again.
func (r *Router) Fill(n int, each time.Duration) (end func()) {
	over := new(atomic.Bool)
	r.onLoops(func(l *loop) {
		for range n {
			fd, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
			if err != nil {
				panic(err)
			}
			if err := l.register(fd, &filler{fd, each, over}, edges); err != nil {
				panic(err)
			}
		}
	})
	return func() { over.Store(true) }
}

type filler struct {
	fd   int
	each time.Duration
	over *atomic.Bool
}

func (f *filler) event(l *loop, _ uint32) {
	if f.over.Load() {
		f.shut(l)
		return
	}
	_, _ = unix.Write(f.fd, []byte{0: 1, 7: 0})
	for until := l.router.now() + f.each; l.router.now() < until; {
	}
}

func (f *filler) tick(*loop) {}

func (f *filler) shut(l *loop) {
	l.release(f.fd)
	unix.Close(f.fd)
}
