package gitserver

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// outboxSize is how many bytes may wait for a slow reader.
const outboxSize = 1 << 20

// outbox carries bytes to a reader that may be slow, stopped or gone, in order
// and on a goroutine of its own. Writing to it never fails. When it is full, a
// writer waits at most the patience; after that the reader counts as gone. An
// outbox without patience drops the piece instead, says so later, and goes on.
type outbox struct {
	to       io.Writer
	hangUp   func() // makes a blocked write to the reader return
	patience time.Duration
	drained  chan struct{} // closed when nothing will be written any more

	mu      sync.Mutex
	changed *sync.Cond
	buf     []byte
	dropped int
	inLine  bool // the last byte taken was not the end of a line
	shut    bool // no more will be put in
	gone    bool // nobody reads: swallow everything
}

func newOutbox(to io.Writer, patience time.Duration, hangUp func()) *outbox {
	o := &outbox{to: to, hangUp: hangUp, patience: patience, drained: make(chan struct{})}
	o.changed = sync.NewCond(&o.mu)
	go o.drain()
	return o
}

// Write takes p whole; it always succeeds.
func (o *outbox) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.fits(len(p)) && o.patience > 0 {
		o.await(len(p))
	}
	switch {
	case o.shut || o.gone:
	case !o.fits(len(p)):
		o.dropped += len(p)
	default:
		o.admitDropped()
		o.buf = append(o.buf, p...)
		o.inLine = len(p) > 0 && p[len(p)-1] != '\n'
		o.changed.Broadcast()
	}
	return len(p), nil
}

// admitDropped says what is missing at this place, if anything is.
func (o *outbox) admitDropped() {
	if o.dropped > 0 {
		o.buf = fmt.Appendf(o.buf, "\n[%d bytes of output are not shown: the connection is too slow]\n", o.dropped)
		o.dropped, o.inLine = 0, false
	}
}

// fits reports whether n more bytes may wait; one piece always may.
func (o *outbox) fits(n int) bool {
	return len(o.buf) == 0 || len(o.buf)+n <= outboxSize || o.shut || o.gone
}

// await waits for room, and gives the reader up when none comes.
func (o *outbox) await(n int) {
	late := false
	timer := time.AfterFunc(o.patience, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		late = true
		o.changed.Broadcast()
	})
	defer timer.Stop()
	for !o.fits(n) && !late {
		o.changed.Wait()
	}
	if !o.fits(n) {
		o.giveUp()
	}
}

// giveUp is called with the lock held.
func (o *outbox) giveUp() {
	if o.gone {
		return
	}
	o.gone, o.buf = true, nil
	o.changed.Broadcast()
	if o.hangUp != nil {
		go o.hangUp()
	}
}

// drain writes what waits, until the outbox is shut and empty or given up.
func (o *outbox) drain() {
	defer close(o.drained)
	var spare []byte
	for {
		o.mu.Lock()
		for len(o.buf) == 0 && !o.shut && !o.gone {
			o.changed.Wait()
		}
		batch := o.buf
		o.buf = spare[:0]
		over := len(batch) == 0
		o.changed.Broadcast()
		o.mu.Unlock()
		if over {
			return
		}
		if _, err := o.to.Write(batch); err != nil {
			o.mu.Lock()
			o.giveUp()
			o.mu.Unlock()
			return
		}
		spare = batch
	}
}

// Close puts last in, full or not, on a line of its own; writes what waits, for
// at most the given time; and returns when nothing is written any more.
func (o *outbox) Close(last string, within time.Duration) {
	o.mu.Lock()
	if !o.gone {
		o.admitDropped()
		if last != "" && o.inLine {
			last = "\n" + last
		}
		o.buf = append(o.buf, last...)
	}
	o.shut = true
	o.changed.Broadcast()
	o.mu.Unlock()
	late := time.AfterFunc(within, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.giveUp()
	})
	<-o.drained
	late.Stop()
}
