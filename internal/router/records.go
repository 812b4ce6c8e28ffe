package router

import (
	"net"
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
