package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// result is what came of one surge.
type result struct {
	system  system
	times   float64
	goodput float64    // answers in time, of capacity
	useful  float64    // of them those of tasks that were completed
	served  [4]float64 // of each class
	first   float64    // of the two highest, of what they asked or the app can do
	four    float64    // how often tasks of four calls were completed, to those of one
	p99     time.Duration
	chance  chance
	back    time.Duration // negative: never
}

// chance is by how much a figure may be off because so few were counted: two
// standard errors, of as many that have nothing to do with each other.
type chance struct{ critical, four, p99 float64 }

const heads = "%-5s %-32s %8s %7s   %-21s %8s %8s %7s\n"

func (b *bench) heading() {
	fmt.Printf("an app of %d workers: %.0f requests a second, unloaded p99 %d ms; clients wait 1 s, an answer is of use within 0.5 s\n",
		workers, b.capacity, b.unloaded.Milliseconds())
	fmt.Printf("surges of %v; users make 1, 2 or 4 calls one after the other\n\n", b.surge)
	fmt.Printf(heads, "load", "", "goodput", "whole", "served of each class", "4 calls", "p99 of", "normal")
	fmt.Printf(heads, "", "", "/capac.", "tasks", "crit norm bulk backgr", "to one", "served", "after")
}

func (r result) print() {
	var served strings.Builder
	for _, of := range r.served {
		fmt.Fprintf(&served, "%4.0f ", 100*of)
	}
	fmt.Printf("%-5s %-32s %6.0f %% %5.0f %%   %-21s %8.2f %5d ms %7s\n",
		fmt.Sprintf("%gx", r.times), r.system.name, 100*r.goodput, 100*r.useful, served.String(), r.four, r.p99.Milliseconds(), backText(r.back))
}

// judge says what came of a surge.
func (b *bench) judge(s system, times float64, c *clients) result {
	var offered, good [4]int
	var took []time.Duration
	useful := 0
	for _, o := range c.done {
		if o.due < calm || o.due >= calm+b.surge {
			continue
		}
		offered[o.task.class]++
		if o.ok {
			took = append(took, o.latency)
		}
		if o.good() {
			good[o.task.class]++
			if o.task.whole() {
				useful++
			}
		}
	}
	can := b.capacity * b.surge.Seconds()
	r := result{system: s, times: times, p99: percentile(took, 0.99), back: b.recovery(c.done), useful: float64(useful) / can}
	for class := range offered {
		r.goodput += float64(good[class]) / can
		r.served[class] = float64(good[class]) / float64(max(offered[class], 1))
	}
	r.first = float64(good[0]+good[1]) / min(float64(offered[0]+offered[1]), can)
	four, ofFour := b.completed(c, 4)
	one, ofOne := b.completed(c, 1)
	r.four = four / max(one, 0.001)
	r.chance = chance{
		critical: 2 * relative(r.served[0], offered[0]) * r.served[0],
		four:     2 * math.Hypot(relative(four, ofFour), relative(one, ofOne)) * r.four,
		p99:      (r.p99 - percentile(took, 0.99-2*math.Sqrt(0.99*0.01/float64(max(len(took), 1))))).Seconds(),
	}
	return r
}

// relative is the standard error of a share of n, as a part of the share.
func relative(share float64, n int) float64 {
	return math.Sqrt((1 - share) / max(share*float64(n), 1))
}

// completed is the share of the tasks of k calls that were completed, of those
// that could be before the surge's end, and how many these are.
func (b *bench) completed(c *clients, k int) (share float64, all int) {
	whole := 0
	for _, t := range c.tasks {
		if t.k != k || t.began < calm || t.began >= calm+b.surge-time.Second {
			continue
		}
		all++
		if t.whole() {
			whole++
		}
	}
	return float64(whole) / float64(max(all, 1)), all
}

// recovery is how long after the surge nine in ten requests of a quarter of a
// second are served in time again, and of all later ones; negative: never.
func (b *bench) recovery(done []outcome) time.Duration {
	const slot = 250 * time.Millisecond
	n := int(after / slot)
	all, good := make([]int, n), make([]int, n)
	for _, o := range done {
		at := int((o.due - calm - b.surge) / slot)
		if o.due < calm+b.surge || at >= n {
			continue
		}
		all[at]++
		if o.good() {
			good[at]++
		}
	}
	for i := n; i > 0; i-- {
		if 10*good[i-1] < 9*all[i-1] {
			if i == n {
				return -1
			}
			return time.Duration(i) * slot
		}
	}
	return 0
}

func backText(back time.Duration) string {
	if back < 0 {
		return "never"
	}
	return fmt.Sprintf("%.2f s", back.Seconds())
}

// aim is one of those that hold for this router when control is on. Of several
// loads the worst counts.
type aim struct {
	what, want string
	loads      func(times float64) bool
	value      func(b *bench, r result) float64
	chance     func(b *bench, c chance) float64 // nil: it is no matter of chance
	met        func(worst float64) bool
	unit       string
	more       bool // the more the better
}

func over(times float64) bool { return times >= 2 }

func atLeast(least float64) func(float64) bool { return func(w float64) bool { return w >= least } }
func atMost(most float64) func(float64) bool   { return func(w float64) bool { return w <= most } }

var aims = []aim{
	{
		"goodput of capacity, at 2x and more", "at least 95 %", over,
		func(_ *bench, r result) float64 { return 100 * r.goodput }, nil, atLeast(95), "%.0f %%", true,
	},
	{
		"critical requests served, while they are less than capacity", "at least 98 %", func(times float64) bool { return times*share[0] < 0.9 },
		func(_ *bench, r result) float64 { return 100 * r.served[0] },
		func(_ *bench, c chance) float64 { return 100 * c.critical }, atLeast(98), "%.1f %%", true,
	},
	{
		"the two highest classes, of what the app could serve of them", "at least 95 %", over,
		func(_ *bench, r result) float64 { return 100 * r.first }, nil, atLeast(95), "%.0f %%", true,
	},
	{
		"p99 of those served, at 2x and more, of the unloaded", "at most 2", over,
		func(b *bench, r result) float64 { return r.p99.Seconds() / b.unloaded.Seconds() },
		func(b *bench, c chance) float64 { return c.p99 / b.unloaded.Seconds() }, atMost(2), "%.2f", false,
	},
	{
		"p99 of those served, at 1x, of the unloaded", "at most 4", func(times float64) bool { return times == 1 },
		func(b *bench, r result) float64 { return r.p99.Seconds() / b.unloaded.Seconds() },
		func(b *bench, c chance) float64 { return c.p99 / b.unloaded.Seconds() }, atMost(4), "%.2f", false,
	},
	{
		"four calls completed as often as one, at 4x", "at least 0.75", func(times float64) bool { return times == 4 },
		func(_ *bench, r result) float64 { return r.four },
		func(_ *bench, c chance) float64 { return c.four }, atLeast(0.75), "%.2f", true,
	},
	{
		"back to normal after the surge", "at most 2 s", func(float64) bool { return true },
		func(_ *bench, r result) float64 {
			if r.back < 0 {
				return after.Seconds()
			}
			return r.back.Seconds()
		}, nil, atMost(2), "%.2f s", false,
	},
}

// verdict prints a line for each aim that was measured, the worst load's figure, by
// how much chance may have it be off, and whether it was met. With strict it is an
// error when one was missed by more than that: a longer surge says it of the others.
func (b *bench) verdict(strict bool) error {
	missed := 0
	fmt.Println()
	for _, a := range aims {
		for _, s := range systems {
			worst, by, any := a.worst(b, s.key)
			if !any || s.key != "told" && s.key != "found" {
				continue
			}
			better := worst - by
			if a.more {
				better = worst + by
			}
			verdict := "met"
			switch {
			case a.met(worst):
			case a.met(better):
				verdict = "open: chance may do that"
			default:
				verdict = "MISSED"
				missed++
			}
			figure := fmt.Sprintf(a.unit, worst)
			if by > 0 {
				figure += fmt.Sprintf(" ± %.2g", by)
			}
			fmt.Printf("%-62s %-29s %14s  (aim: %s)  %s\n", a.what, s.name, figure, a.want, verdict)
		}
	}
	if missed > 0 && strict {
		return fmt.Errorf("%d aims missed", missed)
	}
	return nil
}

// worst is the worst of a system's figures, and by how much chance may have that be
// off; any: there is one.
func (a aim) worst(b *bench, key string) (worst, by float64, any bool) {
	for _, r := range b.results {
		if r.system.key != key || !a.loads(r.times) {
			continue
		}
		if v := a.value(b, r); !any || a.more == (v < worst) {
			worst = v
			if a.chance != nil {
				by = a.chance(b, r.chance)
			}
		}
		any = true
	}
	return worst, by, any
}
