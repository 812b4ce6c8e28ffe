package h2_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/h2"
)

// lot is a connection that can wait by itself.
type lot struct {
	net.Conn
	of   *h2.Conn
	over chan error // what Serve ended with

	mu    sync.Mutex
	came  *sync.Cond
	bytes bytes.Buffer // came and were not read
	err   error        // nothing else will come
	late  bool         // the deadline is over
	due   *time.Timer
	waits bool // it is parked
	parks int  // how often it was
}

// parkable makes nc one that h2 parks; lead serves it.
func parkable(nc net.Conn, opt h2.Options, handler func(*h2.Stream)) *lot {
	l := &lot{Conn: nc, over: make(chan error, 1)}
	l.came = sync.NewCond(&l.mu)
	opt.Park, opt.Wake = l.park, l.wake
	l.of = h2.NewConn(l, opt, handler)
	go l.feed()
	return l
}

func (l *lot) lead() {
	if err := l.of.Serve(); err != h2.ErrParked { //nolint:errorlint // as it is said
		l.over <- err
	}
}

func (l *lot) feed() {
	for piece := make([]byte, 4096); ; {
		n, err := l.Conn.Read(piece)
		l.mu.Lock()
		l.bytes.Write(piece[:n])
		l.err = err
		l.resume()
		l.came.Broadcast()
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (l *lot) resume() {
	if l.waits {
		l.waits = false
		go l.lead()
	}
}

func (l *lot) park() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parks++
	l.waits = true
	if l.bytes.Len() > 0 || l.err != nil {
		l.resume()
	}
	return true
}

func (l *lot) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resume()
}

func (l *lot) Await() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.bytes.Len() == 0 && l.err == nil && !l.late {
		l.came.Wait()
	}
	switch {
	case l.late:
		return os.ErrDeadlineExceeded
	case l.bytes.Len() == 0:
		return l.err
	}
	return nil
}

func (l *lot) Read(p []byte) (int, error) {
	if err := l.Await(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes.Read(p)
}

func (l *lot) SetReadDeadline(at time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.due != nil {
		l.due.Stop()
		l.due = nil
	}
	l.late = false
	if left := time.Until(at); !at.IsZero() && left <= 0 {
		l.late = true
		l.came.Broadcast()
	} else if !at.IsZero() {
		l.due = time.AfterFunc(left, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.late = true
			l.came.Broadcast()
		})
	}
	return nil
}

func (l *lot) SetDeadline(at time.Time) error {
	_ = l.SetReadDeadline(at)
	return l.SetWriteDeadline(at)
}

func (l *lot) parked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waits
}

// untilParked has the connection rest until nothing of it runs, or it is over.
func (l *lot) untilParked() {
	for (!l.parked() || l.of.Kept() > 0) && len(l.over) == 0 {
		l.of.Rest()
		time.Sleep(time.Millisecond)
	}
}

// parksAfter has it do so after something came.
func (l *lot) parksAfter(come func()) {
	before := l.times()
	come()
	for l.times() == before && len(l.over) == 0 {
		l.of.Rest()
		time.Sleep(time.Millisecond)
	}
	l.untilParked()
}

func (l *lot) times() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parks
}

// inLot is bubble with a connection that can be parked.
func inLot(t *testing.T, opt h2.Options, handler func(*h2.Stream), do func(*peer, *lot)) {
	t.Helper()
	bubbleOf(t, func(ours, theirs net.Conn) {
		l := parkable(ours, opt, handler)
		go l.lead()
		do(newPeer(t, theirs), l)
		theirs.Close()
		<-l.over
	})
}

func TestAParkedConnectionServesOnWhateverComesHoweverItComes(t *testing.T) {
	s := serveParked(t, h2.Options{}, wait)
	p := s.raw()
	_ = p.WriteSettings()
	_ = p.said(0)
	l := s.lot()
	id := uint32(1)
	for round := range 20 {
		l.untilParked()
		var sent bytes.Buffer
		p.Framer = http2.NewFramer(&sent, p.nc)
		p.head(id, false, with("x-round: "+strings.Repeat("r", round))...) // the table of its HPACK is kept
		_ = p.WriteData(id, true, []byte("body"))
		p.Framer = http2.NewFramer(p.nc, p.nc)
		for at, half := range [][]byte{sent.Bytes()[:round*2], sent.Bytes()[round*2:]} {
			_, _ = p.nc.Write(half)
			if at == 0 && round%2 == 0 {
				l.of.Rest() // what has begun is not parked
			}
		}
		if got := p.said(1); !strings.HasSuffix(got, " 200") {
			t.Fatalf("round %d: %s", round, got)
		}
		id += 2
		l.untilParked()
		for _, frame := range []func(){
			func() { _ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 70000}) },
			func() { _ = p.WriteWindowUpdate(0, 1) },
			func() { _ = p.WritePriority(id, http2.PriorityParam{}) },
			func() { _ = p.WriteRSTStream(id-2, http2.ErrCodeCancel) }, // late
		} {
			l.parksAfter(frame)
		}
		if got := p.said(0); got != "" {
			t.Fatalf("round %d: %s", round, got)
		}
	}
	if n := l.times(); n < 100 {
		t.Errorf("it was parked %d times", n)
	}
}

func TestWhatAPeerMayDoForNothingIsCountedAcrossParking(t *testing.T) {
	for name, flood := range map[string]func(p *peer, id uint32){
		"resets": func(p *peer, id uint32) {
			p.head(id, false, asGet...)
			_ = p.WriteRSTStream(id, http2.ErrCodeCancel)
		},
		"PING": func(p *peer, _ uint32) { _ = p.WritePing(false, [8]byte{}) },
	} {
		inLot(t, h2.Options{Resets: 20, Controls: 20}, wait, func(p *peer, l *lot) {
			frames := p.frames()
			p.hello()
			id := uint32(1)
			for range 25 {
				l.parksAfter(func() { flood(p, id) })
				id += 2
				select {
				case got := <-frames:
					if got != "goaway ENHANCE_YOUR_CALM" || id < 30 {
						t.Errorf("%s: got %s after %d", name, got, id)
					}
					return
				default:
				}
			}
			t.Errorf("%s: nothing was said", name)
		})
	}
}

func TestAParkedConnectionIsEndedWhenItsTimeIsOver(t *testing.T) {
	inLot(t, h2.Options{IdleTimeout: 60 * time.Second}, wait, func(p *peer, l *lot) {
		frames := p.frames()
		p.hello()
		p.head(1, true, asGet...)
		if got := <-frames; got != "200" {
			t.Error(got)
		}
		began := time.Now()
		l.untilParked()
		time.Sleep(30 * time.Second)
		l.parksAfter(func() { _ = p.WritePing(false, [8]byte{}) }) // is no request
		if got := collect(frames); got != "goaway NO_ERROR" || time.Since(began).Round(10*time.Second) != 60*time.Second {
			t.Errorf("got %s after %v", got, time.Since(began))
		}
	})
}

func TestThePartOfAFrameHoldsAConnectionNoLongerThanAHeadMayTake(t *testing.T) {
	ping := "\x00\x00\x08\x06\x00\x00\x00\x00\x00partwise"
	for name, c := range map[string]struct {
		comes       string
		least, most time.Duration
	}{
		"a part of its head": {ping[:3], 10 * time.Second, 20 * time.Second},
		"a part of it":       {ping[:12], 10 * time.Second, 20 * time.Second},
		"of a second one":    {ping + ping[:3], 10 * time.Second, 20 * time.Second},
		"all of it":          {ping, 75 * time.Second, 80 * time.Second},
	} {
		inLot(t, h2.Options{}, wait, func(p *peer, l *lot) {
			began := time.Now()
			frames := p.frames()
			p.hello()
			synctest.Wait()
			l.untilParked()
			_, _ = io.WriteString(p.nc, c.comes)
			got := collect(frames)
			if took := time.Since(began); got != "goaway NO_ERROR" || took < c.least || took > c.most {
				t.Errorf("%s: got %s after %v", name, got, took)
			}
		})
	}
}

func TestAParkedConnectionDrainsInOrder(t *testing.T) {
	inLot(t, h2.Options{}, wait, func(p *peer, l *lot) {
		frames := p.frames()
		p.hello()
		for range 2 { // the second time it is on its way out already
			l.untilParked()
			l.of.Drain()
		}
		p.head(1, true, asGet...)
		if got := collect(frames); got != "goaway NO_ERROR, goaway NO_ERROR" && got != "goaway NO_ERROR, 200, goaway NO_ERROR" {
			t.Error(got)
		}
	})
}

func TestAParkedConnectionIsCut(t *testing.T) {
	inLot(t, h2.Options{}, wait, func(p *peer, l *lot) {
		frames := p.frames()
		p.hello()
		l.untilParked()
		l.of.Close()
		if got := collect(frames); got != "" {
			t.Error(got)
		}
	})
}

func TestWhoLeavesAParkedConnectionIsSeen(t *testing.T) {
	inLot(t, h2.Options{}, wait, func(p *peer, l *lot) {
		go func() {
			for range p.frames() {
			}
		}()
		p.hello()
		l.untilParked()
	})
}

func TestAConnectionThatRestsHoldsNothingAndServesOn(t *testing.T) {
	s := serveParked(t, h2.Options{}, func(s *h2.Stream) {
		_ = s.Answer(&h1.Response{Status: 200}, h1.Back{Bodiless: true})
	})
	p := s.raw()
	_ = p.WriteSettings()
	for id := uint32(1); id < 7; id += 2 {
		block := p.fields(asGet...)
		half := len(block) / 2
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: true, BlockFragment: block[:half]})
		_ = p.WriteContinuation(id, true, block[half:])
		if got := p.said(1); got[2:] != "200" {
			t.Fatalf("stream %d: %s", id, got)
		}
		l := s.lot()
		l.untilParked()
		if held := l.of.Held(); held > 0 {
			t.Errorf("it holds %d bytes", held)
		}
	}
}

// Requests, drains and cuts come just when the connection is being parked.
func TestNothingIsLostWhileAConnectionIsBeingParked(t *testing.T) {
	s := serveParked(t, h2.Options{}, wait)
	for range 10 {
		p := s.raw()
		_ = p.WriteSettings()
		_ = p.said(0)
		l := s.lot()
		stop := make(chan struct{})
		var resting sync.WaitGroup
		resting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					l.of.Rest()
				}
			}
		})
		for id := uint32(1); id < 200; id += 2 {
			p.head(id, true, asGet...)
			if got := p.said(1); !strings.HasSuffix(got, " 200") {
				t.Fatalf("stream %d: %s", id, got)
			}
		}
		frames := p.frames()
		l.of.Drain()
		if got := collect(frames); got != "goaway NO_ERROR, goaway NO_ERROR" {
			t.Error(got)
		}
		close(stop)
		resting.Wait()
		p.nc.Close()
	}
}
