package overload

import (
	"math/bits"
	"slices"
	"time"
)

// Waiter is a request that waits for a slot. It may be used again once it was
// called back or Leave took it out.
type Waiter struct {
	// Ready is called once: with None when the request has a slot, which is to
	// be released, else with why it is turned away. It is called by whoever made
	// room, outside the gate's lock, and must not block.
	Ready func(why Reason)

	since      time.Duration
	stands     bool // the queue was no burst's when it came
	level      Level
	queued     bool
	prev, next *Waiter
	why        Reason // between the gate's decision and the call
}

// Level is what the request asked with.
func (w *Waiter) Level() Level { return w.level }

// queue holds who waits, by level.
type queue struct {
	size int
	by   *[levels]list       // nil until somebody waits
	some [levels / 64]uint64 // a bit for each level at which somebody does
}

type list struct{ first, last *Waiter }

func (q *queue) push(w *Waiter) {
	if q.by == nil {
		q.by = new([levels]list)
	}
	l := &q.by[w.level]
	w.prev, w.next, w.queued = l.last, nil, true
	if l.last == nil {
		l.first = w
		q.some[w.level/64] |= 1 << (w.level % 64)
	} else {
		l.last.next = w
	}
	l.last = w
	q.size++
}

func (q *queue) remove(w *Waiter) {
	l := &q.by[w.level]
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	if l.first == nil {
		q.some[w.level/64] &^= 1 << (w.level % 64)
	}
	w.prev, w.next, w.queued = nil, nil, false
	q.size--
}

// best is the first of the best level; the queue is not empty.
func (q *queue) best() *Waiter {
	for i, set := range q.some {
		if set != 0 {
			return q.by[64*i+bits.TrailingZeros64(set)].first
		}
	}
	return nil
}

// worst is the last of the least level; the queue is not empty.
func (q *queue) worst() *Waiter {
	for i, set := range slices.Backward(q.some[:]) {
		if set != 0 {
			return q.by[64*i+63-bits.LeadingZeros64(set)].last
		}
	}
	return nil
}

// eldest is who came first of the best class; the queue is not empty.
func (q *queue) eldest() (w *Waiter) {
	class := q.best().level.Class()
	for first := range q.firsts {
		if first.level.Class() == class && (w == nil || first.since < w.since) {
			w = first
		}
	}
	return w
}

// firsts are the first of each level, the best level first.
func (q *queue) firsts(yield func(*Waiter) bool) {
	for i, set := range q.some {
		for ; set != 0; set &= set - 1 {
			if !yield(q.by[64*i+bits.TrailingZeros64(set)].first) {
				return
			}
		}
	}
}

// age is how long the oldest has waited.
func (q *queue) age(now time.Duration) (age time.Duration) {
	for w := range q.firsts {
		age = max(age, now-w.since)
	}
	return age
}

// calls are those to be called back once the gate is unlocked.
type calls struct{ first, last *Waiter }

func (c *calls) add(w *Waiter, why Reason) {
	w.why, w.next = why, nil
	if c.last == nil {
		c.first = w
	} else {
		c.last.next = w
	}
	c.last = w
}

func (c *calls) append(more calls) {
	switch {
	case c.last == nil:
		*c = more
	case more.first != nil:
		c.last.next, c.last = more.first, more.last
	}
}

func (c *calls) call() {
	for w := c.first; w != nil; {
		next, why := w.next, w.why
		w.next = nil // w may be used again by whom it calls
		w.Ready(why)
		w = next
	}
}
