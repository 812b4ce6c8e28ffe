package logs

import "github.com/slipway-paas/slipway/internal/platform"

// DefaultLines is how many lines a Filter asks for that does not say.
const DefaultLines = 100

// Filter says which lines, and how many of the last.
type Filter struct {
	Process, Source string // empty: all
	// Lines: 0 is DefaultLines, less than 0 is none.
	Lines int
}

func (f Filter) match(line platform.LogLine) bool {
	return (f.Process == "" || f.Process == line.Process) && (f.Source == "" || f.Source == line.Source)
}

func (f Filter) lines() int {
	if f.Lines == 0 {
		return DefaultLines
	}
	return max(0, f.Lines)
}

// maxTail bounds the memory of one tail, in bytes.
const maxTail = 16 << 20

// Tail returns the app's last lines that match, oldest first, from memory or,
// when they reach further back, from disk; at most about 16 MiB of them. An
// app that never logged has none.
func (l *Logs) Tail(app string, filter Filter) []platform.LogLine {
	if !l.known(app) {
		return nil
	}
	s := l.stream(app)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	tail := s.tail(filter)
	s.mu.Unlock()
	return tail()
}

// tail prepares the last lines as of now. The function it returns may be
// called without the lock.
func (s *stream) tail(filter Filter) func() []platform.LogLine {
	if s.gone {
		return func() []platform.LogLine { return nil }
	}
	s.load()
	lines := s.ring.last(filter.lines(), filter)
	if len(lines) == filter.lines() || s.ring.whole || s.unkept > 0 {
		return func() []platform.LogLine { return lines }
	}
	history := s.history(filter.lines(), maxTail, filter)
	return func() []platform.LogLine {
		lines, _ := history()
		return lines
	}
}
