package router

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// parking is where connections of TLS wait that are idle for a while: in an epoll(7)
// of its own, with no goroutine and no buffer. The first byte has a goroutine
// begin that leads the connection on.
type parking struct {
	mu   sync.Mutex
	poll *os.File // nil: nobody came yet
	over bool
	went int           // how many were led on
	all  map[int]*spot // by descriptor
	done chan struct{}
}

// spot is a connection's place in the lot, for once.
type spot struct {
	conn *sealed
	by   parker
	fd   int
	gone bool // guarded by the lot's: the connection is somebody's again
}

// parker is who parks a connection.
type parker interface {
	// resume leads the connection on, in a goroutine of its own.
	resume()
}

// park takes p in; false: it is not the lot's, and will not be.
func (l *parking) park(p *spot) (in bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.gone || !l.begin() {
		return false
	}
	err := p.conn.under.in.raw.Control(func(fd uintptr) {
		p.fd = int(fd)
		l.all[p.fd] = p
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(fd)} //nolint:gosec // a descriptor
		err := l.control(unix.EPOLL_CTL_ADD, &event)
		if errors.Is(err, unix.EEXIST) { // it was here before
			err = l.control(unix.EPOLL_CTL_MOD, &event)
		}
		if in = err == nil; !in {
			delete(l.all, p.fd)
		}
	})
	return in && err == nil
}

// control is epoll_ctl for a descriptor.
func (l *parking) control(what int, event *unix.EpollEvent) error {
	raw, err := l.poll.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(epoll uintptr) { err = unix.EpollCtl(int(epoll), what, int(event.Fd), event) })
	return errors.Join(failed, err)
}

// begin makes the lot, once.
func (l *parking) begin() bool {
	if l.over || l.poll != nil {
		return !l.over
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that Go's own poller waits for it
		unix.Close(fd)
		return false
	}
	l.poll = os.NewFile(uintptr(fd), "epoll")
	raw, err := l.poll.SyscallConn()
	if err != nil {
		return false
	}
	l.all, l.done = map[int]*spot{}, make(chan struct{})
	go l.run(raw) // end ends it
	return true
}

// run has those led on to whom something came.
func (l *parking) run(raw syscall.RawConn) {
	defer close(l.done)
	events := make([]unix.EpollEvent, 128)
	n := 0
	look := func(fd uintptr) bool {
		n, _ = unix.EpollWait(int(fd), events, 0) // interrupted, it is asked again
		return n > 0
	}
	for raw.Read(look) == nil {
		for _, event := range events[:n] {
			l.mu.Lock()
			p := l.all[int(event.Fd)]
			l.mu.Unlock()
			if p != nil && l.take(p) { // else it was taken meanwhile
				go p.by.resume() // ends with the connection, which the router's end cuts
			}
		}
	}
}

// take makes p the caller's; false: it is somebody's already.
func (l *parking) take(p *spot) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.gone {
		return false
	}
	p.gone = true
	if l.all[p.fd] != p { // it is not here yet
		return false
	}
	delete(l.all, p.fd)
	l.went++
	return true
}

// end is the last that is done with the lot, when nobody is there any more.
func (l *parking) end() {
	l.mu.Lock()
	l.over = true
	poll := l.poll
	l.mu.Unlock()
	if poll != nil {
		_ = poll.Close()
		<-l.done
	}
}

// parked is a connection of HTTP/1.1 in the lot, and all that is kept of it.
type parked struct {
	spot
	router *Router
	socket net.Conn
	peer   peer
	door   entrance
	idle   int64         // since when
	due    time.Duration // when it is closed
	place  seat
}

// close ends the connection of one that was taken.
func (p *parked) close() {
	_ = p.socket.Close()
	p.router.watch.remove(p)
	p.door.Close()
}

// resume leads the connection on.
func (p *parked) resume() {
	c := &inward{router: p.router, socket: p.socket, peer: p.peer, door: p.door}
	c.begin(p.conn, true, &p.router.slabs)
	c.under, c.doze.due = p.conn.under, p.due
	c.idle.Store(p.idle)
	c.inDue.Store(min(int64(p.due), c.from(p.router.opt.HeaderTimeout)))
	c.doze.parks.Store(true)
	if !p.router.watch.swap(p, c) {
		p.close()
		return
	}
	c.serve()
}

func (p *parked) seat() *seat                  { return &p.place }
func (p *parked) counts() bool                 { return true }
func (p *parked) quiet() (time.Duration, bool) { return time.Duration(p.idle), true }

func (p *parked) cut() {
	if p.router.parking.take(&p.spot) {
		go p.close() // ends at once
	}
}

func (p *parked) look(now, _ time.Duration) {
	if p.due <= now {
		p.cut()
	}
}
