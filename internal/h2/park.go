package h2

import (
	"errors"
	"os"
	"time"
)

// ErrParked is what Serve returns of a connection that waits without it: see
// Options.Park. Whoever is told so must not use the connection any more, but
// to call Serve again.
var ErrParked = errors.New("the connection is parked")

// Rest lets go of what is kept for further requests, if there are none now. If
// the connection can be parked, it will be; else it may be told again.
func (c *Conn) Rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.strip()
	if c.opt.Park != nil && c.idles() && c.waits.CompareAndSwap(true, false) {
		_ = c.nc.SetReadDeadline(longAgo) // wakes who waits
	}
}

// idles reports whether nothing is under way. c.mu is held, as below but in wait.
func (c *Conn) idles() bool {
	return c.first && c.err == nil && !c.closing && c.running == 0 && len(c.streams) == 0 && len(c.out) == 0 && !c.busy
}

// wait waits for the beginning of a frame, or to be parked.
func (c *Conn) wait() error {
	for {
		c.waits.Store(true)
		err := c.await()
		if c.waits.Swap(false) {
			return err
		}
		if err = c.woken(err); err != errGoOn { //nolint:errorlint // nobody wraps it
			return err
		}
	}
}

var errGoOn = errors.New("it was woken for nothing")

// woken says what to do when Rest has ended a wait.
func (c *Conn) woken(err error) error {
	c.mu.Lock() // until Rest is done
	defer c.mu.Unlock()
	if c.err != nil {
		return err
	}
	var until time.Time
	if c.closing {
		until = time.Now().Add(lingering) // as in shut, which may have been before Rest
	}
	if failed := c.nc.SetReadDeadline(until); failed != nil {
		return failed
	}
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded): // something came, or the end did
		return err
	case !c.idles() || !c.opt.Park():
		return errGoOn
	}
	c.parked = true
	c.in, c.into, c.spare, c.open = nil, nil, block{}, opening{} // a stream may hang on each
	c.tailOf, c.queue = nil, nil
	c.timer.Reset(c.tick())
	return ErrParked
}

// unpark has the connection served again.
func (c *Conn) unpark() {
	if c.parked {
		c.parked = false
		c.opt.Wake()
	}
}

// goesOn reports whether the connection was parked. It takes the lock.
func (c *Conn) goesOn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		return false
	}
	c.parked = false
	c.seenAt = time.Now()
	c.timer.Reset(c.tick())
	return true
}
