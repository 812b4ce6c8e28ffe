package logs

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// A follower that is behind by this much misses what comes.
const (
	maxBehind      = 1000
	maxBehindBytes = 1 << 20
)

// Follow yields the app's last lines that match, then every new one as it is
// appended, none lost or doubled in between, until ctx ends, the app is
// removed or Logs is closed. A reader that is too slow holds up nobody: it
// misses lines, and gets one of source "controller" that says how many.
func (l *Logs) Follow(ctx context.Context, app string, filter Filter) iter.Seq[platform.LogLine] {
	return func(yield func(platform.LogLine) bool) {
		s := l.stream(app)
		if s == nil {
			return
		}
		f := &follower{app: app, filter: filter, wake: make(chan struct{}, 1)}
		tail := s.follow(f)
		defer func() {
			s.leave(f)
			l.stream(app) // back among the residents, to be put to rest in its turn
		}()
		for _, line := range tail() {
			if ctx.Err() != nil || !yield(line) {
				return
			}
		}
		f.run(ctx, yield)
	}
}

// follow adds a follower and prepares its first lines, at one moment.
func (s *stream) follow(f *follower) func() []platform.LogLine {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		f.end()
	}
	s.followers[f] = struct{}{}
	return s.tail(f.filter)
}

func (s *stream) leave(f *follower) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.followers, f)
}

// follower is a queue between a stream and one reader.
type follower struct {
	app    string
	filter Filter
	wake   chan struct{} // holds a token when there is something to see

	mu     sync.Mutex
	queue  []platform.LogLine
	bytes  int
	missed int
	ended  bool
}

// push never blocks.
func (f *follower) push(line platform.LogLine) {
	if !f.filter.match(line) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.missed > 0 || len(f.queue) >= maxBehind || f.bytes+weight(line) > maxBehindBytes {
		f.missed++ // until the queue was taken, so that the gap is in one place
	} else {
		f.queue = append(f.queue, line)
		f.bytes += weight(line)
	}
	f.ring()
}

func (f *follower) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	f.ring()
}

// ring wakes the reader.
func (f *follower) ring() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// take empties the queue; what was missed comes after it as a line of its own.
func (f *follower) take() (lines []platform.LogLine, ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines = f.queue
	if f.missed > 0 {
		lines = append(lines, platform.LogLine{
			At: time.Now().UTC(), App: f.app, Source: platform.LogController,
			Text: fmt.Sprintf("%d lines are missing here: they came faster than they were read", f.missed),
		})
	}
	f.queue, f.bytes, f.missed = nil, 0, 0
	return lines, f.ended
}

func (f *follower) run(ctx context.Context, yield func(platform.LogLine) bool) {
	for {
		select {
		case <-f.wake:
		case <-ctx.Done():
			return
		}
		lines, ended := f.take()
		for _, line := range lines {
			if ctx.Err() != nil || !yield(line) {
				return
			}
		}
		if ended {
			return
		}
	}
}
