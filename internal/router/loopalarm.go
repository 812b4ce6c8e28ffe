package router

import "time"

// alarms have a loop look again at those of its sockets of which something is
// due, and at no others: what thousands of slow clients cost grows with what is
// due of them. A socket has one alarm that counts, its next; what it had besides,
// for later, goes off unheard.
type alarms struct {
	slots [alarmSlots][]alarm // by turn; one later than fits is looked at early
	turn  int64               // all until it have gone off: on the clock, in ticks
	rung  []alarm             // they have gone off, and rung[heard:] have not been heard
	heard int
	hands int // how many that are late may yet be handed over until the next ring
}

type alarm struct{ fd, number int32 }

const (
	alarmSlots = 512 // two minutes, of ticks of a quarter second
	keptAlarms = 128 // what a slot keeps room for when it is empty

	// maxHands is how many that are late are handed over at a ring: thousands of
	// new goroutines at once would all be before the loop in the scheduler's queue.
	maxHands = 500
)

// by has a socket's tick be called at a time, 0: at none. It is on the loop's
// clock, and rounded up, so that what is due at about the same time is looked at
// once.
func (l *loop) by(fd int, due time.Duration) {
	if due <= 0 {
		return
	}
	a, s, tick := &l.alarms, &l.sockets[fd], l.router.watch.tick
	turn := min(max(int64(due/tick)+1, a.turn+1), a.turn+alarmSlots-1)
	if s.alarm != 0 && s.alarm <= turn {
		return
	}
	s.alarm = turn
	slot := &a.slots[turn%alarmSlots]
	*slot = append(*slot, alarm{int32(fd), s.number}) //nolint:gosec // a descriptor
	l.next = min(l.next, time.Duration(turn)*tick)
}

// ring has the alarms go off whose time has come.
func (l *loop) ring() {
	a, tick := &l.alarms, l.router.watch.tick
	now := int64(l.clock / tick)
	for a.turn = max(a.turn, now-alarmSlots); a.turn < now; {
		a.turn++
		slot := &a.slots[a.turn%alarmSlots]
		a.rung = append(a.rung, *slot...)
		*slot = emptied(*slot)
	}
	a.hands, l.next = maxHands, never
	for turn := a.turn + 1; turn < a.turn+alarmSlots; turn++ {
		if len(a.slots[turn%alarmSlots]) > 0 {
			l.next = time.Duration(turn) * tick
			break
		}
	}
}

// hear has sockets do what is due of them, for as long as it may take: to end one
// that is late costs as much as a few requests.
func (l *loop) hear() {
	a := &l.alarms
	for until := l.router.now() + share; a.heard < len(a.rung); {
		of := a.rung[a.heard]
		a.heard++
		if s := &l.sockets[of.fd]; s.handler != nil && s.number == of.number && s.alarm != 0 && s.alarm <= a.turn {
			s.alarm = 0
			l.guard(s.handler, func() { s.tick(l) })
			if l.router.now() >= until {
				break
			}
		}
	}
	if a.heard == len(a.rung) {
		a.rung, a.heard = emptied(a.rung), 0
	}
}

func emptied(all []alarm) []alarm {
	if cap(all) > keptAlarms {
		return nil
	}
	return all[:0]
}
