package overload

import (
	"sync"
	"time"
)

// clients are the buckets of one rule, by the hash of whom they are of: a table
// of sets of eight, so that finding, and choosing who is forgotten, look at
// eight entries at most. It grows with its use up to mostSets a shard.
type clients struct{ shards [clientShards]clientShard }

type clientShard struct {
	mu   sync.Mutex
	sets [][clientWays]client
	used int
}

const (
	clientShards = 16
	clientWays   = 8
	firstSets    = 4
	mostSets     = 512 // 16*512*8 clients of 24 bytes: 1.5 MB a rule
)

// client is one client's bucket. Nobody is where hash is 0.
type client struct {
	hash uint64
	// due is when the bucket would be full again, as the generic cell rate
	// algorithm (ITU-T I.371) keeps it: each request moves it by rule.every.
	due  time.Duration
	open int32
	seen uint32 // in seconds
}

func newClients() *clients { return &clients{} }

func (c *clients) shard(hash uint64) *clientShard { return &c.shards[hash%clientShards] }

// admit takes a token and a place of a client, or says why not and for how long.
func (c *clients) admit(now time.Duration, hash uint64, rule *rateRule) (Reason, time.Duration) {
	s := c.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(hash)
	if e == nil {
		e = s.add(hash, now)
	}
	e.seen = uint32(now / time.Second)
	if rule.open > 0 && e.open >= rule.open {
		return TooMany, time.Second
	}
	if rule.every > 0 {
		due := max(e.due, now) + rule.every
		if ahead := due - now - rule.burst; ahead > 0 {
			return TooFast, ahead
		}
		e.due = due
	}
	e.open++
	if rule.open == 0 {
		e.open = 0
	}
	return None, 0
}

func (c *clients) refund(now time.Duration, hash uint64, rule *rateRule) {
	s := c.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(hash); e != nil {
		e.due = max(e.due-rule.every, now-rule.every)
		e.open = max(e.open-1, 0)
	}
}

func (c *clients) release(hash uint64) {
	s := c.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(hash); e != nil {
		e.open = max(e.open-1, 0)
	}
}

// set is where a hash is, if anywhere.
func (s *clientShard) set(hash uint64) *[clientWays]client {
	return &s.sets[(hash>>32)%uint64(len(s.sets))]
}

func (s *clientShard) find(hash uint64) *client {
	if len(s.sets) == 0 {
		return nil
	}
	hash |= 1 << 63 // 0 is nobody
	set := s.set(hash)
	for i := range set {
		if set[i].hash == hash {
			return &set[i]
		}
	}
	return nil
}

// add makes an entry for a hash that has none, in the place of another if need be.
func (s *clientShard) add(hash uint64, now time.Duration) *client {
	if len(s.sets) == 0 || s.used > len(s.sets)*clientWays/2 && len(s.sets) < mostSets {
		s.grow(now)
	}
	hash |= 1 << 63
	e := victim(s.set(hash), now)
	if e.hash == 0 {
		s.used++
	}
	*e = client{hash: hash}
	return e
}

// victim is the entry to be given up: one that nobody has, else one whose
// bucket is full, which loses nothing, else who was not seen for longest; those
// with something open last.
func victim(set *[clientWays]client, now time.Duration) *client {
	worth := func(e *client) uint64 {
		switch {
		case e.hash == 0:
			return 0
		case e.open > 0:
			return 1<<40 + uint64(e.seen)
		case e.due <= now:
			return 1 + uint64(e.seen)
		}
		return 1<<33 + uint64(e.seen)
	}
	least := &set[0]
	for i := range set {
		if worth(&set[i]) < worth(least) {
			least = &set[i]
		}
	}
	return least
}

// grow doubles the table. Those who do not fit where they go are forgotten.
func (s *clientShard) grow(now time.Duration) {
	old := s.sets
	s.sets, s.used = make([][clientWays]client, max(2*len(old), firstSets)), 0
	for i := range old {
		for _, e := range old[i] {
			if e.hash == 0 || e.open == 0 && e.due <= now {
				continue
			}
			at := victim(s.set(e.hash), now)
			if at.hash == 0 {
				s.used++
			}
			*at = e
		}
	}
}
