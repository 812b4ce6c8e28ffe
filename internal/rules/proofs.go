package rules

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"hash/maphash"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Bounds of what proofs remember and of what they may cost.
const (
	maxRight  = 8192 // credentials that were right
	maxWrong  = 2048 // that were wrong, so that they cost nothing twice
	rightFor  = 10 * time.Minute
	wrongFor  = time.Minute
	maxAsking = 256             // requests that wait for a proof
	clients   = 4096            // buckets; clients share one by chance
	burst     = 10              // wrong ones a client may have at once
	refill    = 2 * time.Second // until it may have one more
)

// Proofs finds out whether passwords are right, and remembers it for a while:
// a hash is slow on purpose. One serves all apps of a router. It remembers no
// password, only HMACs by a key of its own that is nowhere else, so that
// neither its memory nor its time tells anything of one. Wrong ones are counted
// by client, and few are looked at side by side, so nobody can keep the
// machine busy with them.
type Proofs struct {
	seed  maphash.Seed
	macs  sync.Pool
	slots chan struct{} // held while a hash is made

	mu      sync.Mutex
	right   remembered
	wrong   remembered
	asking  int
	jobs    map[mark]*job
	buckets [clients]bucket
}

// mark stands for credentials as one app's users were at one time.
type mark [sha256.Size]byte

// job is a proof under way.
type job struct{ done chan struct{} }

// bucket is how many wrong passwords a client may have yet.
type bucket struct {
	spent int
	since time.Duration // when spent was reckoned
}

type knowledge int

const (
	unknown knowledge = iota
	right
	wrong
)

// NewProofs knows nothing yet.
func NewProofs() *Proofs {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	return &Proofs{
		seed:  maphash.MakeSeed(),
		macs:  sync.Pool{New: func() any { return hmac.New(sha256.New, key[:]) }},
		slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		right: newRemembered(maxRight, rightFor),
		wrong: newRemembered(maxWrong, wrongFor),
		jobs:  map[mark]*job{},
	}
}

// mark depends on the app's users as they are now, so that a password that was
// changed is forgotten at once.
func (p *Proofs) mark(a *auth, token []byte) (m mark) {
	mac, _ := p.macs.Get().(hash.Hash) // nothing else is in there
	mac.Reset()
	mac.Write(token)
	mac.Write([]byte{0})
	mac.Write(a.print[:])
	mac.Sum(m[:0])
	p.macs.Put(mac)
	return m
}

func (p *Proofs) known(m mark, now time.Duration) knowledge {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.remembers(m, now)
}

// Prove finds out what Refuse could not tell of a request, and notes it in its
// visit; Refuse then says whether it goes on. It takes as long as a hash and
// may wait for other proofs, until gone is closed, since its client has left: it
// is not for a thread that others wait for. clock is read before and after.
func (p *Proofs) Prove(gone <-chan struct{}, r *Rules, req *h1.Request, v *Visit, clock func() time.Duration) {
	a := r.auth
	token, ok := basic(req.Fields)
	if a == nil || !ok {
		return
	}
	m := p.mark(a, token)
	found := p.prove(gone, a, m, token, v.Client, clock)
	switch found {
	case right:
		v.proven = a
	case wrong:
		v.shut = refusalOf{a, a.unauthorized()}
	default:
		v.shut = refusalOf{a, busy()}
	}
}

// prove lets one of those who bring the same credentials at the same time do
// the work for all.
func (p *Proofs) prove(gone <-chan struct{}, a *auth, m mark, token []byte, client netip.Addr, clock func() time.Duration) knowledge {
	for {
		p.mu.Lock()
		now := clock()
		if k := p.remembers(m, now); k != unknown {
			p.mu.Unlock()
			return k
		}
		if other := p.jobs[m]; other != nil {
			p.mu.Unlock()
			select {
			case <-other.done:
				continue
			case <-gone:
				return unknown
			}
		}
		slot := &p.buckets[p.slot(client)]
		if p.asking >= maxAsking || !slot.take(now) {
			p.mu.Unlock()
			return unknown
		}
		j := &job{make(chan struct{})}
		p.jobs[m] = j
		p.asking++
		p.mu.Unlock()
		return p.work(gone, a, m, token, slot, j, clock)
	}
}

func (p *Proofs) remembers(m mark, now time.Duration) knowledge {
	switch {
	case p.right.has(m, now):
		return right
	case p.wrong.has(m, now):
		return wrong
	}
	return unknown
}

// work makes the hash, when its turn has come.
func (p *Proofs) work(gone <-chan struct{}, a *auth, m mark, token []byte, slot *bucket, j *job, clock func() time.Duration) (k knowledge) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		now := clock()
		switch k {
		case right:
			slot.give()
			p.right.add(m, now)
		case wrong:
			p.wrong.add(m, now)
		case unknown: // its client left
			slot.give()
		}
		p.asking--
		delete(p.jobs, m)
		close(j.done)
	}()
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-gone:
		return unknown
	}
	if a.verify(token) {
		return right
	}
	return wrong
}

// verify takes as long for a name that nobody has as for one of a user.
func (a *auth) verify(token []byte) bool {
	name, password, ok := credentials(token)
	if !ok {
		return false
	}
	kept, there := a.users[name]
	if !there {
		kept = a.decoy
	}
	return platform.VerifyPassword(kept, password) && there
}

// slot is the bucket of a client: of an IPv6 client that of its /64, which is
// what one household has.
func (p *Proofs) slot(client netip.Addr) uint64 {
	client = client.Unmap().WithZone("")
	if client.Is6() {
		network, _ := client.Prefix(64)
		client = network.Addr()
	}
	bytes := client.As16()
	return maphash.Bytes(p.seed, bytes[:]) % clients
}

// take spends one of the bucket's, if there is one.
func (b *bucket) take(now time.Duration) bool {
	if passed := int((now - b.since) / refill); passed > 0 {
		b.spent = max(0, b.spent-passed)
		b.since += time.Duration(passed) * refill
	}
	if b.spent == 0 {
		b.since = now
	}
	if b.spent >= burst {
		return false
	}
	b.spent++
	return true
}

func (b *bucket) give() { b.spent = max(0, b.spent-1) }

// remembered are marks of the last while, in two halves: when the younger is
// full or old enough, it becomes the elder, and the elder is forgotten. So what
// is remembered is bounded, and forgetting costs nothing.
type remembered struct {
	most       int
	age        time.Duration
	young, old map[mark]time.Duration // when each was learnt
}

func newRemembered(most int, age time.Duration) remembered {
	return remembered{most: most, age: age, young: map[mark]time.Duration{}, old: map[mark]time.Duration{}}
}

func (r *remembered) has(m mark, now time.Duration) bool {
	learnt, ok := r.young[m]
	if !ok {
		if learnt, ok = r.old[m]; !ok {
			return false
		}
	}
	return now-learnt < r.age
}

func (r *remembered) add(m mark, now time.Duration) {
	if len(r.young) >= r.most/2 {
		r.old, r.young = r.young, map[mark]time.Duration{}
	}
	r.young[m] = now
}
