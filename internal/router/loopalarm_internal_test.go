package router

import (
	"log/slog"
	"os"
	"testing"
	"time"
)

// due is a handler that counts its ticks, and asks for another one after each.
type due struct {
	fd    int
	ticks int
	after time.Duration // 0: never again
	takes time.Duration // each
}

func (d *due) event(*loop, uint32) { d.ticks++; time.Sleep(d.takes) }
func (d *due) shut(*loop)          {}
func (d *due) tick(l *loop) {
	time.Sleep(d.takes)
	if d.ticks++; d.after > 0 {
		l.by(d.fd, l.clock+d.after)
	}
}

// still is a loop that nobody runs, with handlers at descriptors of their own.
func still(t *testing.T, n int) (*loop, []*due) {
	t.Helper()
	l, err := newLoop(New(slog.New(slog.DiscardHandler), Options{Loops: 1}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	all := make([]*due, n)
	for i := range all {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		all[i] = &due{fd: int(r.Fd())}
		if err := l.register(all[i].fd, all[i], edges); err != nil {
			t.Fatal(err)
		}
	}
	return l, all
}

// pass has the loop do what is due at a time, in one turn.
func (l *loop) pass(at time.Duration) {
	if l.clock = at; l.clock >= l.next {
		l.ring()
	}
	l.hear()
}

// ticked is how often all were told.
func ticked(all []*due) (n int) {
	for _, d := range all {
		n += d.ticks
	}
	return n
}

func TestThoseThatAreLateAtTheSameTimeLeaveOthersTheirTurn(t *testing.T) {
	l, all := still(t, 20)
	began := l.clock
	for _, d := range all {
		d.takes = share // so that one is all that a turn has time for
		l.by(d.fd, began+time.Second)
	}
	l.pass(began + time.Second/2)
	if ticked(all) != 0 || l.busy() {
		t.Fatalf("%d were told early", ticked(all))
	}
	for turns := 1; turns <= len(all); turns++ {
		if l.pass(began + 2*time.Second); ticked(all) != turns {
			t.Fatalf("%d were told in %d turns", ticked(all), turns)
		}
	}
	if l.busy() {
		t.Error("the loop does not rest")
	}
}

func TestThoseThatBrokeOffGoOnInTurnAndLeaveOthersTheirs(t *testing.T) {
	l, all := still(t, 5)
	for _, d := range all {
		d.takes = share
		l.again = append(l.again, d)
	}
	l.again = append(l.again, all[0])
	for turns := 1; turns <= len(all)+1; turns++ {
		if l.goOn(); ticked(all) != turns || all[0].ticks != 1+turns/6 {
			t.Fatalf("%d had their turn in %d, the first %d times", ticked(all), turns, all[0].ticks)
		}
	}
	if l.busy() {
		t.Error("the loop does not rest")
	}
}

func TestOnlyThoseAreLookedAtOfWhichSomethingIsDue(t *testing.T) {
	l, all := still(t, 3)
	often, later, never := all[0], all[1], all[2]
	began := l.clock
	often.after = time.Second
	l.by(often.fd, began+time.Second)
	l.by(later.fd, began+time.Hour)   // which is put off
	l.by(later.fd, began+time.Minute) // for that comes first
	l.by(never.fd, 0)
	later.after = 2 * time.Hour
	for at := began; at < began+10*time.Minute; at += l.router.watch.tick {
		l.pass(at)
	}
	// Those of an hour are looked at whenever their slot comes, every two minutes.
	if often.ticks < 450 || often.ticks > 600 || later.ticks < 1 || later.ticks > 12 || never.ticks != 0 {
		t.Errorf("looked at %d, %d and %d times", often.ticks, later.ticks, never.ticks)
	}
}

func TestAnAlarmIsNotForTheNextOwnerOfItsDescriptor(t *testing.T) {
	l, all := still(t, 1)
	began, fd := l.clock, all[0].fd
	l.by(fd, began+time.Second)
	l.release(fd)
	next := &due{fd: fd}
	if err := l.register(fd, next, edges); err != nil {
		t.Fatal(err)
	}
	l.pass(began + 2*time.Second)
	l.by(fd, began+4*time.Second)
	l.pass(began + 3*time.Second)
	if next.ticks != 0 {
		t.Error("it was told what was due of the one before")
	}
	if l.pass(began + 5*time.Second); next.ticks != 1 {
		t.Errorf("it was told %d times what was due of itself", next.ticks)
	}
}
