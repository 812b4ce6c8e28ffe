package overload

import "time"

// Waiter is a request that waits for a slot. It may be used again once it was
// called back or Leave took it out.
type Waiter struct {
	// Ready is called once: with None when the request has a slot, which is to
	// be released, else with why it is turned away. It is called by whoever made
	// room, outside the gate's lock, and must not block.
	Ready func(why Reason)

	since      time.Duration
	level      Level
	queued     bool
	prev, next *Waiter
	why        Reason // between the gate's decision and the call
}

// Level is what the request asked with.
func (w *Waiter) Level() Level { return w.level }

// queue holds who waits, by class.
type queue struct {
	size int
	by   [Classes]list
}

type list struct{ first, last *Waiter }

func (q *queue) push(w *Waiter) {
	l := &q.by[w.level.Class()]
	w.prev, w.next, w.queued = l.last, nil, true
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	q.size++
}

func (q *queue) remove(w *Waiter) {
	l := &q.by[w.level.Class()]
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
	w.prev, w.next, w.queued = nil, nil, false
	q.size--
}

// best is the first of the best class; the queue is not empty.
func (q *queue) best() *Waiter {
	for class := range q.by {
		if w := q.by[class].first; w != nil {
			return w
		}
	}
	return nil
}

// newestBelow is the newest of the least class that is less than class.
func (q *queue) newestBelow(class Class) *Waiter {
	for c := Class(Classes - 1); c > class; c-- {
		if w := q.by[c].last; w != nil {
			return w
		}
	}
	return nil
}

// age is how long the oldest has waited.
func (q *queue) age(now time.Duration) time.Duration {
	var age time.Duration
	for class := range q.by {
		if w := q.by[class].first; w != nil {
			age = max(age, now-w.since)
		}
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
