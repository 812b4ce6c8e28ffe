package overload_test

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"time"
)

// The simulator runs open-loop users against an app of a few workers on a clock
// of its own. An app serves what it was sent in the order it came, also for
// clients that have gone, as apps do.

const (
	workers     = 8
	service     = 20 * time.Millisecond // mean, lognormal
	spread      = 0.5
	capacity    = float64(workers) / 0.020 // requests a second
	clientWaits = time.Second
	thinks      = 100 * time.Millisecond // between two calls of a task
	slo         = 500 * time.Millisecond
	people      = 2000
)

// share of the classes among the requests.
var share = [4]float64{0.10, 0.20, 0.40, 0.30}

type event struct {
	at  time.Duration
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

// request is one try of one call.
type request struct {
	task  *task
	came  time.Duration
	sent  time.Duration
	over  bool // answered, refused, or its client has gone
	chose any  // the system's own
}

// task is k calls of one user, one after the other.
type task struct {
	class, user int
	k, left     int
	tries       int
	began       time.Duration
}

// system stands between users and app: it calls sim.send or sim.refuse, now or
// later, and is told of what the app is done with and of clients that left.
type system interface {
	came(*request)
	done(*request)
	left(*request)
}

type sim struct {
	now    time.Duration
	seq    int
	queue  events
	rnd    *rand.Rand
	system system

	ready   []*task // with another call to make
	waiting []*request
	busy    int
	workers int
	spread  float64
	slow    func(time.Duration) float64 // how much longer than usual all takes

	retries int
	load    func(time.Duration) float64
	end     time.Duration

	offered, good, shed [4]int
	tasks, whole        [5]int // by k
	by                  []int  // good ones, by 100 ms
	took                []time.Duration
}

func newSim(seed uint64, load func(time.Duration) float64, length time.Duration) *sim {
	return &sim{rnd: rand.New(rand.NewPCG(seed, 7)), load: load, end: length, workers: workers, spread: spread, slow: steady(1), by: make([]int, int(length/(100*time.Millisecond))+1)}
}

func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.queue, event{s.now + d, s.seq, do})
}

func (s *sim) run(system system) {
	s.system = system
	s.after(0, s.arrival)
	for len(s.queue) > 0 {
		e := heap.Pop(&s.queue).(event)
		if e.at > s.end {
			return
		}
		s.now = e.at
		e.do()
	}
}

// arrival is a call of who waits to go on with a task, or else of a new one, and
// has the next come: so there are as many calls as the load says.
func (s *sim) arrival() {
	t := s.next()
	s.call(t)
	rate := s.load(s.now) * capacity
	s.after(time.Duration(s.rnd.ExpFloat64()/rate*float64(time.Second)), s.arrival)
}

func (s *sim) next() *task {
	if len(s.ready) > 0 {
		t := s.ready[0]
		s.ready = s.ready[1:]
		return t
	}
	k := []int{1, 2, 4}[s.rnd.IntN(3)]
	s.tasks[k]++
	return &task{class: s.class(), user: int(float64(people) * math.Pow(s.rnd.Float64(), 1.5)), k: k, left: k, began: s.now}
}

func (s *sim) class() int {
	x := s.rnd.Float64()
	for c, p := range share {
		if x -= p; x < 0 {
			return c
		}
	}
	return 3
}

func (s *sim) call(t *task) {
	r := &request{task: t, came: s.now}
	s.offered[t.class]++
	s.after(clientWaits, func() {
		if !r.over {
			r.over = true
			s.system.left(r)
			s.failed(r)
		}
	})
	s.system.came(r)
}

func (s *sim) failed(r *request) {
	if r.task.tries < s.retries {
		r.task.tries++
		s.after(time.Duration(s.rnd.Float64()*float64(100*time.Millisecond)), func() { s.call(r.task) })
	}
}

func (s *sim) refuse(r *request) {
	if !r.over {
		r.over = true
		s.shed[r.task.class]++
		s.failed(r)
	}
}

// send hands a request to the app.
func (s *sim) send(r *request) {
	r.sent = s.now
	s.waiting = append(s.waiting, r)
	s.work()
}

func (s *sim) work() {
	for s.busy < s.workers && len(s.waiting) > 0 {
		r := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.busy++
		long := math.Exp(s.rnd.NormFloat64()*s.spread-s.spread*s.spread/2) * s.slow(s.now)
		s.after(time.Duration(long*float64(service)), func() {
			s.busy--
			s.finish(r)
			s.work()
		})
	}
}

func (s *sim) finish(r *request) {
	if !r.over {
		r.over = true
		s.answered(r)
	}
	s.system.done(r)
}

func (s *sim) answered(r *request) {
	t := r.task
	took := s.now - r.came
	s.took = append(s.took, took)
	if took <= slo {
		s.good[t.class]++
		s.by[s.now/(100*time.Millisecond)]++
	}
	if t.left--; t.left > 0 {
		s.after(thinks, func() { s.ready = append(s.ready, t) })
	} else {
		s.whole[t.k]++
	}
}

// goodput is the share of capacity that was answered within the objective
// between two times.
func (s *sim) goodput(from, to time.Duration) float64 {
	n := 0
	for _, by := range s.by[from/(100*time.Millisecond) : to/(100*time.Millisecond)] {
		n += by
	}
	return float64(n) / (capacity * (to - from).Seconds())
}

// success is the share of a class's requests that was answered in time.
func (s *sim) success(class int) float64 {
	return float64(s.good[class]) / math.Max(float64(s.offered[class]), 1)
}

// completed is the share of the tasks of k calls that were completed.
func (s *sim) completed(k int) float64 {
	return float64(s.whole[k]) / math.Max(float64(s.tasks[k]), 1)
}
