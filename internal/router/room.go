package router

import (
	"sync/atomic"
	"time"
)

// When there are as many connections as there may be, who comes takes the place
// of one that has made no request for Options.Quiet: it costs nothing to open
// connections and leave them idle, so those must not keep others out. A client
// whose connection is closed between two requests opens another.

// full reports whether there is no room for one more connection.
func (r *Router) full() bool {
	if r.watch.count.Load() < int64(r.opt.MaxConnections) || r.watch.yields(r.now()-r.opt.Quiet) {
		return false
	}
	for _, l := range r.allLoops() {
		l.post(func() { l.yields() }) // for the next that comes
	}
	return true
}

// seldom is when the log said last what is said once a minute at most, however
// often it happens: a flood of clients is not to be one of lines too.
type seldom struct{ said atomic.Int64 }

// now reports whether it is time, on the router's clock.
func (s *seldom) now(clock time.Duration) bool {
	said := s.said.Load()
	return (said == 0 || clock-time.Duration(said) >= time.Minute) && s.said.CompareAndSwap(said, max(1, int64(clock)))
}

// hasNoRoom logs that a connection is turned away.
func (r *Router) hasNoRoom() {
	if r.saidNoRoom.now(r.now()) {
		r.log.Warn("connections were turned away: there are as many as there may be", "max", r.opt.MaxConnections)
	}
}

// full is for what comes to the loop.
func (l *loop) full() bool {
	r := l.router
	return r.watch.count.Load() >= int64(r.opt.MaxConnections) && !l.yields() && !r.watch.yields(r.now()-r.opt.Quiet)
}

// looksAt is how many are looked at for one that may go, of a shard or a loop:
// looking must not cost more than a request does.
const looksAt = 16

// yields closes a connection that has been quiet since before then, if it soon
// finds one.
func (w *watch) yields(then time.Duration) bool {
	for range w.shards {
		s := &w.shards[w.turn.Add(1)%watchShards]
		if who := s.quietest(then); who != nil {
			who.cut()
			return true
		}
	}
	return false
}

// quietest is one that has been quiet since before then.
func (s *watchShard) quietest(then time.Duration) watched {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := looksAt
	for who := range s.all {
		if since, ok := who.quiet(); ok && who.counts() && since < then {
			return who
		}
		if left--; left == 0 {
			break
		}
	}
	return nil
}

// yields closes a client of the loop that has been quiet for long.
func (l *loop) yields() bool {
	for range min(8*looksAt, len(l.sockets)) {
		l.looksFrom = (l.looksFrom + 1) % len(l.sockets)
		c, ok := l.sockets[l.looksFrom].handler.(*inSocket)
		if ok && c.act == nil && c.slab == nil && !c.lingering && l.clock-c.rested > l.router.opt.Quiet {
			c.shut(l)
			return true
		}
	}
	return false
}
