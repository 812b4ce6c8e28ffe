package router

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// What a loop does not do itself a goroutine does. The connection goes over with
// the bytes that came of it, and comes back once it rests: the next request is
// most likely one for the loop again. Where that proves wrong again and again,
// more and more requests are led by the goroutine before it goes back.

// maxStay is how many requests a goroutine leads at most before.
const maxStay = 64

// resign leaves the request that has just begun to a goroutine, as if it had
// never begun.
func (c *inSocket) resign(l *loop) {
	a := c.act
	c.act = nil
	a.x.giveBack()
	a.x.admission.held.Release()
	l.drop(a)
	l.router.open.leave()
	c.handOver(l)
}

// handOver gives the connection, and what came of it, to a goroutine.
func (c *inSocket) handOver(l *loop) {
	l.release(c.fd)
	c.ended = true
	file := os.NewFile(uintptr(c.fd), "client") //nolint:gosec // a descriptor
	conn, err := net.FileConn(file)
	_ = file.Close()
	if err == nil {
		in := l.router.inwardOf(conn, c.door)
		in.peer.name, in.known = c.peer.name, c.known
		if c.known {
			in.peer.addr = c.peer.addr
		}
		in.home, in.handed, in.stays = l, int(c.handed)+1, min(int(c.handed)+1, maxStay)
		if c.r < c.w {
			in.slab, in.data, in.r, in.w = c.slab, c.slab[:], c.r, c.w
			c.slab = nil
		}
		if in.enter() { // before it parts: who waits until there is none counts both
			go in.attend(false) // ends with the connection, or gives it back
		}
	} else {
		c.door.Close()
		l.router.log.Debug("connection could not be handed over", "err", err)
	}
	c.yield(l)
	l.part()
}

// goHome gives a connection that rests back to the loop that it came from.
func (c *inward) goHome() (gone bool) {
	l := c.home
	if c.stays--; l == nil || c.r < c.w || c.stays > 0 || c.canPass() || c.x.app != nil && !c.x.app.fast() {
		return false
	}
	fd, err := sameSocket(c.conn)
	if err != nil {
		return false
	}
	s := &inSocket{fd: fd, peer: c.peer, door: c.door, known: true, handed: int32(c.handed)} //nolint:gosec // it is small
	l.arrive()
	if !l.post(func() { s.begins(l, l.router.opt.IdleTimeout) }) {
		l.part()
		unix.Close(fd)
		return false
	}
	c.drop()
	c.router.watch.remove(c)
	_ = c.conn.Close()
	return true
}

// sameSocket is another descriptor of a connection's socket.
func sameSocket(conn net.Conn) (fd int, err error) {
	failed := withSocket(conn, func(of int) { fd, err = unix.FcntlInt(uintptr(of), unix.F_DUPFD_CLOEXEC, 0) }) //nolint:gosec // a descriptor
	return fd, errors.Join(err, failed)
}
