package router

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A connection of TLS waits in a goroutine of its own, for that is fast. One that
// is idle for a while is woken once by the watch and goes to wait in the lot. That
// is right as long as crypto/tls holds nothing of what came: see records.

// dozeAfter is for how many ticks of the watch a connection is idle before that.
const dozeAfter = 4

// doze is how a connection is woken.
type doze struct {
	parks atomic.Bool   // it is one of those that may be parked
	mu    sync.Mutex    // held while woken
	woken atomic.Bool   // reading was given a deadline in the past
	due   time.Duration // when it is closed, of one that was parked and has asked for nothing since
}

// tire wakes a connection that is idle for long, so that it is parked.
func (c *inward) tire(now, tick time.Duration) {
	d := &c.doze
	idle := c.idle.Load()
	if !d.parks.Load() || idle == 0 || now-time.Duration(idle) < dozeAfter*tick || d.woken.Load() {
		return
	}
	c.wake()
}

// wake has idles look again at what to do, if the connection is idle.
func (c *inward) wake() {
	d := &c.doze
	d.mu.Lock()
	defer d.mu.Unlock()
	d.woken.Store(true)
	if c.idle.Load() == 0 { // it was just going on
		d.woken.Store(false)
		return
	}
	_ = c.socket.SetReadDeadline(time.Unix(1, 0))
}

// rouse ends that reading fails because of tire, and reports whether it might
// have.
func (c *inward) rouse() bool {
	if !c.doze.woken.Load() {
		return false
	}
	c.doze.mu.Lock() // until who wakes has done so
	defer c.doze.mu.Unlock()
	c.doze.woken.Store(false)
	return c.inDue.Load() >= 0 && c.socket.SetReadDeadline(time.Time{}) == nil
}

// errParks: the connection is idle, and nothing of what came is held.
var errParks = errors.New("the connection is idle")

// idles waits for the first bytes of a request.
func (c *inward) idles() error {
	err := c.fill()
	for errors.Is(err, os.ErrDeadlineExceeded) && c.rouse() {
		switch {
		case c.canPass():
			return errPasses
		case c.under == nil: // nobody takes it any more
			err = c.fill()
			continue
		case c.under.between() && !c.more:
			return errParks
		}
		// It has begun with something: that has to become a request.
		if due, soon := c.inDue.Load(), c.from(c.router.opt.HeaderTimeout); soon < due {
			c.inDue.CompareAndSwap(due, soon)
		}
		c.doze.parks.Store(false)
		err = c.fill()
	}
	c.doze.parks.Store(c.under != nil && c.under.in.raw != nil)
	return err
}

// park has the connection wait in the lot, and reports whether it does.
func (c *inward) park() bool {
	c.drop()
	r := c.router
	secure, ok := c.conn.(*sealed)
	p := &parked{router: r, socket: c.socket, peer: c.peer, door: c.door, idle: c.idle.Load()}
	p.spot = spot{conn: secure, by: p}
	p.due = c.doze.due
	if p.due == 0 {
		p.due = time.Duration(c.inDue.Load())
	}
	if !ok || !r.watch.swap(c, p) { // from then on nobody else touches the socket
		return false
	}
	c.rouse()
	if c.inDue.Load() > 0 && r.parking.park(&p.spot) {
		return true
	}
	r.watch.remove(p)
	return false
}
