package router

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Upgraded connections end when their two ends want them to, and some never do.
// Those of an instance that goes are told so once their time is over, in the
// words of WebSocket where that is what they speak, and are closed a moment
// later.

// partTime is how long one may go on that was told.
const partTime = time.Second

// longestSpread is the time at most over which those of an instance part.
const longestSpread = 10 * time.Second

// tunnels are the upgraded connections of an instance.
type tunnels struct {
	mu     sync.Mutex
	all    map[parting]time.Duration // how long each may go on when its instance goes; 0: as its requests
	parted bool                      // who comes now goes at once

	// Once the instance goes.
	since time.Time // zero: it does not
	usual time.Duration
	ends  map[parting]*time.Timer
	quiet chan struct{} // holds a token when there are none any more
}

// parting is an upgraded connection, whoever carries it.
type parting interface {
	// part tells it that it ends, and has it end within partTime. It may be
	// called by anybody, again, and after its end.
	part()
}

// tunnel is one that goroutines carry.
type tunnel struct {
	client, app *wire

	mu     sync.Mutex // held while something is written to the client
	socket bool       // it speaks WebSocket
	frames frames     // those that the client was sent
}

// add counts one that begins as the instance's.
func (s *tunnels) add(t parting, limit time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[parting]time.Duration{}
	}
	s.all[t] = limit
	if s.parted {
		go t.part() // ends within partTime
	} else if !s.since.IsZero() {
		s.limit(t, limit)
	}
}

func (s *tunnels) remove(t parting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, t)
	if timer := s.ends[t]; timer != nil {
		timer.Stop()
		delete(s.ends, t)
	}
	if len(s.all) == 0 && s.quiet != nil {
		select {
		case s.quiet <- struct{}{}:
		default:
		}
	}
}

// leave has each of them part when its own time is over, or usual; 0: not by
// itself. quiet has a token whenever the last one has gone.
func (s *tunnels) leave(usual time.Duration) (quiet <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() {
		s.since, s.usual = time.Now(), usual
		s.ends, s.quiet = map[parting]*time.Timer{}, make(chan struct{}, 1)
		for t, limit := range s.all {
			s.limit(t, limit)
		}
	}
	return s.quiet
}

// limit has one part in time. They do so within the last tenth of it, so that
// their clients do not all come back at once.
func (s *tunnels) limit(t parting, limit time.Duration) {
	if limit = cmp.Or(limit, s.usual); limit == 0 {
		return
	}
	early := rand.N(min(limit/10, longestSpread) + 1)
	s.ends[t] = time.AfterFunc(limit-early-time.Since(s.since), t.part)
}

func (s *tunnels) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// part tells all of them that they end, has them end soon, and says how many
// they are.
func (s *tunnels) part() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parted = true
	for t := range s.all {
		go t.part() // ends within partTime
	}
	return len(s.all)
}

// say writes what the app says to the client.
func (t *tunnel) say(text []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.socket {
		t.frames.pass(text)
	}
	_, err := t.client.conn.Write(text)
	return err
}

// goingAway is a close frame with the status 1001 (RFC 6455, 7.4.1).
var goingAway = []byte{0x88, 2, 0x03, 0xE9}

// A client that is in the middle of a word is waited for, for a moment.
const (
	tellTries = 20
	tellPause = partTime / 200
)

// part tells the client that the connection ends, if that can be told soon, and
// closes it when it has not ended by itself.
func (t *tunnel) part() {
	deadline := time.Now().Add(partTime)
	for range tellTries {
		if t.tell(deadline) {
			_, _ = t.client.conn.SetReadDeadline(deadline), t.app.conn.SetReadDeadline(deadline)
			return
		}
		if !t.socket {
			break
		}
		time.Sleep(tellPause)
	}
	_, _ = closeBare(t.client.conn), closeBare(t.app.conn)
}

// tell reports whether the client could be told that it ends.
func (t *tunnel) tell(deadline time.Time) bool {
	if !t.mu.TryLock() {
		return false // somebody writes, and the client may take long
	}
	defer t.mu.Unlock()
	if !t.socket || !t.frames.between() {
		return false
	}
	_ = t.client.conn.SetWriteDeadline(deadline)
	_, err := t.client.conn.Write(goingAway)
	return err == nil
}

// drained waits until nobody is inside an instance that takes nobody in. Its
// upgraded connections part when their time is over, and when ctx's is; once the
// requests' own is, nobody but them is waited for. 0: that is the same.
func (i *instance) drained(ctx context.Context, empty <-chan struct{}, requests time.Duration) error {
	if end, bound := ctx.Deadline(); bound && requests == 0 {
		requests = max(time.Until(end), 1)
	}
	quiet := i.tunnels().leave(requests)
	var late <-chan time.Time
	if requests > 0 {
		timer := time.NewTimer(requests)
		defer timer.Stop()
		late = timer.C
	}
	for over := false; ; {
		select {
		case <-empty:
			return nil
		case <-late:
			over = true
		case <-quiet:
		case <-ctx.Done():
			return i.cutOff(ctx, empty)
		}
		if over && i.tunnels().count() == 0 {
			return i.lastOut(empty, partTime/4) // the last one is at the door
		}
	}
}

// cutOff has the upgraded connections that are left part, and says what is open
// when those had their moment who are at the door.
func (i *instance) cutOff(ctx context.Context, empty <-chan struct{}) error {
	// When ctx was ended by somebody, another waits in our place.
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return i.undrained(ctx.Err())
	}
	moment := partTime / 4
	if i.tunnels().part() > 0 {
		moment += partTime
	}
	return i.lastOut(empty, moment)
}

// lastOut waits a moment for those who are about to leave.
func (i *instance) lastOut(empty <-chan struct{}, moment time.Duration) error {
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-empty:
		return nil
	case <-timer.C:
		return i.undrained(context.DeadlineExceeded)
	}
}

// undrained is nil when the last one left meanwhile.
func (i *instance) undrained(why error) error {
	left := i.door.inside()
	if left == 0 {
		return nil
	}
	return fmt.Errorf("drain %s: %d requests still open: %w", i.id, left, why)
}

// frames follows the frames of a WebSocket (RFC 6455, 5.2) as far as to know
// where one ends.
type frames struct {
	left uint64 // bytes of the frame's payload that are to come
	head [14]byte
	have int // bytes of the next frame's head
}

// between reports whether the last frame has ended and no other begun.
func (f *frames) between() bool { return f.left == 0 && f.have == 0 }

// pass takes note of the next bytes.
func (f *frames) pass(text []byte) {
	for len(text) > 0 {
		if f.left > 0 {
			n := min(f.left, uint64(len(text)))
			f.left -= n
			text = text[n:]
			continue
		}
		f.head[f.have] = text[0]
		f.have++
		text = text[1:]
		if size, whole := f.size(); whole {
			f.left, f.have = size, 0
		}
	}
}

// size is the length of the payload, once the head of its frame is whole.
func (f *frames) size() (size uint64, whole bool) {
	if f.have < 2 {
		return 0, false
	}
	size = uint64(f.head[1] & 0x7f)
	need := 2
	switch size {
	case 126:
		need = 4
		size = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		need = 10
		size = binary.BigEndian.Uint64(f.head[2:])
	}
	if f.head[1]&0x80 != 0 {
		need += 4 // the mask
	}
	return size, f.have >= need
}

// isWebSocket reports whether a protocol that was switched to is that.
func isWebSocket(protocol []byte) bool { return bytes.EqualFold(protocol, []byte("websocket")) }
