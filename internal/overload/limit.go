package overload

import (
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

	own  float64       // what was found out, of all instances
	base time.Duration // mean time to answer with little to do; 0: not known
	full bool          // it was found once; no more doubling
	peak int           // requests under way, lately
	did  float64       // the most answers a second lately that took no longer than usual

	// Of the windows since it last had enough to say anything:
	pace pace
	sum  time.Duration // of times to answer
	n    int

	trial  trial
	trials int // since there was room
}

// trial is a limit that is lowered, to see whether the app gets less done with
// less in it: then it was not full.
type trial struct {
	own    float64 // when it began; 0: there is none
	guess  bool    // the app was never known to be full
	before pace    // with the app full or slow, as much in it as there was
	since  pace
}

// pace is how much was in the app, how much was asked of it and how much came out.
type pace struct{ seconds, busy, came, out float64 }

func (p *pace) add(more pace) {
	p.seconds, p.busy = p.seconds+more.seconds, p.busy+more.busy
	p.came, p.out = p.came+more.came, p.out+more.out
}

func (p pace) inside() float64 { return p.busy / p.seconds }
func (p pace) rate() float64   { return p.out / p.seconds }

// steady reports whether no more was inside than would be at that rate if all
// took as long as those that came out (Little's law), but for a factor.
func (p pace) steady(took time.Duration, most float64) bool {
	return p.inside() <= most*p.rate()*took.Seconds()
}

const (
	// roomy is what an instance may have in any case, until it is found to be full.
	// Twice what was under way lately may be, if that is more.
	roomy      = 12
	leastLimit = 2
	mostLimit  = 4096
	// tolerance is how much longer than usual answers may take.
	tolerance = 1.1
	enough    = 10 // answers to say anything; four times as many once it was found
	// certain is what a verdict's answers times the square of the change must be:
	// twice the standard deviation that chance makes of it.
	certain = 12
	// surge times as much as it did is more than a slow app is asked for.
	surge = 1.6
	// manyTrials are enough to know whether an app is full or slow.
	manyTrials = 4
)

func (l *limiter) set(limit, instances int) {
	if l.own == 0 {
		l.own = roomy
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

// roll ends a window of a pace, in which peak requests were under way. queued
// says that others wait, rising that more come than go, and not for a moment.
func (l *limiter) roll(p pace, peak int, queued, rising bool) {
	l.peak = max(peak, l.peak*15/16)
	l.pace.add(p)
	if l.n < enough || l.full && l.n < 4*enough {
		return
	}
	took := l.sum / time.Duration(l.n)
	p, l.pace = l.pace, pace{}
	l.sum, l.n = 0, 0
	full := queued || p.inside() > 0.8*l.own
	if float64(took) <= tolerance*float64(l.base) {
		if !full { // or it did no more because no more was let in
			l.did *= 15.0 / 16
		}
		l.did = max(l.did, p.rate())
	}
	switch {
	case l.base == 0 || p.inside() < 0.5*float64(l.total) && l.trial.own == 0:
		l.learn(took, 8)
	case took < l.base:
		l.learn(took, 16)
	}
	if l.told {
		return
	}
	if !full || !rising || !l.surged(p, took) {
		l.adjust(p, took, full)
	}
	l.settle()
}

func (l *limiter) learn(took, weight time.Duration) {
	if l.base == 0 {
		l.base = took
		return
	}
	l.base += (took - l.base) / weight
}

// surged sets the limit to about what the app has workers when it was found full
// of a sudden because more is asked of it, and reports whether that was so. No
// trial has to tell this from an app that is slow, of which no more is asked.
func (l *limiter) surged(p pace, took time.Duration) bool {
	if float64(took) <= tolerance*float64(l.base) || l.trial.own > 0 || l.trials == manyTrials || p.came <= surge*l.did*p.seconds {
		return false
	}
	l.own = min(l.own, 1.5*max(p.rate(), l.did)*l.base.Seconds()) // a pace of few answers; less is found from there
	l.full, l.trials = true, manyTrials
	return true
}

func (l *limiter) adjust(p pace, took time.Duration, full bool) {
	usual := float64(l.base) * tolerance / float64(max(took, 1))
	used := p.inside()
	switch {
	case used > 1.1*l.own:
		// What was sent before the limit fell is still there, and says little.
	case !full && 2*used < l.own:
		l.trial = trial{} // it is the clients who ask for less
		l.trials = 0
		if !l.full { // what it can do is not known: a surge is not to find out all at once
			l.own = max(0.9*l.own, 2*float64(l.peak), roomy*float64(l.instances))
		}
	case usual >= 1 && !p.steady(took, 1.2):
		// Those that make it slow have not been answered yet.
	case usual >= 1 && full && (!l.full || l.trial.guess): // a trial without a verdict has not found it full
		l.own *= 2
		l.full, l.trial = false, trial{}
	case usual >= 1 && full:
		l.trial, l.trials = trial{}, manyTrials // it is the limit that makes others wait
		l.own += max(0.5, l.own/16)
	case usual < 1 && full:
		l.lower(p, took, l.own*float64(l.base)/float64(took)+0.5)
	}
}

// lower goes part of the way down to a limit, and back when it is seen that the
// app gets less done with less in it.
func (l *limiter) lower(p pace, took time.Duration, to float64) {
	t := &l.trial
	switch {
	case t.own == 0: // what p saw may have begun before the app was full
		*t = trial{own: l.own, guess: !l.full}
		l.trials++
		return
	case t.before.out > 0:
		t.since.add(p)
	case p.steady(took, 1.2):
		t.before = p
	default:
		return
	}
	switch less, fewer := t.verdict(); {
	case less && fewer:
		l.base, l.own, l.full, *t = took, t.own, false, trial{}
		return
	case less:
		*t = trial{own: l.own, before: t.since}
		l.trials = manyTrials
	}
	l.full = true
	l.own = max(l.own+0.5*(to-l.own), t.own/2)
}

// verdict reports whether less was in the app for long enough to tell, and
// whether fewer answers came out for it. The less the difference is, the more
// answers it takes until it is none of chance.
func (t *trial) verdict() (less, fewer bool) {
	if t.since.out == 0 {
		return false, false
	}
	inside, rate := t.since.inside()/t.before.inside(), t.since.rate()/t.before.rate()
	apart := max(1-inside, 0)
	return t.since.out*apart*apart > certain, rate < (1+inside)/2
}

// unsure reports whether it is not known yet if the app is full or slow.
func (l *limiter) unsure() bool { return !l.told && l.trials > 0 && l.trials < manyTrials }
