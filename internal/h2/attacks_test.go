package h2_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/h2"
)

// crowd is handlers that go on when their stream has ended, as an app does that
// was not told yet.
type crowd struct {
	running, most atomic.Int32
	began         chan struct{} // holds a token when one has
	end           chan struct{}
}

func (c *crowd) handle(*h2.Stream) {
	n := c.running.Add(1)
	select {
	case c.began <- struct{}{}:
	default:
	}
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); {
		most = c.most.Load()
	}
	<-c.end
	c.running.Add(-1)
}

func windowBy(p *peer, id, more uint32) {
	_ = p.WriteRawFrame(http2.FrameWindowUpdate, 0, id, binary.BigEndian.AppendUint32(nil, more))
}

// Rapid reset, and MadeYouReset: the client has the server reset instead.
func TestRequestsThatAreResetAtOnceAreNeverMoreThanAreServed(t *testing.T) {
	for name, reset := range map[string]func(*peer, uint32){
		"CVE-2023-44487 by the client": func(p *peer, id uint32) {
			p.head(id, true, asGet...)
			_ = p.WriteRSTStream(id, http2.ErrCodeCancel)
		},
		"CVE-2025-8671 by a window that grows by nothing": func(p *peer, id uint32) {
			p.head(id, true, asGet...)
			windowBy(p, id, 0)
		},
		"CVE-2025-8671 by a window that is too large": func(p *peer, id uint32) {
			p.head(id, true, asGet...)
			windowBy(p, id, 1<<31-1)
		},
		"CVE-2025-8671 by DATA after the end": func(p *peer, id uint32) {
			p.head(id, true, asGet...)
			_ = p.WriteData(id, true, []byte("x"))
		},
		"CVE-2025-8671 by HEADERS after the end": func(p *peer, id uint32) {
			p.head(id, true, asGet...)
			p.head(id, true, asGet...)
		},
		"CVE-2025-8671 by trailers that do not end it": func(p *peer, id uint32) {
			p.head(id, false, asGet...)
			p.head(id, false, "x: y")
		},
		"CVE-2025-8671 by more than Content-Length": func(p *peer, id uint32) {
			p.head(id, false, with("content-length: 1")...)
			_ = p.WriteData(id, false, []byte("xx"))
		},
		"CVE-2025-8671 by more than the window": func(p *peer, id uint32) {
			p.head(id, false, asGet...)
			for range 5 {
				_ = p.WriteData(id, false, make([]byte, 16<<10))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := &crowd{began: make(chan struct{}, 1), end: make(chan struct{})}
			s := serve(t, h2.Options{MaxStreams: 4, Resets: 20}, all.handle)
			t.Cleanup(func() { close(all.end) }) // before the connection is waited for
			p := s.raw()
			_ = p.WriteSettings()
			for id := uint32(1); id < 60; id += 2 {
				reset(p, id)
			}
			if got := p.said(0); !strings.HasSuffix(got, "ENHANCE_YOUR_CALM, closed") {
				t.Errorf("got %q", got)
			}
			<-all.began
			if most := all.most.Load(); most > 2*4 { // open, and not known to have ended
				t.Errorf("%d were served at once", most)
			}
		})
	}
}

func TestFramesThatCarryNothingAreCounted(t *testing.T) {
	for name, frame := range map[string]func(*peer){
		"CVE-2019-9513 PRIORITY":          func(p *peer) { _ = p.WritePriority(1, http2.PriorityParam{StreamDep: 3, Weight: 7}) },
		"WINDOW_UPDATE":                   func(p *peer) { windowBy(p, 0, 1) },
		"WINDOW_UPDATE of a stream":       func(p *peer) { windowBy(p, 1, 1) },
		"RST_STREAM of one that has gone": func(p *peer) { _ = p.WriteRSTStream(3, http2.ErrCodeCancel) },
		"GOAWAY":                          func(p *peer) { _ = p.WriteGoAway(0, http2.ErrCodeNo, nil) },
		"PING's answer":                   func(p *peer) { _ = p.WritePing(true, [8]byte{}) },
		"one that nobody knows":           func(p *peer) { _ = p.WriteRawFrame(0x77, 0, 1, make([]byte, 100)) },
		"DATA of padding":                 func(p *peer) { _ = p.WriteDataPadded(1, false, nil, make([]byte, 9)) },
		"SETTINGS of many entries": func(p *peer) {
			_ = p.WriteSettings(slices.Repeat([]http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1}}, 10)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, h2.Options{Controls: 50}, wait)
			p := s.raw()
			_ = p.WriteSettings()
			p.head(1, false, asGet...)
			p.head(3, false, asGet...)
			_ = p.WriteRSTStream(3, http2.ErrCodeCancel)
			times := 200
			if strings.HasPrefix(name, "SETTINGS") {
				times = 20 // that they are ten each is what counts
			}
			for range times {
				frame(p)
			}
			if got := p.said(0); !strings.HasSuffix(got, "ENHANCE_YOUR_CALM, closed") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestAWindowOfOneByteIsServedByteByByte(t *testing.T) {
	body := strings.Repeat("slow", 100)
	s := serve(t, h2.Options{Controls: 50}, func(s *h2.Stream) {
		_ = s.Answer(head(200), h1.Back{Length: int64(len(body))})
		_ = s.WriteEnd([]byte(body))
	})
	p := s.raw()
	_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	p.head(1, true, asGet...)
	var got []byte
	for {
		f, err := p.ReadFrame()
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		data, ok := f.(*http2.DataFrame)
		if !ok {
			continue
		}
		if len(data.Data()) != 1 {
			t.Errorf("%d came at once", len(data.Data()))
		}
		if got = append(got, data.Data()...); data.StreamEnded() {
			break
		}
		windowBy(p, 1, 1)
	}
	if string(got) != body {
		t.Errorf("got %q", got)
	}
}

// pieces sends a block in as many frames as it takes.
func (p *peer) pieces(id uint32, block []byte) {
	first := min(len(block), 16<<10)
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: true, EndHeaders: first == len(block), BlockFragment: block[:first]})
	for block = block[first:]; len(block) > 0; {
		n := min(len(block), 16<<10)
		_ = p.WriteContinuation(id, n == len(block), block[:n])
		block = block[n:]
	}
}

// CVE-2016-6581: each byte of the block names a field of 3,900.
func TestABlockThatUnpacksWithoutEndTakesNoRoom(t *testing.T) {
	s := serve(t, h2.Options{}, func(s *h2.Stream) {
		if why := s.Refusal(); why != nil {
			answer(s, why.Status, "x")
			return
		}
		wait(s)
	})
	p := s.raw()
	_ = p.WriteSettings()
	p.head(1, true, with("x: "+strings.Repeat("x", 3900))...)
	if got := p.said(1); got != "1 200" {
		t.Fatal(got)
	}
	bomb := append(p.fields(asGet...), bytes.Repeat([]byte{0x80 | 62}, 200_000)...) // the last field that was new
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p.pieces(3, bomb)
	if got := p.said(1); got != "3 431" {
		t.Error(got)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
		t.Errorf("it took %d bytes", took)
	}
	p.head(5, true, asGet...)
	if got := p.said(1); got != "5 200" {
		t.Error(got)
	}
}

func TestAConnectionThatIsIdleKeepsNothingOfALargeBlock(t *testing.T) {
	const many, large = 32, 200 << 10
	s := serve(t, h2.Options{}, func(s *h2.Stream) { answer(s, 431, "x") })
	var all bytes.Buffer // what each client says
	p := s.raw()
	all.WriteString(http2.ClientPreface)
	says := &peer{t: t, nc: p.nc, Framer: http2.NewFramer(&all, nil)}
	says.enc = newEncoder(says)
	_ = says.WriteSettings()
	says.pieces(1, says.fields(with("x: "+strings.Repeat("\x80", large))...)) // Huffman's code would make it larger
	_ = says.WritePing(false, [8]byte{'e', 'n', 'd'})
	if all.Len() < large {
		t.Fatalf("it is %d bytes", all.Len())
	}
	held := func() uint64 {
		runtime.GC()
		runtime.GC() // and what pools kept
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := held()
	for range many {
		nc, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := nc.Write(all.Bytes()); err != nil {
			t.Fatal(err)
		}
		for f, fr := http2.Frame(nil), http2.NewFramer(nil, nc); ; {
			if f, err = fr.ReadFrame(); err != nil {
				t.Fatal(err)
			}
			if end, ok := f.(*http2.DataFrame); ok && end.StreamEnded() {
				break
			}
		}
	}
	if each := int64(held()-before) / many; each > large/2 {
		t.Errorf("each keeps %d bytes", each)
	}
}
