package controller

import (
	"io"
	"sync"
)

// notices tells whoever waits for an app that something of it changed.
// A notice carries nothing: the waiter looks again.
type notices struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]struct{}
}

func newNotices() *notices {
	return &notices{waiting: make(map[string]map[chan struct{}]struct{})}
}

// subscribe returns a channel that holds a token whenever the app changed
// since the last receive, and the function that ends it.
func (n *notices) subscribe(app string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waiting[app] == nil {
		n.waiting[app] = make(map[chan struct{}]struct{})
	}
	n.waiting[app][ch] = struct{}{}
	return ch, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.waiting[app], ch)
		if len(n.waiting[app]) == 0 {
			delete(n.waiting, app)
		}
	}
}

func (n *notices) publish(app string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for ch := range n.waiting[app] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// progress carries the story of an app's rollout to the pushes that listen.
type progress struct {
	mu        sync.Mutex
	listeners map[string]map[*io.Writer]struct{}
}

func newProgress() *progress {
	return &progress{listeners: make(map[string]map[*io.Writer]struct{})}
}

// listen copies the app's story to out until the returned function is called.
func (p *progress) listen(app string, out io.Writer) func() {
	key := &out
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listeners[app] == nil {
		p.listeners[app] = make(map[*io.Writer]struct{})
	}
	p.listeners[app][key] = struct{}{}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.listeners[app], key)
		if len(p.listeners[app]) == 0 {
			delete(p.listeners, app)
		}
	}
}

// write hands text to every listener. A listener's failure is its own: the
// work it watches goes on.
func (p *progress) write(app, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for out := range p.listeners[app] {
		_, _ = io.WriteString(*out, text)
	}
}
