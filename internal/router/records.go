package router

import (
	"crypto/tls"
	"net"
	"sync"
)

// records is a connection as crypto/tls gets to see it: record by record (RFC
// 8446, 5.1). crypto/tls reads ahead what it can get and keeps it; here it gets
// nothing of a record before it has asked for it. So when it waits it holds
// nothing, and what came of the next record lies in a buffer of the pool, which
// there is only while something is in it.
type records struct {
	net.Conn
	in   wire    // the socket
	head [5]byte // of the record that is handed on
	have int     // of head
	left int     // of the record, once its head is whole

	mu    sync.Mutex // guards the rest
	holds int        // writes that are under way
	slab  *slab      // of held; nil: nothing is
	held  []byte
	err   error // of a write
}

func newRecords(conn, socket net.Conn, slabs *slabs) *records {
	r := &records{Conn: conn}
	r.in.begin(socket, false, slabs)
	return r
}

// Read gives bytes of one record.
func (r *records) Read(p []byte) (int, error) {
	if err := r.await(); err != nil {
		return 0, err
	}
	n := copy(p, r.in.buffered()[:r.reach()])
	r.pass(p[:n])
	r.in.r += n
	r.in.yield()
	return n, nil
}

// await waits, without a buffer, until Read will not.
func (r *records) await() error {
	if r.in.r < r.in.w {
		return nil
	}
	return r.in.fill()
}

// reach is how much of what is there is one record's.
func (r *records) reach() int {
	there := r.in.buffered()
	if r.left > 0 {
		return min(r.left, len(there))
	}
	head := r.head
	if r.have+copy(head[r.have:], there) < len(head) {
		return len(there)
	}
	return min(len(head)-r.have+length(head), len(there))
}

func length(head [5]byte) int { return int(head[3])<<8 | int(head[4]) }

// pass takes note of what was handed on, which is one record's.
func (r *records) pass(p []byte) {
	if r.left > 0 {
		r.left -= len(p)
		return
	}
	n := copy(r.head[r.have:], p)
	if r.have += n; r.have == len(r.head) {
		r.have, r.left = 0, length(r.head)-len(p[n:])
	}
}

// between reports whether nothing is there, and the last record was whole.
func (r *records) between() bool { return r.in.r == r.in.w && r.have == 0 && r.left == 0 }

// CloseWrite ends one direction.
func (r *records) CloseWrite() error {
	if half, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}

// sealed is a connection of TLS. crypto/tls makes the first records of a
// connection small, so that they can be read as they come; what is written at a
// time is handed to the socket at a time all the same.
type sealed struct {
	*tls.Conn
	under *records
}

func (s *sealed) Write(p []byte) (int, error) {
	if len(p) >= slabSize {
		return s.Conn.Write(p)
	}
	s.under.hold(1)
	n, err := s.Conn.Write(p)
	if failed := s.under.hold(-1); failed != nil {
		return 0, failed
	}
	return n, err
}

// hold begins a write, or ends one: then what was held goes out.
func (r *records) hold(writes int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holds += writes; r.holds > 0 {
		return nil
	}
	return r.send()
}

func (r *records) send() error {
	if r.slab == nil {
		return r.err
	}
	if r.err == nil {
		_, r.err = r.Conn.Write(r.held)
	}
	r.in.slabs.put(r.slab)
	r.slab, r.held = nil, nil
	return r.err
}

// Write takes whole records.
func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.held)+len(p) > slabSize {
		if err := r.send(); err != nil {
			return 0, err
		}
	}
	if r.holds == 0 || len(p) > slabSize {
		return r.Conn.Write(p)
	}
	if r.slab == nil {
		r.slab = r.in.slabs.get()
		r.held = r.slab[:0]
	}
	r.held = append(r.held, p...)
	return len(p), nil
}
