package acme

import (
	"container/heap"
	"slices"
	"time"
)

// tenant is who subjects are worked on for: a user, with all of their apps, or
// the platform. It stays when it wants nothing more, and so does its debt.
type tenant struct {
	line    agenda // subjects that are due, the first to be worked on in front
	queued  bool   // it is among those who have some
	working int
	debt    time.Time // when all names that failed are forgiven; see may
}

const (
	// maxFailures is how many names of a tenant may fail one after the other;
	// then it has a try for each that is forgiven, which takes forgiveness. An
	// authority gives the whole platform so many orders (Let's Encrypt: 300 in
	// three hours): they shall not all be for names that lead nowhere.
	maxFailures = 20
	forgiveness = 3 * time.Minute
)

// owed is how long until all is forgiven.
func (t *tenant) owed(now time.Time) time.Duration { return max(0, t.debt.Sub(now)) }

// may is how long a tenant waits before it may try one more name: none while
// those that failed, and those under way, are few.
func (t *tenant) may(now time.Time) time.Duration {
	return max(0, t.owed(now)+time.Duration(t.working+1-maxFailures)*forgiveness)
}

// settle notes what came of a try; one that went well forgives another that
// failed, so that who mends many names does not wait.
func (t *tenant) settle(now time.Time, failed bool) {
	change := -forgiveness
	if failed {
		change = forgiveness
	}
	t.debt = now.Add(t.owed(now) + change)
}

// The order in which subjects of one tenant that are due have their turns.
const (
	rankFirst   = iota // what is renewed, or only looked up in the store
	rankUntried        // no authority was asked yet
	rankFailed
)

func (s *subject) place() int {
	switch {
	case !s.read || s.known != nil:
		return rankFirst
	case s.failure.Attempts == 0:
		return rankUntried
	}
	return rankFailed
}

// fair are the tenants who have subjects that are due, the next in front: they
// take turns, so that one with a thousand names delays another by one. What is
// first goes before all else, of whomever.
type fair []*tenant

func (f *fair) add(s *subject) {
	s.rank, s.queued = s.place(), true
	heap.Push(&s.tenant.line, s)
	if t := s.tenant; !t.queued {
		t.queued = true
		*f = append(*f, t)
	}
}

func (f *fair) drop(s *subject) {
	s.tenant.line.drop(s)
	s.queued = false
	if t := s.tenant; len(t.line) == 0 {
		f.leave(slices.Index(*f, t))
	}
}

func (f *fair) leave(i int) {
	(*f)[i].queued = false
	*f = slices.Delete(*f, i, i+1)
}

// take takes out whose turn it is, or says how long nobody's is. A tenant has at
// most as many turns as are free after it, so that some are when another comes;
// wait is how long a subject has to, for other reasons, and is asked last.
func (f *fair) take(now time.Time, free int, wait func(*subject) time.Duration) (*subject, time.Duration) {
	for i, t := range *f {
		if t.line[0].rank == rankFirst && t.working < free {
			return f.turn(i), 0
		}
	}
	pause := time.Hour
	for i, t := range *f {
		if t.working >= free {
			continue
		}
		left := t.may(now)
		if left == 0 {
			left = wait(t.line[0])
		}
		if left == 0 {
			return f.turn(i), 0
		}
		pause = min(pause, left)
	}
	return nil, pause
}

// turn takes out the first subject of a tenant, who then goes to the end.
func (f *fair) turn(i int) *subject {
	t := (*f)[i]
	s := t.line[0]
	f.drop(s)
	if t.queued {
		*f = append(slices.Delete(*f, i, i+1), t)
	}
	return s
}
