package overload_test

import (
	"time"

	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/platform"
)

// none sends everything on.
type none struct{ s *sim }

func (n none) came(r *request) { n.s.send(r) }
func (none) done(*request)     {}
func (none) left(*request)     {}

// limited refuses what is over a number of open requests; with a queue it lets
// as many wait as come, for so long.
type limited struct {
	s     *sim
	limit int
	waits time.Duration // 0: nobody
	open  int
	queue []*request
}

func (l *limited) came(r *request) {
	switch {
	case l.open < l.limit:
		l.open++
		l.s.send(r)
	case l.waits == 0:
		l.s.refuse(r)
	default:
		l.queue = append(l.queue, r)
	}
}

func (l *limited) done(*request) {
	l.open--
	for len(l.queue) > 0 && l.open < l.limit {
		r := l.queue[0]
		l.queue = l.queue[1:]
		if r.over {
			continue
		}
		if l.s.now-r.came > l.waits {
			l.s.refuse(r)
			continue
		}
		l.open++
		l.s.send(r)
	}
}

func (*limited) left(*request) {}

// dagor is the scheme as it was published: windows of a second or 2,000
// requests, 20 ms of mean queueing time, 5 % down and 1 % up, a FIFO queue.
type dagor struct {
	limited
	began    time.Duration
	all, adm int
	queued   time.Duration
	waits    int
	hist     [512]int
	cursor   int
	levelOf  func(*request) int
}

func newDagor(s *sim) *dagor {
	d := &dagor{limited: limited{s: s, limit: workers, waits: clientWaits}, cursor: 511}
	d.levelOf = func(r *request) int { return r.task.class*128 + int(level(r)%128) }
	return d
}

func (d *dagor) came(r *request) {
	if d.s.now-d.began >= time.Second || d.all >= 2000 {
		d.roll()
	}
	d.all++
	at := d.levelOf(r)
	d.hist[at]++
	if at > d.cursor {
		d.s.refuse(r)
		return
	}
	d.adm++
	d.limited.came(r)
}

func (d *dagor) done(r *request) {
	d.queued += r.sent - r.came
	d.waits++
	d.limited.done(r)
}

func (d *dagor) roll() {
	target := float64(d.adm) + 0.01*float64(d.all)
	over := d.waits > 0 && d.queued/time.Duration(d.waits) > 20*time.Millisecond
	if over {
		target = 0.95 * float64(d.adm)
	}
	admitted := d.adm
	for over && d.cursor > 0 && float64(admitted) > target {
		admitted -= d.hist[d.cursor]
		d.cursor--
	}
	for !over && d.cursor < 511 && float64(admitted) < target {
		d.cursor++
		admitted += d.hist[d.cursor]
	}
	d.began, d.all, d.adm, d.queued, d.waits, d.hist = d.s.now, 0, 0, 0, 0, [512]int{}
}

// ours is a Gate.
type ours struct {
	s    *sim
	gate *overload.Gate
}

func newOurs(s *sim, limit int, mode platform.OverloadMode) *ours {
	return &ours{s, overload.NewGate(overload.Settings{Mode: mode, Limit: limit}, 1)}
}

// level spreads users over their class's levels.
func level(r *request) overload.Level {
	return overload.MakeLevel(overload.Class(r.task.class), uint8(uint32(r.task.user)*2654435761>>25))
}

func (o *ours) came(r *request) {
	if o.gate.Enter(o.s.now) {
		o.s.send(r)
		return
	}
	w := &overload.Waiter{Ready: func(why overload.Reason) {
		if why != overload.None {
			o.s.refuse(r)
			return
		}
		o.s.send(r)
	}}
	r.chose = w
	switch verdict, _ := o.gate.Ask(o.s.now, level(r), w); verdict {
	case overload.Go:
		o.s.send(r)
	case overload.Shed:
		o.s.refuse(r)
	case overload.Wait:
	}
}

func (o *ours) done(r *request) { o.gate.Release(o.s.now, o.s.now-r.sent, o.s.now-r.sent) }

func (o *ours) left(r *request) {
	if w, ok := r.chose.(*overload.Waiter); ok {
		o.gate.Leave(w)
	}
}
