package gitserver

import (
	"context"
	"sync"

	"github.com/slipway-paas/slipway/internal/platform"
)

var (
	// errOngoing is what a second push of an app is told.
	errOngoing = &platform.UserError{Kind: platform.ErrBusy, Message: "Another git push is ongoing"}
	errClosing = &platform.UserError{Kind: platform.ErrUnavailable, Message: "the git server is going down: push again in a moment"}
)

// pushes are the push locks: at most one push of an app at a time. They live
// in memory, so that none outlives the server.
type pushes struct {
	mu      sync.Mutex
	running map[string]*turn
	guests  int // conversations about a push, from before its turn to the last word
	closed  bool
	idle    chan struct{} // closed once closed and nothing of a push is left
}

// turn is the right to push to an app, until end is called.
type turn struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

func newPushes() *pushes {
	return &pushes{running: make(map[string]*turn), idle: make(chan struct{})}
}

// take returns a context for the push, which ends only with it or by cancel,
// and never because ctx does. errOngoing when another push has the turn.
func (p *pushes) take(ctx context.Context, app string) (pushCtx context.Context, end func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errClosing
	}
	if p.running[app] != nil {
		return nil, nil, errOngoing
	}
	pushCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.running[app] = &turn{cancel: cancel, ended: make(chan struct{})}
	return pushCtx, func() { p.end(app) }, nil
}

func (p *pushes) end(app string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mine := p.running[app]
	delete(p.running, app)
	mine.cancel()
	close(mine.ended)
	p.settle()
}

// settle is called with the lock held when something may have ended.
func (p *pushes) settle() {
	if !p.closed || len(p.running) > 0 || p.guests > 0 {
		return
	}
	select {
	case <-p.idle:
	default:
		close(p.idle)
	}
}

// visit keeps the pushes from being idle until leave is called, so that a
// client is told how its push ended before its connection goes.
func (p *pushes) visit() (leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.guests++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.guests--
		p.settle()
	}
}

// ongoing reports whether somebody pushes to the app.
func (p *pushes) ongoing(app string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running[app] != nil
}

// cancel ends the push of an app; the channel closes when it is over.
func (p *pushes) cancel(app string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if mine := p.running[app]; mine != nil {
		mine.cancel()
		return mine.ended
	}
	over := make(chan struct{})
	close(over)
	return over
}

func (p *pushes) cancelAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, mine := range p.running {
		mine.cancel()
	}
}

// close refuses further pushes; the channel closes when the last one is over.
func (p *pushes) close() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.settle()
	return p.idle
}
