package router

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Upgraded connections end when their two ends want them to, and some never do.
// Those of an instance that goes are told so once their time is over, in the
// words of WebSocket where that is what they speak, and are closed a moment
// later.

// partTime is how long one may go on that was told.
const partTime = time.Second

// tunnels are the upgraded connections of an instance.
type tunnels struct {
	mu     sync.Mutex
	all    map[parting]time.Duration // how long each may go on when its instance goes; 0: as the instance
	parted bool                      // who comes now goes at once
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
	}
}

func (s *tunnels) remove(t parting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, t)
}

// limit is the longest that any of them may go on; 0: as long as the instance.
func (s *tunnels) limit() (longest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, limit := range s.all {
		longest = max(longest, limit)
	}
	return longest
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

// part tells the client that the connection ends, if that can be told now, and
// closes it when it has not ended by itself.
func (t *tunnel) part() {
	deadline := time.Now().Add(partTime)
	if t.mu.TryLock() { // else somebody writes, and the client may take long
		told := t.socket && t.frames.between()
		if told {
			_ = t.client.conn.SetWriteDeadline(deadline)
			_, err := t.client.conn.Write(goingAway)
			told = err == nil
		}
		t.mu.Unlock()
		if told {
			_, _ = t.client.conn.SetReadDeadline(deadline), t.app.conn.SetReadDeadline(deadline)
			return
		}
	}
	_, _ = closeBare(t.client.conn), closeBare(t.app.conn)
}

// drained waits until nobody is inside an instance that takes nobody in. Its
// upgraded connections part when their time is over, and when ctx's is.
func (i *instance) drained(ctx context.Context, empty <-chan struct{}) error {
	var late <-chan time.Time
	if limit := i.tunnels.limit(); limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case <-empty:
			return nil
		case <-late:
			late = nil
			i.tunnels.part()
			continue
		case <-ctx.Done():
		}
		break
	}
	// When ctx was ended by somebody, another waits in our place.
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && i.tunnels.part() > 0 {
		timer := time.NewTimer(partTime + partTime/4)
		defer timer.Stop()
		select {
		case <-empty:
			return nil
		case <-timer.C:
		}
	}
	return fmt.Errorf("drain %s: %d requests still open: %w", i.id, i.door.inside(), ctx.Err())
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
