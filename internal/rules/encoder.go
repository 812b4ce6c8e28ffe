package rules

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// How hard is tried. An edge compresses what it sends once, so the speed of
// each is near that of the network, and the windows are small: a client needs
// no more than 8 MiB of zstd's (RFC 9659), and many answers are open at once.
const (
	gzipLevel    = 5
	brotliLevel  = 4
	brotliWindow = 18        // bits: 256 KiB
	zstdWindow   = 256 << 10 // bytes
)

// Encoders lends what compresses answers. One serves all apps of a router; what
// it holds is bounded.
type Encoders struct {
	most          int64
	open, streams atomic.Int64
	pools         [codings]sync.Pool
}

// NewEncoders holds none yet. At most so many answers are compressed at the same
// time, half of them streams; each takes 1 to 1.5 MiB. Others go as the app wrote
// them.
func NewEncoders(most int) *Encoders {
	e := &Encoders{most: int64(most)}
	e.pools[gzipped].New = func() any {
		w, _ := gzip.NewWriterLevel(nil, gzipLevel) // a level that it has
		return w
	}
	e.pools[brotlied].New = func() any {
		return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: brotliLevel, LGWin: brotliWindow})
	}
	e.pools[zstandard].New = func() any {
		w, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true)) // options that it has
		return w
	}
	return e
}

// compressor is what all three libraries have.
type compressor interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// Encoder compresses one body. Its owner calls Close at the body's end, or
// Abort when it has none; after either it belongs to nobody.
type Encoder struct {
	of     *Encoders
	coding coding
	inner  compressor
	stream bool // one of Encoders.streams
	eager  bool // its app may go on at any time, or not
}

// Begin lends an encoder for an answer that is Coded, whose output goes to w;
// nil when too many are lent already: then the answer is to be Plain.
func (e *Encoders) Begin(s *Shown, w io.Writer) *Encoder {
	if e.open.Add(1) > e.most {
		e.open.Add(-1)
		return nil
	}
	// Streams stay, so they may not have all.
	if s.stream && e.streams.Add(1) > e.most/2 {
		e.streams.Add(-1)
		e.open.Add(-1)
		return nil
	}
	inner, _ := e.pools[s.coding].Get().(compressor) // made by New above
	inner.Reset(w)
	return &Encoder{of: e, coding: s.coding, inner: inner, stream: s.stream, eager: s.length < 0}
}

// Write compresses p; the output may be kept back until Flush.
func (e *Encoder) Write(p []byte) (int, error) { return e.inner.Write(p) }

// Flush writes what is kept back, of an answer whose length nobody knows: an
// event counts when it is said. Others come soon, and are smaller in one piece.
func (e *Encoder) Flush() error {
	if !e.eager {
		return nil
	}
	return e.inner.Flush()
}

// Close ends the body well. Write must not be called after it.
func (e *Encoder) Close() error {
	err := e.inner.Close()
	e.leave()
	return err
}

// Abort ends a body that has no end: what the client has of it does not look
// complete.
func (e *Encoder) Abort() { e.leave() }

func (e *Encoder) leave() {
	e.inner.Reset(nil) // it holds on to nobody's connection
	e.of.pools[e.coding].Put(e.inner)
	if e.stream {
		e.of.streams.Add(-1)
	}
	e.of.open.Add(-1)
}
