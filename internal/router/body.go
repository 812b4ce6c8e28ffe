package router

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// replayLimit is how much of a body is kept so that it can be sent again.
const replayLimit = 64 << 10

// body is a request's body that can be read from the start again while no more
// than it may keep was taken from it. Attempts read it one after the other;
// the last reads of one that was given up may still be under way when the next
// begins, and what they get is not lost to it.
type body struct {
	keep int // how many bytes are kept

	mu    sync.Mutex
	src   io.Reader
	kept  []byte
	taken int   // bytes read from src
	err   error // how src ended
}

// newBody wraps the body of a request that may be sent again whole, or one
// that may not.
func newBody(req *http.Request, again bool) *body {
	b := &body{src: req.Body}
	if again {
		b.keep = replayLimit
	}
	return b
}

// replayable reports whether a new attempt would see the whole body.
func (b *body) replayable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken == len(b.kept) && (b.err == nil || errors.Is(b.err, io.EOF))
}

// attempt is a view of the body from its start.
func (b *body) attempt() io.ReadCloser { return &bodyView{body: b} }

type bodyView struct {
	body *body
	at   int
}

var errBodyGone = errors.New("the body was read by an earlier attempt")

func (v *bodyView) Read(p []byte) (int, error) {
	b := v.body
	b.mu.Lock()
	defer b.mu.Unlock()
	if v.at < len(b.kept) {
		n := copy(p, b.kept[v.at:])
		v.at += n
		return n, nil
	}
	if v.at < b.taken {
		return 0, errBodyGone
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	if b.taken+n <= b.keep {
		b.kept = append(b.kept, p[:n]...)
	}
	b.taken += n
	v.at += n
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", errClient, err)
	}
	b.err = err
	return n, err
}

// Close does nothing: the server closes the body when the handler returns.
func (v *bodyView) Close() error { return nil }
