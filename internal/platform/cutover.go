package platform

import (
	"fmt"
	"time"
)

// Shift is a cutover in steps: two releases serve an app side by side.
type Shift struct {
	// Step numbers the step from 1. What is counted begins anew with each.
	Step int `json:"step"`
	// From is the release that served before; its backends say so.
	From int `json:"from"`
	// Weight is how many of 10,000 go to the new release, the rest to the old.
	Weight int `json:"weight"`
	// By is request (each for itself) or client: who came to the new release
	// stays there while the weight only grows.
	By string `json:"by,omitempty"`
	// Cookie names the cookie that clients are told apart by; those without it,
	// and all where it is empty, are by their address.
	Cookie string `json:"cookie,omitempty"`
	// Canary conditions send a request to the new release whatever the weight,
	// if all are met.
	Canary []Condition `json:"canary,omitempty"`
	// Mirror is how many of 10,000 safe requests of the old release are sent to
	// the new one too; nobody sees those answers.
	Mirror int `json:"mirror,omitempty"`
	// Budget is what a router holds the new release to by itself: past it the old
	// one has all requests of that router. Nil: it judges nothing.
	Budget *Budget `json:"budget,omitempty"`
	// Undone is set by a node that remembers that its router did so.
	Undone LedBack `json:"undone,omitzero"`
}

// LedBack says that a router leads all its requests to the old release again,
// for the rest of the cutover. The zero value: it does not.
type LedBack struct {
	Step int       `json:"step"` // that was under way
	Why  string    `json:"why"`  // in words
	At   time.Time `json:"at"`
}

// The ways in which a weight is applied; empty is ByRequest.
const (
	ByRequest = "request"
	ByClient  = "client"
)

// Whole is a weight of all requests.
const Whole = 10_000

// SideCount is what one of two releases had.
type SideCount struct {
	Requests int64         `json:"requests"`
	Failed   int64         `json:"failed"`
	P99      time.Duration `json:"p99,omitempty"` // until the answer began
}

// Add puts what another router counted to it.
func (s SideCount) Add(other SideCount) SideCount {
	return SideCount{s.Requests + other.Requests, s.Failed + other.Failed, max(s.P99, other.P99)}
}

func (s SideCount) String() string {
	text := fmt.Sprintf("%d of %d requests failed", s.Failed, s.Requests)
	if s.P99 > 0 {
		text += fmt.Sprintf(", p99 %s", roughly(s.P99))
	}
	return text
}

// MirrorCount is how the answers to copied requests compare.
type MirrorCount struct {
	Compared int64 `json:"compared,omitempty"`
	// Dropped were not copied, or not to the end: there was no room. Crowded are
	// those of them that came while as many as there may be were under way.
	Dropped int64 `json:"dropped,omitempty"`
	Crowded int64 `json:"crowded,omitempty"`
	// Status and Size count those whose class of status, or length, differs.
	Status int64 `json:"status,omitempty"`
	Size   int64 `json:"size,omitempty"`
	// Failed of those that the old release served well.
	Failed int64         `json:"failed,omitempty"`
	P99Old time.Duration `json:"p99_old,omitempty"`
	P99New time.Duration `json:"p99_new,omitempty"`
}

// Add puts what another router counted to it.
func (m MirrorCount) Add(o MirrorCount) MirrorCount {
	return MirrorCount{
		Compared: m.Compared + o.Compared, Dropped: m.Dropped + o.Dropped, Crowded: m.Crowded + o.Crowded, Status: m.Status + o.Status,
		Size: m.Size + o.Size, Failed: m.Failed + o.Failed, P99Old: max(m.P99Old, o.P99Old), P99New: max(m.P99New, o.P99New),
	}
}

func (m MirrorCount) String() string {
	return fmt.Sprintf("%d answers compared: %d of another status, %d of another size, p99 %s and %s before",
		m.Compared, m.Status, m.Size, roughly(m.P99New), roughly(m.P99Old))
}

// CutoverStep is one step of a cutover that is over.
type CutoverStep struct {
	Name   string        `json:"name"`
	Old    SideCount     `json:"old"`
	New    SideCount     `json:"new"`
	Mirror MirrorCount   `json:"mirror,omitzero"`
	Took   time.Duration `json:"took"`
	// Unjudged is Receipt.Unjudged of the step.
	Unjudged string `json:"unjudged,omitempty"`
}

// Cutover is how far a cutover in steps has come. While it is there, two
// releases of its app serve side by side, or are about to.
type Cutover struct {
	App      string
	Release  int // the new one
	From     int
	Strategy Strategy // as it was when the cutover began
	// Step is the one under way, from 1; Since is when the routers led by it.
	Step    int
	Since   time.Time
	Started time.Time
	Done    []CutoverStep // the steps before
	// Undone is why it is led back; empty: it is not.
	Undone string
	// Word is what somebody said about it, and By who.
	Word CutoverWord
	By   string
}

// CutoverWord is what users say about a cutover under way.
type CutoverWord string

// The words; empty: none was said.
const (
	CutoverPromote CutoverWord = "promote"
	CutoverAbort   CutoverWord = "abort"
)

// roughly is a duration in three digits or so.
func roughly(d time.Duration) time.Duration {
	for unit := time.Second; unit >= time.Millisecond; unit /= 10 {
		if d >= 10*unit {
			return d.Round(unit / 10)
		}
	}
	return d.Round(10 * time.Microsecond)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Add puts what another router counted of the same cutover to it.
func (a CutoverReport) Add(b CutoverReport) CutoverReport {
	if b.Started.Before(a.Started) {
		a.Started = b.Started
	}
	a.From = max(a.From, b.From)
	a.Requests += b.Requests
	a.Failed += b.Failed
	a.ToRequests += b.ToRequests
	a.ToFailed += b.ToFailed
	a.BeforeRequests += b.BeforeRequests
	a.BeforeFailed += b.BeforeFailed
	a.P99Before = max(a.P99Before, b.P99Before) // the worst router's
	a.P99After = max(a.P99After, b.P99After)
	a.Draining += b.Draining
	a.Held += b.Held
	a.HeldLongest = max(a.HeldLongest, b.HeldLongest)
	a.Shifting = a.Shifting || b.Shifting
	if a.Undone.Why == "" || b.Undone.Why != "" && b.Undone.At.Before(a.Undone.At) {
		a.Undone = b.Undone // the first word counts
	}
	return a.addStep(b)
}

// addStep adds what was counted of one step; of two steps the later one's
// counts are left, 0 being the last.
func (a CutoverReport) addStep(b CutoverReport) CutoverReport {
	switch {
	case a.Step == b.Step:
		a.Old, a.New = a.Old.Add(b.Old), a.New.Add(b.New)
		a.OldLately, a.NewLately = a.OldLately.Add(b.OldLately), a.NewLately.Add(b.NewLately)
		a.Mirror = a.Mirror.Add(b.Mirror)
	case b.Step == 0 || a.Step != 0 && b.Step > a.Step:
		a.Step, a.Old, a.New = b.Step, b.Old, b.New
		a.OldLately, a.NewLately, a.Mirror = b.OldLately, b.NewLately, b.Mirror
	}
	return a
}
