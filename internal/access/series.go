package access

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Observation is one request that ended.
type Observation struct {
	Status   int
	Took     time.Duration // from its head to the end of the answer
	In, Out  int64         // bytes of both bodies
	Failed   bool
	Upgraded bool // its time says nothing of the app's speed, and is not counted
}

// Series counts the requests of one process type of one app. An idle one holds
// no memory to speak of.
type Series struct {
	app, process string
	began        time.Duration
	own          bool          // it is exported by itself
	active       atomic.Uint32 // shards in use
	shards       [maxShards]atomic.Pointer[shard]
}

// maxShards bounds what keeps cores from waiting for each other.
const maxShards = 16

// classes of statuses: 1xx to 5xx.
const classes = 5

// shard is a part of the counts, alone on its cache lines.
type shard struct {
	mu       sync.Mutex
	requests [classes]uint64
	took     [classes]histogram
	in, out  uint64
	failed   uint64
	recent   recent
	_        [64]byte
}

// End counts a request that ended now, by the clock of Metrics. It allocates
// when cores meet for the first time, and otherwise takes one lock that is free.
func (s *Series) End(now time.Duration, o *Observation) {
	sh := s.lock()
	class := min(max(o.Status/100-1, 0), classes-1)
	sh.requests[class]++
	sh.in += uint64(max(o.In, 0))
	sh.out += uint64(max(o.Out, 0))
	if o.Failed {
		sh.failed++
	}
	if !o.Upgraded {
		sh.took[class].add(o.Took)
		sh.recent.add(now, o.Took, o.Failed)
	}
	sh.mu.Unlock()
}

// lock is a shard that nobody else has; one more is begun when somebody has.
func (s *Series) lock() *shard {
	active := s.active.Load()
	at := uint32(0)
	if active > 1 {
		at = rand.Uint32N(active)
	}
	if sh := s.shards[at].Load(); sh != nil && sh.mu.TryLock() {
		return sh
	}
	for i := range s.shards {
		sh := s.shards[i].Load()
		if sh == nil {
			sh = s.begin(i)
		}
		if sh.mu.TryLock() {
			return sh
		}
	}
	sh := s.shards[at].Load()
	sh.mu.Lock()
	return sh
}

func (s *Series) begin(i int) *shard {
	if fresh := new(shard); s.shards[i].CompareAndSwap(nil, fresh) {
		s.active.Add(1)
	}
	return s.shards[i].Load()
}

// totals are the sums of all shards.
type totals struct {
	requests [classes]uint64
	took     [classes]histogram
	in, out  uint64
	failed   uint64
}

func (s *Series) each(look func(*shard)) {
	for i := range s.shards {
		if sh := s.shards[i].Load(); sh != nil {
			sh.mu.Lock()
			look(sh)
			sh.mu.Unlock()
		}
	}
}

// Exported reports whether it is exported by itself, and so is what others know
// of its process type.
func (s *Series) Exported() bool { return s != nil && s.own }

// sum adds its counts to t.
func (s *Series) sum(t *totals) {
	s.each(func(sh *shard) {
		for c := range classes {
			t.requests[c] += sh.requests[c]
			t.took[c].merge(&sh.took[c])
		}
		t.in += sh.in
		t.out += sh.out
		t.failed += sh.failed
	})
}

// Live is what it had lately; what it has now is for the caller to fill in.
func (s *Series) Live(now time.Duration) Live {
	all := new(sums)
	s.each(func(sh *shard) { all.add(&sh.recent, now) })
	l := Live{App: s.app, Process: s.process}
	l.Second, l.Ten, l.Minute = all.live(now, s.began)
	return l
}
