package router

import (
	"errors"
	"net/http"
	"time"
)

// carrier takes requests to one address and answers back. It is the only part
// of the router that knows how bytes move, and may be replaced whole.
type carrier interface {
	// carry sends req and relays the answer to w as it comes, both ways at
	// once, until both are done; an upgraded connection until it ends. It
	// fills in what p asks for. An error means that nothing of an answer was
	// written to w; it matches errRefused, errUnsent or errStale when the request
	// may be sent again. An answer that breaks off after its head aborts the handler
	// with http.ErrAbortHandler, and p.broken says so.
	carry(w http.ResponseWriter, req *http.Request, p *passage) error

	// close ends connections that carry nothing. The carrier stays usable.
	close()
}

// passage is what the router and a carrier tell each other of one attempt.
type passage struct {
	origin   origin      // in: what the app is told of the client
	draining func() bool // in: asked when the answer comes: should the client reconnect?

	status   int       // out: of the answer; 0 while there is none
	answered time.Time // out: when its head came
	broken   bool      // out: the app broke its answer off
}

var (
	// errRefused: no connection came about, so nothing was sent.
	errRefused = errors.New("no connection")
	// errUnsent: a connection that had served before was closed before
	// anything was sent.
	errUnsent = errors.New("nothing was sent")
	// errStale: a connection that had served before ended without a byte of
	// an answer; most likely the instance closed it before the request came.
	errStale = errors.New("the connection was closed before an answer")
	// errTimeout: the answer did not begin in time.
	errTimeout = errors.New("no answer in time")
	// errClient: the client did not finish its request.
	errClient = errors.New("the client broke off")
)
