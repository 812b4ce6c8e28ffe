package h2_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/h2"
)

// bubble serves one connection inside a bubble of synctest, where time passes
// when nothing else happens.
func bubble(t *testing.T, opt h2.Options, handler func(*h2.Stream), do func(*peer, *h2.Conn)) {
	t.Helper()
	bubbleOf(t, func(ours, theirs net.Conn) {
		c := h2.NewConn(ours, opt, handler)
		ended := make(chan error, 1)
		go func() { ended <- c.Serve() }()
		do(newPeer(t, theirs), c)
		theirs.Close()
		<-ended
	})
}

func bubbleOf(t *testing.T, do func(ours, theirs net.Conn)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { do(net.Pipe()) })
}

// hello is what every client begins with; what comes back must be read at the
// same time, for the pipe keeps nothing.
func (p *peer) hello(settings ...http2.Setting) {
	_, _ = io.WriteString(p.nc, http2.ClientPreface)
	_ = p.WriteSettings(settings...)
}

// frames tells of each frame that comes, and ends with the connection.
func (p *peer) frames() <-chan string {
	all := make(chan string, 1000)
	go func() {
		defer close(all)
		for {
			f, err := p.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.RSTStreamFrame:
				all <- "reset " + f.ErrCode.String()
			case *http2.GoAwayFrame:
				all <- "goaway " + f.ErrCode.String()
			case *http2.PingFrame:
				if !f.IsAck() {
					_ = p.WritePing(true, f.Data)
				}
			case *http2.HeadersFrame:
				all <- p.status(f)
			}
		}
	}()
	return all
}

func collect(frames <-chan string) string {
	var all []string
	for f := range frames {
		all = append(all, f)
	}
	return strings.Join(all, ", ")
}

func TestAQuietConnectionIsEnded(t *testing.T) {
	bubble(t, h2.Options{IdleTimeout: 10 * time.Second}, wait, func(p *peer, _ *h2.Conn) {
		began := time.Now()
		frames := p.frames()
		p.hello()
		time.Sleep(8 * time.Second)
		p.head(1, true, asGet...)
		got := collect(frames)
		if took := time.Since(began); got != "200, goaway NO_ERROR" || took < 18*time.Second || took > 24*time.Second {
			t.Errorf("got %s after %v", got, took)
		}
	})
}

func TestAConnectionThatSaysNothingIsEnded(t *testing.T) {
	for name, first := range map[string]string{"nothing": "", "half a preface": "PRI * HTTP/2", "no SETTINGS": http2.ClientPreface} {
		bubble(t, h2.Options{HeaderTimeout: 3 * time.Second}, wait, func(p *peer, _ *h2.Conn) {
			began := time.Now()
			frames := p.frames()
			_, _ = io.WriteString(p.nc, first)
			if got := collect(frames); got != "" || time.Since(began) > 5*time.Second {
				t.Errorf("%s: got %s after %v", name, got, time.Since(began))
			}
		})
	}
}

func TestAHeadThatTakesTooLongEndsTheConnection(t *testing.T) {
	bubble(t, h2.Options{HeaderTimeout: 3 * time.Second}, wait, func(p *peer, _ *h2.Conn) {
		frames := p.frames()
		p.hello()
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.fields(asGet...)})
		if got := collect(frames); got != "goaway ENHANCE_YOUR_CALM" {
			t.Errorf("got %s", got)
		}
	})
}

// CVE-2016-1546, CVE-2019-9511.
func TestAStreamWhoseClientOpensNoWindowIsReset(t *testing.T) {
	for name, dribble := range map[string]bool{"none": false, "a byte a second": true} {
		var stalled error
		handler := func(s *h2.Stream) {
			_ = s.Answer(head(200), h1.Back{Length: h1.Chunked})
			_, stalled = s.Write(make([]byte, 100))
		}
		bubble(t, h2.Options{StallTimeout: 20 * time.Second}, handler, func(p *peer, c *h2.Conn) {
			began := time.Now()
			frames := p.frames()
			p.hello(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			p.head(1, true, asGet...)
			for range 19 {
				time.Sleep(time.Second)
				if dribble {
					_ = p.WriteWindowUpdate(1, 1)
				}
			}
			time.Sleep(2 * time.Second)
			c.Drain()
			got := collect(frames)
			if got != "200, reset CANCEL, goaway NO_ERROR, goaway NO_ERROR" || stalled == nil || time.Since(began) > 25*time.Second {
				t.Errorf("%s: got %s, %v after %v", name, got, stalled, time.Since(began))
			}
		})
	}
}

// CVE-2019-9517: the window is open, and nothing of it is read.
func TestAClientThatReadsNothingIsCutOff(t *testing.T) {
	var ended chan error
	handler := func(s *h2.Stream) {
		_ = s.Answer(head(200), h1.Back{Length: h1.Chunked})
		_, err := s.Write(make([]byte, 1<<20))
		ended <- err
	}
	bubble(t, h2.Options{WriteTimeout: 20 * time.Second}, handler, func(p *peer, _ *h2.Conn) {
		ended = make(chan error, 1) // the bubble's own
		go func() { p.hello(); p.head(1, true, asGet...) }()
		for range 3 { // SETTINGS, WINDOW_UPDATE, ACK
			_, _ = p.ReadFrame()
		}
		began := time.Now()
		if err := <-ended; err == nil || time.Since(began) > 40*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

func TestAClientThatSaysItGoesAndStaysHoldsUpNoDrain(t *testing.T) {
	bubble(t, h2.Options{}, wait, func(p *peer, c *h2.Conn) {
		frames := p.frames()
		p.hello()
		_ = p.WriteGoAway(0, http2.ErrCodeNo, nil)
		synctest.Wait()
		began := time.Now()
		c.Drain()
		if got := collect(frames); got != "goaway NO_ERROR, goaway NO_ERROR" || time.Since(began) > 5*time.Second {
			t.Errorf("got %s after %v", got, time.Since(began))
		}
	})
}

// stays is a connection whose client sees its end, and does not close its own.
type stays struct{ net.Conn }

func (stays) CloseWrite() error { return nil }

func TestAClientThatBeginsOnlyWhenItIsToldToGoHoldsUpNoDrain(t *testing.T) {
	bubbleOf(t, func(ours, theirs net.Conn) {
		c := h2.NewConn(stays{ours}, h2.Options{}, wait)
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- c.Serve() }()
		p := newPeer(t, theirs)
		defer theirs.Close()
		c.Drain()
		for left := 2; left > 0; { // then it waits for the client to have read them
			f, err := p.ReadFrame()
			if _, ok := f.(*http2.GoAwayFrame); ok {
				left--
			} else if err != nil {
				t.Fatal(err)
			}
		}
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		time.Sleep(lingers / 2)
		p.hello()
		<-ended
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it ended after %v", took)
		}
	})
}

func TestTheFirstFrameIsSettingsAlsoOfWhoIsToGo(t *testing.T) {
	bubbleOf(t, func(ours, theirs net.Conn) {
		c := h2.NewConn(ours, h2.Options{}, wait)
		c.Drain()
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- c.Serve() }()
		p := newPeer(t, theirs)
		if f, err := p.ReadFrame(); err != nil || f.Header().Type != http2.FrameSettings {
			t.Errorf("got %v, %v", f, err)
		}
		theirs.Close()
		<-ended
	})
}

// lingers is how long a connection waits for its client to have seen the end.
const lingers = time.Second

func TestADrainedConnectionServesWhatWasSentBeforeItWasKnown(t *testing.T) {
	bubbleOf(t, func(ours, theirs net.Conn) { // where a client has the second that it is given
		release := make(chan struct{})
		c := h2.NewConn(ours, h2.Options{}, func(s *h2.Stream) {
			if s.ID() == 1 {
				<-release
			}
			answer(s, 200, "x")
		})
		ended := make(chan error, 1)
		go func() { ended <- c.Serve() }()
		p := newPeer(t, theirs)
		go func() {
			p.hello()
			p.head(1, true, asGet...)
			synctest.Wait()
			c.Drain()
		}()
		if got := p.leaves(release); got != "NO_ERROR first 200 NO_ERROR last 200" && got != "NO_ERROR first NO_ERROR last 200 200" {
			t.Errorf("got %s", got)
		}
		theirs.Close()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
}

// leaves asks for more when it is told to leave, and says what came until the end.
func (p *peer) leaves(release chan struct{}) string {
	var got []string
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return strings.Join(got, " ")
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			if got = append(got, f.ErrCode.String()); f.LastStreamID == 1<<31-1 {
				got = append(got, "first")
				p.head(3, true, asGet...) // was on its way
			} else if f.LastStreamID == 3 {
				got = append(got, "last")
				p.head(5, true, asGet...) // too late: it is sent again elsewhere
				close(release)
			}
		case *http2.PingFrame:
			_ = p.WritePing(true, f.Data)
		case *http2.HeadersFrame:
			got = append(got, p.status(f))
		}
	}
}

func TestWhatIsSaidOfARequestThatCameTooLateIsIgnored(t *testing.T) {
	for name, late := range map[string]func(*peer){
		"its body":       func(p *peer) { _ = p.WriteData(5, true, []byte("x")) },
		"its window":     func(p *peer) { _ = p.WriteWindowUpdate(5, 1) },
		"its end":        func(p *peer) { _ = p.WriteRSTStream(5, http2.ErrCodeCancel) },
		"its trailers":   func(p *peer) { p.head(5, true, "x: y") },
		"its priority":   func(p *peer) { _ = p.WritePriority(5, http2.PriorityParam{}) },
		"one more":       func(p *peer) { p.head(7, true, asGet...) },
		"a broken head":  func(p *peer) { p.head(7, true, with("connection: close")...) },
		"one never sent": func(p *peer) { _ = p.WriteRSTStream(9, http2.ErrCodeCancel) },
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			let := sync.OnceFunc(func() { close(release) })
			s := serve(t, h2.Options{}, func(s *h2.Stream) {
				<-release
				answer(s, 200, "x")
			})
			p := s.raw()
			_ = p.WriteSettings()
			p.head(1, true, asGet...)
			_ = p.said(0)
			s.conns[0].Drain()
			var got []string
			for {
				f, err := p.ReadFrame()
				if err != nil {
					break
				}
				switch f := f.(type) {
				case *http2.GoAwayFrame:
					if f.LastStreamID == 1 && f.ErrCode == http2.ErrCodeNo {
						p.head(5, false, asGet...)
						late(p)
						_ = p.WritePing(false, [8]byte{'e', 'n', 'd'})
					}
				case *http2.PingFrame:
					if f.IsAck() {
						let() // it was all read
					} else {
						_ = p.WritePing(true, f.Data)
					}
				case *http2.HeadersFrame:
					got = append(got, fmt.Sprint(f.StreamID, " ", p.status(f)))
				case *http2.RSTStreamFrame:
					got = append(got, fmt.Sprint("reset ", f.StreamID))
				}
			}
			p.nc.Close()
			let()
			if err := <-s.ended; err != nil || strings.Join(got, ", ") != "1 200" {
				t.Errorf("it ended with %v after %v", err, got)
			}
		})
	}
}
