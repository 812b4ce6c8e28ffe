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
	held  []byte     // what they are, in one of the next two
	slab  *slab
	crate *crate
	err   error // of a write to the socket
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

// crate is what records wait in for more of the same write: four of the largest.
type crate [66 << 10]byte

// sealed is a connection of TLS. crypto/tls hands on record by record, the first
// of a connection small ones, so that they can be read as they come; what is
// written at a time goes to the socket at a time all the same.
type sealed struct {
	*tls.Conn
	under *records
	more  bool // crypto/tls may hold more of a record
}

func (s *sealed) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.more = n == len(p)
	return n, err
}

// Await waits, without a buffer, until Read will not.
func (s *sealed) Await() error {
	if s.more {
		return nil
	}
	return s.under.await()
}

func (s *sealed) Write(p []byte) (int, error) {
	s.under.hold(len(p))
	n, err := s.Conn.Write(p)
	if failed := s.under.release(); failed != nil {
		return 0, failed
	}
	return n, err
}

// hold begins a write of so many bytes.
func (r *records) hold(size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holds++; r.holds > 1 {
		return
	}
	if size <= slabSize*3/4 { // it grows a little
		r.slab = r.in.slabs.get()
		r.held = r.slab[:0]
		return
	}
	var ok bool
	if r.crate, ok = r.in.slabs.crates.Get().(*crate); !ok {
		r.crate = new(crate)
	}
	r.held = r.crate[:0]
}

// release ends one: what was held goes out.
func (r *records) release() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holds--; r.holds > 0 {
		return nil
	}
	r.send()
	r.in.slabs.put(r.slab)
	if r.crate != nil {
		r.in.slabs.crates.Put(r.crate)
	}
	r.slab, r.crate, r.held = nil, nil, nil
	return r.err
}

func (r *records) send() {
	if r.err == nil && len(r.held) > 0 {
		_, r.err = r.Conn.Write(r.held)
	}
	r.held = r.held[:0]
}

// Write takes whole records.
func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.held)+len(p) > cap(r.held) {
		r.send()
	}
	switch {
	case r.err != nil:
		return 0, r.err
	case len(p) > cap(r.held): // nobody holds
		return r.Conn.Write(p)
	}
	r.held = append(r.held, p...)
	return len(p), nil
}
