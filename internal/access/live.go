package access

import "time"

// Window is what ended within some seconds before now.
type Window struct {
	Requests, Failed int64
	PerSecond        float64
	// Concurrency is how many were under way on average (Little's law: the
	// time they took together, by the time that passed). One that has not
	// ended, such as a WebSocket, is in Live.Open alone.
	Concurrency float64
	// What 50, 95 and 99 of 100 requests took at most, to about 10 %.
	P50, P95, P99 time.Duration
}

// Live is what a process type of an app has now and had lately.
type Live struct {
	App, Process string
	// Open is how many requests are under way to its instances, WebSockets
	// included, and Waiting how many wait: for a slot, and, counted to the main
	// process type, for an instance to come up.
	Open, Waiting int
	// Instances is how many are routed to and not passed over, and Limit how many
	// requests they serve at a time, told or found out; 0: not known.
	Instances, Limit int
	// The windows are of about 1, 10 and 60 seconds: 1 to 2, 9 to 10, 50 to 60.
	Second, Ten, Minute Window
}

// slot counts the requests that ended in one piece of time.
type slot struct {
	number           int64 // which piece
	requests, failed uint32
	spent            time.Duration
	sketch           [sketchBuckets]uint32
}

func (s *slot) add(number int64, took time.Duration, failed bool) {
	if s.number != number {
		*s = slot{number: number}
	}
	s.requests++
	if failed {
		s.failed++
	}
	s.spent += took
	s.sketch[sketchOf(took)]++
}

// recent is the last eleven seconds, and the last minute in pieces of ten.
type recent struct {
	seconds [11]slot
	tens    [7]slot
}

func (r *recent) add(now, took time.Duration, failed bool) {
	second := int64(now/time.Second) + 1 // 0 is a slot that was never used
	r.seconds[second%int64(len(r.seconds))].add(second, took, failed)
	ten := int64(now/(10*time.Second)) + 1
	r.tens[ten%int64(len(r.tens))].add(ten, took, failed)
}

// sum adds up slots, of several shards or process types.
type sum struct {
	requests, failed uint64
	spent            time.Duration
	sketch           [sketchBuckets]uint64
}

func (s *sum) add(slots []slot, from int64) {
	for i := range slots {
		if slots[i].number < from {
			continue
		}
		s.requests += uint64(slots[i].requests)
		s.failed += uint64(slots[i].failed)
		s.spent += slots[i].spent
		for k, n := range slots[i].sketch {
			s.sketch[k] += uint64(n)
		}
	}
}

func (s *sum) window(over time.Duration) Window {
	w := Window{Requests: int64(s.requests), Failed: int64(s.failed)}
	if over > 0 {
		w.PerSecond = float64(s.requests) / over.Seconds()
		w.Concurrency = s.spent.Seconds() / over.Seconds()
	}
	w.P50, w.P95, w.P99 = quantile(0.50, &s.sketch, s.requests), quantile(0.95, &s.sketch, s.requests), quantile(0.99, &s.sketch, s.requests)
	return w
}

// sums are the three windows.
type sums struct{ second, ten, minute sum }

func (s *sums) add(r *recent, now time.Duration) {
	second, ten := int64(now/time.Second)+1, int64(now/(10*time.Second))+1
	s.second.add(r.seconds[:], second-1)
	s.ten.add(r.seconds[:], second-9)
	s.minute.add(r.tens[:], ten-5)
}

// live turns the sums into rates. Began is when the counting did.
func (s *sums) live(now, began time.Duration) (second, ten, minute Window) {
	since := func(t time.Duration) time.Duration { return now - max(t, began, 0) }
	whole, tens := now.Truncate(time.Second), now.Truncate(10*time.Second)
	return s.second.window(since(whole - time.Second)), s.ten.window(since(whole - 9*time.Second)),
		s.minute.window(since(tens - 50*time.Second))
}
