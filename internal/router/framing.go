package router

import (
	"errors"
	"io"

	"github.com/slipway-paas/slipway/internal/h1"
)

// framing finds a body in the bytes of a connection.
type framing struct {
	left   int64 // bytes to come, h1.Chunked or h1.UntilClose
	chunks h1.Chunks
	done   bool
}

func (f *framing) begin(length int64) {
	f.left, f.done = length, length == 0
	if length == h1.Chunked {
		f.chunks.Reset()
	}
}

// take cuts the body's bytes off the start of buf: data is a part of buf, took
// how much of it was used up. Chunks are put together in place.
func (f *framing) take(buf []byte) (data []byte, took int, err error) {
	switch f.left {
	case h1.UntilClose:
		return buf, len(buf), nil
	case h1.Chunked:
		return f.join(buf)
	}
	n := int(min(f.left, int64(len(buf))))
	f.left -= int64(n)
	f.done = f.left == 0
	return buf[:n], n, nil
}

func (f *framing) join(buf []byte) (data []byte, took int, err error) {
	n := 0
	for took < len(buf) && !f.done {
		piece, used, err := f.chunks.Next(buf[took:])
		if err != nil {
			return nil, took, err
		}
		n += copy(buf[n:], piece)
		took += used
		f.done = f.chunks.Done()
	}
	return buf[:n], took, nil
}

// next is more of a body from w, or io.EOF at its end. The bytes hold until
// the wire is read again.
func (f *framing) next(w *wire) ([]byte, error) {
	for !f.done {
		if w.r == w.w {
			err := w.fill()
			if errors.Is(err, io.EOF) {
				if f.left == h1.UntilClose {
					f.done = true
					return nil, io.EOF
				}
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return nil, err
			}
		}
		data, took, err := f.take(w.buffered())
		if w.r += took; err != nil {
			return nil, err
		}
		if len(data) > 0 {
			return data, nil
		}
	}
	return nil, io.EOF
}

// ready reports whether next will not wait.
func (f *framing) ready(w *wire) bool { return f.done || w.r < w.w }

// trailers are those of a body that came in chunks and is done.
func (f *framing) trailers() []byte {
	if f.left == h1.Chunked && f.done {
		return f.chunks.Trailers()
	}
	return nil
}
