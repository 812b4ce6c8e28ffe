package router

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A connection of TLS waits inside crypto/tls, which wants a buffer to wait
// with. One that is idle for a while is woken once by the watch, gives its buffer
// back and waits for bytes on the socket instead. That is right as long as
// crypto/tls has taken all of what came: it was waiting, so it had no whole
// record, and records says whether it has a part of one.

// dozeAfter is for how many ticks of the watch a connection is idle before it
// gives its buffer back.
const dozeAfter = 4

// records knows whether what was read of a connection ends with a record of
// TLS (RFC 8446, 5.1).
type records struct {
	net.Conn
	head [5]byte
	have int // of head
	left int // of the record
}

func (r *records) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.pass(p[:n])
	return n, err
}

func (r *records) pass(p []byte) {
	for len(p) > 0 {
		if r.left > 0 {
			n := min(r.left, len(p))
			r.left -= n
			p = p[n:]
			continue
		}
		n := copy(r.head[r.have:], p)
		r.have += n
		if p = p[n:]; r.have == len(r.head) {
			r.have, r.left = 0, int(r.head[3])<<8|int(r.head[4])
		}
	}
}

func (r *records) whole() bool { return r.have == 0 && r.left == 0 }

// CloseWrite ends one direction.
func (r *records) CloseWrite() error {
	if half, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}

// doze is what a connection of TLS needs to wait without a buffer.
type doze struct {
	raw     syscall.RawConn         // of the socket
	records atomic.Pointer[records] // nil: there is no TLS
	mu      sync.Mutex              // held while woken
	woken   atomic.Bool             // reading was given a deadline in the past
	asleep  atomic.Bool
}

// tire wakes a connection that is idle for long, so that it goes to doze.
func (c *inward) tire(now, tick time.Duration) {
	d := &c.doze
	idle := c.idle.Load()
	if d.records.Load() == nil || idle == 0 || now-time.Duration(idle) < dozeAfter*tick || d.asleep.Load() || d.woken.Load() {
		return
	}
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

// idles waits for the first bytes of a request.
func (c *inward) idles() error {
	err := c.fill()
	for errors.Is(err, os.ErrDeadlineExceeded) && c.rouse() {
		if c.doze.records.Load().whole() {
			c.yield()
			c.doze.asleep.Store(true)
			err = c.doze.raw.Read(stirs)
			c.doze.asleep.Store(false)
			if err != nil {
				return err
			}
		}
		err = c.fill()
	}
	return err
}

// stirs reports whether there is something to be read, the connection's end
// included.
func stirs(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK) //nolint:gosec // a descriptor
	return !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
}
