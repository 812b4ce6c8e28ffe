package router

import (
	"crypto/tls"
	"net/netip"

	"github.com/slipway-paas/slipway/internal/h1"
)

// client is who asked one request and gets its answer: an HTTP/1.1 connection,
// or a stream of HTTP/2. Its methods are for one goroutine, but next, which may
// be another's than the rest, and hurry.
type client interface {
	// whole is the request's body, when all of it is there already; it holds
	// until the exchange ends. Else next brings it piece by piece, io.EOF at
	// its end, and then trailers. A piece holds until the next call.
	whole() (body []byte, ok bool)
	next() ([]byte, error)
	trailers() []byte
	// hurry has next fail soon: nobody wants the rest of the body.
	hurry()

	// interim sends a head that another follows; answer the final one, whose
	// body follows by write and end. What is sent may be kept back until flush,
	// which is called at the end too.
	// An error means that the client is gone.
	interim(res *h1.Response) error
	answer(res *h1.Response, back *h1.Back) error
	sink

	// tunnel is the connection after 101 was answered, the bytes that came
	// already included; nil: it cannot be had.
	tunnel() *wire
	// abort has the client see that the answer is not whole.
	abort()
	// gone is closed when the client has left.
	gone() <-chan struct{}
}

// sink takes an answer's body. What changes a body on its way back is a sink
// before a sink.
type sink interface {
	write(p []byte) error
	flush() error
	end(trailers []byte) error
}

// frame has an answer's body end in a way that a client of HTTP/1.minor reads.
func frame(back *h1.Back, minor int) (chunked, unended bool) {
	if !back.Bodiless && back.Length < 0 {
		back.Length = h1.Chunked
		if minor == 0 {
			back.Length, back.Close = h1.UntilClose, true
		}
	}
	return !back.Bodiless && back.Length == h1.Chunked, !back.Bodiless && back.Length == h1.UntilClose
}

// peer is the other end of a client's connection.
type peer struct {
	addr, local netip.AddrPort
	name        string               // addr without its port, as text
	tls         *tls.ConnectionState // nil: plain HTTP
}
