package main

import (
	"fmt"
	"strings"
	"time"
)

func (b *bench) heading() {
	fmt.Printf("an app of %d workers: %.0f requests a second, unloaded p99 %d ms; clients wait 1 s, answers count within 0.5 s\n\n",
		workers, b.capacity, b.unloaded.Milliseconds())
	fmt.Printf("%-6s %-34s %9s   %-23s %9s %10s\n", "load", "", "goodput", "served of each class", "p99 of", "back to")
	fmt.Printf("%-6s %-34s %9s   %-23s %9s %10s\n", "", "", "/capacity", "crit norm bulk backgr", "accepted", "normal in")
}

// row prints what came of a surge, and notes which aims were missed.
func (b *bench) row(s system, times float64, done []outcome) {
	var offered, good [4]int
	var took []time.Duration
	total := 0
	for _, o := range done {
		// What is due in the last second may be answered after the surge.
		if o.due < calm || o.due >= calm+b.surge {
			continue
		}
		offered[o.class]++
		if o.ok {
			took = append(took, o.latency)
			if o.latency <= slo {
				good[o.class]++
				total++
			}
		}
	}
	goodput := float64(total) / (b.capacity * b.surge.Seconds())
	p99, back := percentile(took, 0.99), b.recovery(done)
	var served strings.Builder
	for class := range offered {
		fmt.Fprintf(&served, "%4.0f ", 100*float64(good[class])/float64(max(offered[class], 1)))
	}
	fmt.Printf("%-6s %-34s %8.0f%%   %-23s %6d ms %10s\n", fmt.Sprintf("%gx", times), s.name, 100*goodput, served.String(), p99.Milliseconds(), backText(back))
	if s.key == "told" || s.key == "found" {
		b.judge(s, times, goodput, p99, back, float64(good[0])/float64(max(offered[0], 1)))
	}
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
		if o.ok && o.latency <= slo {
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
		return "not in 6 s"
	}
	return fmt.Sprintf("%.2f s", back.Seconds())
}

// The aims, of what is switched on.
const (
	aimGoodput  = 0.95 // of capacity, over it
	aimCritical = 0.98 // of the critical requests, while they are less than the capacity
	aimBack     = 2 * time.Second
)

func (b *bench) judge(s system, times, goodput float64, p99, back time.Duration, critical float64) {
	miss := func(format string, args ...any) {
		b.missed = append(b.missed, fmt.Sprintf("%s at %gx: ", s.name, times)+fmt.Sprintf(format, args...))
	}
	if times >= 2 && goodput < aimGoodput {
		miss("goodput %.2f of capacity", goodput)
	}
	if times*share[0] < 0.9 && critical < aimCritical {
		miss("%.2f of the critical requests were served", critical)
	}
	if s.key == "told" && times >= 2 && p99 > 2*b.unloaded {
		miss("p99 of the accepted %v, unloaded %v", p99, b.unloaded)
	}
	if back < 0 || back > aimBack {
		miss("back to normal in %s", backText(back))
	}
}

func (b *bench) verdict() error {
	if len(b.missed) == 0 {
		fmt.Println("\nall aims reached")
		return nil
	}
	return fmt.Errorf("aims missed:\n  %s", strings.Join(b.missed, "\n  "))
}
