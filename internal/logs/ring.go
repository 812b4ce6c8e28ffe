package logs

import "github.com/slipway-paas/slipway/internal/platform"

// ring holds the newest lines of a stream, within bounds on their number and
// their size.
type ring struct {
	maxLines, maxBytes int
	lines              []platform.LogLine // the oldest at head, wrapping
	head, bytes        int
	// whole: nothing older was ever pushed out, here or on disk.
	whole bool
}

func newRing(maxLines, maxBytes int) *ring {
	return &ring{maxLines: maxLines, maxBytes: maxBytes, whole: true}
}

// weight is about what a line costs in memory.
func weight(line platform.LogLine) int { return len(line.Text) + 128 }

func (r *ring) push(line platform.LogLine) {
	r.bytes += weight(line)
	if len(r.lines) < r.maxLines && r.head == 0 {
		r.lines = append(r.lines, line)
	} else {
		r.bytes -= weight(r.lines[r.head])
		r.lines[r.head] = line
		r.head = (r.head + 1) % len(r.lines)
		r.whole = false
	}
	if r.bytes > r.maxBytes {
		r.shrink()
	}
}

// shrink drops the oldest lines until a quarter of the bytes is free, so that
// it is rarely needed. The newest line stays.
func (r *ring) shrink() {
	ordered := append(append([]platform.LogLine(nil), r.lines[r.head:]...), r.lines[:r.head]...)
	for len(ordered) > 1 && r.bytes > r.maxBytes*3/4 {
		r.bytes -= weight(ordered[0])
		ordered = ordered[1:]
		r.whole = false
	}
	r.lines, r.head = append([]platform.LogLine(nil), ordered...), 0
}

// last returns the newest n lines that match, oldest first.
func (r *ring) last(n int, filter Filter) []platform.LogLine {
	var found []platform.LogLine
	for i := len(r.lines) - 1; i >= 0 && len(found) < n; i-- {
		if line := r.lines[(r.head+i)%len(r.lines)]; filter.match(line) {
			found = append(found, line)
		}
	}
	return reversed(found)
}
