package h2

import (
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
)

// Options are the bounds of a connection. The zero value of each field stands
// for its default.
type Options struct {
	// MaxStreams is how many requests of one connection are served at once;
	// more are refused, to be sent again. Default 250.
	MaxStreams int

	// HeaderList bounds the names and values of a head in bytes, 32 more
	// counted for each field (RFC 9113, 6.5.2); over it a client gets 431.
	// Default 64 KiB. MaxFields bounds their number, 256, and MaxTarget the
	// path with its query, 16 KiB.
	HeaderList, MaxFields, MaxTarget int

	// StreamWindow is how much of a body may come before it is read. Default
	// 64 KiB. It grows, up to MaxWindow, 1 MiB, for one that is read faster
	// than it comes.
	StreamWindow, MaxWindow int

	// Buffered bounds what has come of all bodies of a connection and was not
	// read. Default 4 MiB. Until it is reached no slow reader holds up others.
	Buffered int

	// IdleTimeout is how long a connection is kept without a request. Default 75 s.
	IdleTimeout time.Duration

	// HeaderTimeout is how long a peer has for its preface, for a head from its
	// first frame to its last, and without a request for any frame that has begun.
	// Default 10 s.
	HeaderTimeout time.Duration

	// StallTimeout is how long a stream may wait for its peer's window; then it
	// is reset. Default 60 s. Longer lets peers that read nothing keep answers
	// in memory.
	StallTimeout time.Duration

	// WriteTimeout is how long one write to the connection may take; then it
	// is cut off. Default 60 s.
	WriteTimeout time.Duration

	// Resets is how many streams a peer may have reset, or had refused or reset
	// for its own faults, before it has to leave. One comes back for each request
	// answered wholly, and ten a second. Default 400.
	Resets int

	// Controls is the same for frames that carry nothing: each of SETTINGS, PING,
	// PRIORITY, WINDOW_UPDATE, empty DATA, unknown ones. Two come back for each
	// head, one for each piece of an answer and for 512 bytes either way, and a
	// hundred a second. Default 2,000.
	Controls int

	// Bug, if set, is told of a panic while frames were read, which ends the
	// connection alone (INTERNAL_ERROR).
	Bug func(any)

	// Malformed, if set, is told by a server's connection of each request that
	// it reset for breaking a rule, as far as it was understood: nothing in it was
	// checked, and it holds for the call alone. It must not block.
	Malformed func(*h1.Request)

	// Quiet, if set, is told by a server's connection whenever the last of its
	// requests has ended (true) and the first began (false). It must not block.
	Quiet func(bool)

	// Park, if set, is asked by a server's connection that was told to rest, has
	// no request and nothing to write, and holds nothing of what came: whether
	// what is below it can wait by itself until there is something to read. If so
	// Serve returns ErrParked, and is to be called again then, or when Wake says
	// that the connection has something to do, whichever is first. Neither may
	// block, nor call the connection.
	Park func() bool
	Wake func()
}

func (o Options) withDefaults() Options {
	orDefault(&o.MaxStreams, 250)
	orDefault(&o.HeaderList, 64<<10)
	orDefault(&o.MaxFields, 256)
	orDefault(&o.MaxTarget, 16<<10)
	orDefault(&o.StreamWindow, 64<<10)
	orDefault(&o.MaxWindow, 1<<20)
	orDefault(&o.Buffered, 4<<20)
	// Peers may send as much before they have heard of other windows.
	o.StreamWindow, o.Buffered = max(o.StreamWindow, firstWindow), max(o.Buffered, firstWindow)
	o.MaxWindow = max(o.MaxWindow, o.StreamWindow)
	orDefault(&o.IdleTimeout, 75*time.Second)
	orDefault(&o.HeaderTimeout, 10*time.Second)
	orDefault(&o.StallTimeout, 60*time.Second)
	orDefault(&o.WriteTimeout, 60*time.Second)
	orDefault(&o.Resets, 400)
	orDefault(&o.Controls, 2000)
	return o
}

func orDefault[T ~int | ~int64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

func (o *Options) limits() h1.Limits {
	return h1.Limits{Head: o.HeaderList, Target: o.MaxTarget, Fields: o.MaxFields}
}
