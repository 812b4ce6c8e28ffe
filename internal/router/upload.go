package router

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/slipway-paas/slipway/internal/rules"
)

// replayLimit is how much of a body is kept so that it can be sent again.
const replayLimit = 64 << 10

// upload brings the body of a request to whoever is to have it, in a goroutine
// of its own while the answer comes the other way. One that is sent again is
// begun with what was kept of it.
type upload struct {
	client  client
	vouched bool        // by a trusted proxy: see isOurs
	broke   func(error) // told when the client does not finish the body

	mu     sync.Mutex
	change sync.Cond // of target, failed and over
	target link      // nil: nobody takes it now
	failed error     // why target takes no more
	over   bool      // nobody will
	ended  bool      // all of it was read
	err    error     // why it never will be
	keep   bool      // kept is all that was read
	kept   []byte
	begun  bool          // something was read
	most   int64         // how much there may be; 0: any
	size   int64         // how much there was
	done   chan struct{} // of the goroutine; nil: there is none
	sent   func()        // told when target has all of it
}

// begin readies u for the body of a request; again says that it may be sent twice.
func (u *upload) begin(c client, vouched, again bool, sent func(), broke func(error)) {
	u.client, u.vouched, u.sent, u.broke = c, vouched, sent, broke
	u.change.L = &u.mu
	u.target, u.failed, u.err, u.done = nil, nil, nil, nil
	u.over, u.ended, u.begun, u.size = false, false, false, 0
	u.keep, u.kept = again, u.kept[:0]
}

// replayable reports whether a new target would see the whole body.
func (u *upload) replayable() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return (u.keep || !u.begun) && u.err == nil
}

// to leads the body to l, which has the head: what was kept first. One that
// turns out to have more than most is broken off.
func (u *upload) to(l link, most int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.target, u.most = l, most
	if u.failed = l.write(u.kept); u.ended {
		u.finish()
		return
	}
	if u.done == nil {
		u.done = make(chan struct{})
		go u.pump(u.done)
		return
	}
	u.change.Broadcast()
}

// off ends that the target gets any of it, and reports whether it got all. The
// target is closed by then, or has all.
func (u *upload) off() (whole bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	whole = u.target != nil && u.ended && u.failed == nil
	u.target = nil
	return whole
}

// stop ends the goroutine.
func (u *upload) stop() {
	u.mu.Lock()
	u.over, u.target = true, nil
	done, running := u.done, u.done != nil && !u.ended && u.err == nil
	u.change.Broadcast()
	u.mu.Unlock()
	if running {
		u.client.hurry()
	}
	if done != nil {
		<-done
	}
	if cap(u.kept) > 4<<10 {
		u.kept = nil
	}
}

// abandon is stop for one that nobody waits for.
func (u *upload) abandon() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over = true; u.done != nil {
		u.change.Broadcast()
	}
}

func (u *upload) pump(done chan struct{}) {
	defer close(done)
	for u.wanted() {
		data, err := u.client.next()
		if !u.pass(data, err) {
			return
		}
	}
}

// wanted waits until somebody takes more of the body, and reports false when
// nobody will.
func (u *upload) wanted() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for !u.over && (u.target == nil || u.failed != nil) {
		u.change.Wait()
	}
	return !u.over
}

// pass hands on what was read, and reports whether there may be more.
func (u *upload) pass(data []byte, err error) (more bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.begun = u.begun || len(data) > 0
	if u.size += int64(len(data)); u.most > 0 && u.size > u.most {
		data, err = nil, errTooLarge
	}
	if u.keep = u.keep && len(u.kept)+len(data) <= replayLimit; u.keep {
		u.kept = append(slices.Grow(u.kept, len(data)), data...)
	}
	if len(data) > 0 && u.target != nil && u.failed == nil {
		u.failed = u.target.write(data)
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, io.EOF):
		u.ended = true
		if u.target != nil {
			u.finish()
		}
	case !u.over:
		u.err = fmt.Errorf("%w: %w", errClient, err)
		for _, known := range [...]error{errSlow, errTooLarge} {
			if errors.Is(err, known) {
				u.err = known
			}
		}
		u.broke(u.err)
	}
	return false
}

// finish tells the target that this was all. u.mu is held.
func (u *upload) finish() {
	if u.failed == nil {
		u.failed = u.target.end(sayable(u.client.trailers(), u.vouched))
	}
	if u.failed == nil {
		u.sent()
	}
}

// sayable are trailers without those that are dropped of heads: servers may take
// them for fields of the head. What is said of a trace is said there.
func sayable(lines []byte, vouched bool) (kept []byte) {
	var nothing rules.Told
	for line := range bytes.Lines(lines) {
		if name, _, ok := bytes.Cut(line, []byte(":")); ok && !isOurs(name, vouched) && !nothing.Drop(name) {
			kept = append(kept, line...)
		}
	}
	return kept
}
