package router

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// slab is what a connection reads into. Connections that wait have none.
type slab [slabSize]byte

const slabSize = 16 << 10

// tub is what a connection reads into that fills slab after slab.
type tub [4 * slabSize]byte

// slabs are those that nobody uses.
type slabs struct{ pool, tubs, crates sync.Pool }

func (s *slabs) get() *slab {
	if free, ok := s.pool.Get().(*slab); ok {
		return free
	}
	return new(slab)
}

func (s *slabs) put(used *slab) {
	if used != nil {
		s.pool.Put(used)
	}
}

// wire is a connection and the bytes that came from it and were not taken yet.
// One goroutine reads it at a time.
type wire struct {
	conn  net.Conn
	raw   syscall.RawConn // nil: its bytes come by conn alone (TLS)
	slabs *slabs
	under *records // what is below conn; nil: there is no TLS
	more  bool     // conn may hold more that came

	slab *slab  // what data is; nil: no buffer, or a larger one
	tub  *tub   // the same
	data []byte // what is there is data[r:w]
	r, w int

	// What turn does, and what came of it.
	turn func(fd uintptr) bool // w.look, made once
	task task
	send []byte // for ask: what is still to be written
	err  error
}

type task uint8

const (
	toRead  task = iota
	toAsk        // see that nothing came, write send, read
	toCheck      // see that nothing came
)

// begin makes w the wire of a connection; secure says that its bytes are not
// those that go over the network.
func (w *wire) begin(conn net.Conn, secure bool, slabs *slabs) {
	*w = wire{conn: conn, slabs: slabs}
	if with, ok := conn.(syscall.Conn); ok && !secure {
		if raw, err := with.SyscallConn(); err == nil {
			w.raw = raw
		}
	}
	w.turn = w.look
}

func (w *wire) buffered() []byte { return w.data[w.r:w.w] }

// yield gives the buffer back when nothing is in it.
func (w *wire) yield() {
	if w.r == w.w {
		w.giveBack()
		w.data, w.r, w.w = nil, 0, 0
	}
}

func (w *wire) giveBack() {
	if w.tub != nil {
		w.slabs.tubs.Put(w.tub)
	}
	w.slabs.put(w.slab)
	w.slab, w.tub = nil, nil
}

// drop forgets what is there, and the buffer.
func (w *wire) drop() {
	w.r = w.w
	w.yield()
}

// room makes some for more bytes at the end: a buffer, or one twice as large.
// The bytes keep their places, relative to the first that is there.
func (w *wire) room() {
	switch {
	case w.data == nil:
		w.slab = w.slabs.get()
		w.data = w.slab[:]
	case w.r == w.w && w.w == slabSize && w.slab != nil:
		w.larger() // it was full, and there may be much more
	case w.r == w.w:
		w.r, w.w = 0, 0
	case w.w < len(w.data):
	case w.r > 0:
		w.w = copy(w.data, w.buffered())
		w.r = 0
	default:
		larger := make([]byte, 2*len(w.data))
		copy(larger, w.data)
		w.giveBack()
		w.data = larger
	}
}

// larger takes a tub for the slab, which holds nothing any more.
func (w *wire) larger() {
	w.giveBack()
	var ok bool
	if w.tub, ok = w.slabs.tubs.Get().(*tub); !ok {
		w.tub = new(tub)
	}
	w.data, w.r, w.w = w.tub[:], 0, 0
}

// fill waits for more bytes. A wire without any holds no buffer meanwhile.
func (w *wire) fill() error {
	if w.raw == nil {
		if w.under != nil && w.r == w.w && !w.more {
			w.yield()
			if err := w.under.await(); err != nil {
				return err
			}
		}
		w.room()
		n, err := w.conn.Read(w.data[w.w:])
		w.w += n
		w.more = w.w == len(w.data)
		if n > 0 {
			return nil
		}
		return err
	}
	w.task = toRead
	return w.do()
}

// Nothing was sent: the other side has closed the connection, or has said
// something without being asked.
var (
	errClosed = errors.New("the connection was closed")
	errTalked = errors.New("the other side spoke first")
)

// ask writes p, unless the other side has closed or said something since, and
// waits for its first bytes. The poller is asked once for both. It is for
// wires with raw.
func (w *wire) ask(p []byte) error {
	w.task, w.send = toAsk, p
	err := w.do()
	if rest := w.send; err == nil && len(rest) > 0 { // it did not fit into the socket
		w.send = nil
		if _, err = w.conn.Write(rest); err == nil {
			err = w.fill()
		}
	}
	w.send = nil
	return err
}

// check is errClosed or errTalked when ask would say so.
func (w *wire) check() error {
	w.task = toCheck
	return w.do()
}

func (w *wire) do() error {
	w.err = nil
	if err := w.raw.Read(w.turn); err != nil {
		return err
	}
	return w.err
}

// look is called by the poller whenever there may be something to read, and
// says whether that is enough.
func (w *wire) look(fd uintptr) (enough bool) {
	w.room()
	n, err := syscall.Read(int(fd), w.data[w.w:]) //nolint:gosec // a descriptor
	for errors.Is(err, syscall.EINTR) {
		n, err = syscall.Read(int(fd), w.data[w.w:]) //nolint:gosec // a descriptor
	}
	silent := err == syscall.EAGAIN
	switch {
	case w.task != toRead && !silent:
		if w.err = errClosed; err == nil && n > 0 {
			w.err = errTalked
		}
		return true
	case w.task == toCheck:
		return true
	case w.task == toAsk:
		w.task = toRead
		w.yield()
		return !w.write(fd)
	case silent:
		w.yield()
		return false
	case err != nil:
		w.err = os.NewSyscallError("read", err)
	case n == 0:
		w.err = io.EOF
	default:
		w.w += n
	}
	return true
}

// write writes send, and reports whether all of it went.
func (w *wire) write(fd uintptr) (whole bool) {
	n, err := syscall.Write(int(fd), w.send) //nolint:gosec // a descriptor
	if err != nil {
		if err != syscall.EAGAIN && err != syscall.EINTR {
			w.err, w.send = errClosed, nil // it had been closed: not a byte of this went
		}
		return false
	}
	w.send = w.send[n:]
	return len(w.send) == 0
}
