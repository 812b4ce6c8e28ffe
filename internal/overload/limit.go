package overload

import (
	"math"
	"time"
)

// limiter knows how many requests instances serve at a time: it was told, or
// finds out. Its measure is the time to the first byte of the answer: while it
// is what it was when the instances had little to do, more may go there; when
// it grows with what is there, requests queue inside, where nobody chooses
// among them.
//
// The time may also grow for another reason, a slow database or another mix of
// requests. Then less does not make it shorter, and the limiter takes the new
// time for the usual one: an app must not be shed for being slow.
type limiter struct {
	told      bool
	instances int
	total     int // slots of all instances

	own   float64       // what was found out, of all instances
	base  time.Duration // mean time to answer with little to do; 0: not known
	slow  bool          // no more doubling
	sum   time.Duration
	n     int
	trial trial
}

// trial is a limit that was lowered, to see whether the app gets less done with
// less in it: then it was not full.
type trial struct {
	own    float64 // before; 0: there is none
	before pace
	since  pace
}

// pace is how much was in the app, and how much came out of it.
type pace struct{ seconds, busy, out float64 }

func (p *pace) add(more pace) {
	p.seconds, p.busy, p.out = p.seconds+more.seconds, p.busy+more.busy, p.out+more.out
}

func (p pace) inside() float64 { return p.busy / p.seconds }
func (p pace) rate() float64   { return p.out / p.seconds }

const (
	firstLimit = 64 // of an instance
	leastLimit = 2
	mostLimit  = 4096
	// tolerance is how much longer than usual answers may take.
	tolerance = 1.2
	enough    = 10 // samples to say anything
	verdictAt = 50 // answers since a limit was lowered
)

func (l *limiter) set(limit, instances int) {
	if l.own == 0 {
		l.own = firstLimit
	} else if l.instances > 0 {
		l.own *= float64(instances) / float64(l.instances)
	}
	l.told, l.instances = limit > 0, instances
	if l.told {
		l.total = limit * instances
		return
	}
	l.settle()
}

func (l *limiter) settle() {
	n := float64(l.instances)
	l.own = min(max(l.own, leastLimit*n), mostLimit*n)
	l.total = int(l.own + 0.5)
}

// usual is how long a request takes that does not queue inside; held is how
// long slots are held.
func (l *limiter) usual(held time.Duration) time.Duration {
	if l.base == 0 {
		return held
	}
	return min(held, l.base)
}

// sample takes how long an instance took to begin an answer.
func (l *limiter) sample(took time.Duration) {
	l.sum += took
	l.n++
}

// roll ends a window of a pace. queued says that requests wait.
func (l *limiter) roll(p pace, queued bool) {
	if l.n < enough {
		return
	}
	took := l.sum / time.Duration(l.n)
	l.sum, l.n = 0, 0
	used := p.inside()
	switch {
	case l.base == 0 || used < 0.5*float64(l.total) && l.trial.own == 0:
		l.learn(took, 8)
	case took < l.base:
		l.learn(took, 16)
	}
	if !l.told {
		l.adjust(p, took, queued || used > 0.8*l.own)
		l.settle()
	}
}

func (l *limiter) learn(took, weight time.Duration) {
	if l.base == 0 {
		l.base = took
		return
	}
	l.base += (took - l.base) / weight
}

func (l *limiter) adjust(p pace, took time.Duration, full bool) {
	usual := float64(l.base) * tolerance / float64(max(took, 1))
	used := p.inside()
	switch {
	case used > 1.1*l.own:
		// What was sent before the limit fell is still there, and says little.
	case !full && 2*used < l.own:
		l.trial = trial{} // it is the clients who ask for less
	case usual >= 1 && used > 1.5*p.rate()*took.Seconds():
		// More is inside than came out at that pace (Little's law): those that
		// make it slow have not been answered yet.
	case usual >= 1 && full && !l.slow:
		l.own *= 2
	case usual >= 1 && full:
		l.own += math.Sqrt(l.own)
	case usual < 1:
		l.lower(p, took, min(used, l.own)*usual+math.Sqrt(l.own))
	}
}

// lower goes part of the way down to a limit, and back when it is seen that the
// app gets less done with less in it.
func (l *limiter) lower(p pace, took time.Duration, to float64) {
	l.slow = true
	if l.trial.own == 0 {
		l.trial = trial{own: l.own, before: p}
	} else {
		l.trial.since.add(p)
	}
	if t := l.trial; t.since.out >= verdictAt {
		inside, rate := t.since.inside()/t.before.inside(), t.since.rate()/t.before.rate()
		if inside < 0.8 && rate < (1+inside)/2 {
			l.base, l.own, l.trial = took, t.own, trial{}
			return
		}
		l.trial = trial{own: l.own, before: t.since}
	}
	l.own += 0.5 * (to - l.own)
}
