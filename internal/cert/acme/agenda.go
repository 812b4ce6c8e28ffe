package acme

import (
	"container/heap"
	"time"
)

// agenda are the subjects that wait for their turn, the first to be due in front:
// with ten thousand of them the next is found as fast as with ten.
type agenda []*subject

// Len and the methods below are heap.Interface's.
func (a agenda) Len() int { return len(a) }

func (a agenda) Less(i, j int) bool {
	if a[i].rank != a[j].rank {
		return a[i].rank < a[j].rank
	}
	return a[i].due.Before(a[j].due)
}

func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].at, a[j].at = i, j
}

// Push implements heap.Interface.
func (a *agenda) Push(s any) {
	one := s.(*subject)
	one.at = len(*a)
	*a = append(*a, one)
}

// Pop implements heap.Interface.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	one := (*a)[last]
	(*a)[last], *a = nil, (*a)[:last]
	one.at = out
	return one
}

// out is the place of a subject that does not wait.
const out = -1

// plan has a subject that does not wait do so until due.
func (a *agenda) plan(s *subject, due time.Time) {
	s.due, s.rank = due, 0
	heap.Push(a, s)
}

// drop has it wait no more.
func (a *agenda) drop(s *subject) {
	if s.at != out {
		heap.Remove(a, s.at)
	}
}

// next takes out the first, if it is due; else it says how long nothing is.
func (a *agenda) next(now time.Time) (*subject, time.Duration) {
	if len(*a) == 0 {
		return nil, time.Hour
	}
	if left := (*a)[0].due.Sub(now); left > 0 {
		return nil, min(left, time.Hour)
	}
	return heap.Pop(a).(*subject), 0
}
