package h2_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/h2"
)

// dial makes a pool of connections to addr.
func dial(t *testing.T, addr string, opt h2.Options) (pool *h2.Pool, dialed *atomic.Int32) {
	t.Helper()
	dialed = new(atomic.Int32)
	pool = h2.NewPool(opt, func(ctx context.Context) (net.Conn, error) {
		dialed.Add(1)
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	})
	t.Cleanup(pool.Close)
	return pool, dialed
}

// app is net/http's server of HTTP/2 with prior knowledge.
func app(t *testing.T, streams int, handler http.HandlerFunc) (addr string) {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: handler, Protocols: protocols, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streams}}
	ln := listen(t)
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return ln.Addr().String()
}

// asked is a request's head.
func asked(method, target string, lines ...string) *h1.Request {
	r := new(h1.Request)
	text := method + " " + target + " HTTP/1.1\r\nHost: a.test\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
	if _, err := r.Parse([]byte(text), h1.Limits{Head: 1 << 20, Fields: 1000, Target: 1 << 20}); err != nil {
		panic(err)
	}
	return r
}

func TestRequestsGoToAServerAndAnswersComeBack(t *testing.T) {
	pool, dialed := dial(t, app(t, 100, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Asked", fmt.Sprint(r.Method, r.Host, r.URL, r.Header["X-One"], r.Header["Te"], r.Header["X-Two"]))
		w.Header().Set("Trailer", "Sum")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("Sum", r.Trailer.Get("Sum"))
	}), h2.Options{})
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			req := asked("POST", fmt.Sprintf("/%d?q", i), "X-One: 1", "Connection: close, x-two", "X-Two: 2", "TE: trailers", "Trailer: Sum")
			s, err := pool.Open(t.Context(), req, h1.Onward{Body: true, Length: h1.Chunked, Set: []byte("X-Forwarded-Proto: http\r\n")})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Release()
			body := bytes.Repeat([]byte("x"), i*10_000)
			go func() {
				_, _ = s.Write(body)
				_ = s.End(fmt.Appendf(nil, "sum: %d\r\n", i))
			}()
			early, err := s.Head()
			if err != nil || early.Status != 103 {
				t.Errorf("got %v, %v", early, err)
				return
			}
			res, err := s.Head()
			if err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(s)
			want := fmt.Sprintf("POSTa.test/%d?q [1] [trailers] []", i)
			if err != nil || !bytes.Equal(got, body) || string(res.Get("x-asked")) != want {
				t.Errorf("got %d of %d bytes, %s, %v", len(got), len(body), res.Get("x-asked"), err)
			}
			if sum := fmt.Sprintf("sum: %d\r\n", i); string(s.Trailers()) != sum {
				t.Errorf("got %q", s.Trailers())
			}
		})
	}
	all.Wait()
	if dialed.Load() != 1 {
		t.Errorf("there were %d connections", dialed.Load())
	}
}

func TestMoreRequestsThanStreamsGoByMoreConnectionsAndThenWait(t *testing.T) {
	var open, most atomic.Int32
	pool, dialed := dial(t, app(t, 2, func(w http.ResponseWriter, _ *http.Request) {
		if n := open.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer open.Add(-1)
		_, _ = io.WriteString(w, "x")
	}), h2.Options{MaxStreams: 2})
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			s, err := pool.Open(t.Context(), asked("GET", "/"), h1.Onward{})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Release()
			if res, err := s.Head(); err != nil || res.Status != 200 {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	if dialed.Load() > 16 || most.Load() > 32 {
		t.Errorf("%d connections, %d at once", dialed.Load(), most.Load())
	}
}

func TestWhoWaitsForAPlaceMayLeave(t *testing.T) {
	pool, _ := dial(t, app(t, 1, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), h2.Options{MaxStreams: 1})
	for range 16 {
		s, err := pool.Open(t.Context(), asked("GET", "/"), h1.Onward{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Release()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pool.Open(ctx, asked("GET", "/"), h1.Onward{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWhereNobodyListensTheDialsErrorIsTold(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) }) // until then the port is nobody else's
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	pool, _ := dial(t, fmt.Sprint("127.0.0.1:", at.(*unix.SockaddrInet4).Port), h2.Options{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			var refused *net.OpError
			if _, err := pool.Open(t.Context(), asked("GET", "/"), h1.Onward{}); !errors.As(err, &refused) {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
}

// scripted is a server that does what it is told with each connection's frames.
func scripted(t *testing.T, do func(p *peer, f http2.Frame)) (addr string) {
	t.Helper()
	ln := listen(t)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				p := newPeer(t, nc)
				_, _ = io.ReadFull(nc, make([]byte, len(http2.ClientPreface)))
				_ = p.WriteSettings()
				for {
					f, err := p.ReadFrame()
					if err != nil {
						return
					}
					do(p, f)
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func TestWhatAServerHasNotLookedAtMayBeSentAgain(t *testing.T) {
	for name, refuse := range map[string]func(p *peer, id uint32){
		"8.7 it refused the stream":   func(p *peer, id uint32) { _ = p.WriteRSTStream(id, http2.ErrCodeRefusedStream) },
		"6.8 its GOAWAY names others": func(p *peer, id uint32) { _ = p.WriteGoAway(id-1, http2.ErrCodeNo, nil) },
	} {
		pool, _ := dial(t, scripted(t, func(p *peer, f http2.Frame) {
			if head, ok := f.(*http2.HeadersFrame); ok {
				refuse(p, head.StreamID)
			}
		}), h2.Options{})
		for range 3 {
			s, err := pool.Open(t.Context(), asked("POST", "/"), h1.Onward{Body: true, Length: 5})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Head(); !errors.Is(err, h2.ErrUnsent) {
				t.Errorf("%s: got %v", name, err)
			}
			if _, err := s.Write([]byte("x")); err == nil {
				t.Errorf("%s: it still takes the body", name)
			}
			s.Release()
		}
	}
}

func TestAnAnswerThatBreaksARuleIsNone(t *testing.T) {
	block := func(lines ...string) func(*peer, uint32) {
		return func(p *peer, id uint32) { p.head(id, true, lines...) }
	}
	for name, answer := range map[string]func(*peer, uint32){
		"8.1 DATA before the head":          func(p *peer, id uint32) { _ = p.WriteData(id, true, []byte("x")) },
		"8.1 the end with an interim head":  block(":status: 100"),
		"8.1.1 a shorter body":              block(":status: 200", "content-length: 5"),
		"8.2.1 a capital":                   block(":status: 200", "X-One: 1"),
		"8.2.1 a line's end in a value":     block(":status: 200", "x: a\r\nb: c"),
		"8.2.2 Connection":                  block(":status: 200", "connection: close"),
		"8.3.2 no :status":                  block("x: y"),
		"8.3.2 a :status that is no number": block(":status: 2x0"),
		"8.3.2 :path":                       block(":status: 200", ":path: /"),
		"8.6 101":                           block(":status: 101"),
		"6.6 PUSH_PROMISE": func(p *peer, id uint32) {
			_ = p.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, BlockFragment: p.fields(asGet...), EndHeaders: true})
		},
		"5.1.1 a stream of its own": func(p *peer, _ uint32) { p.head(2, true, ":status: 200") },
		"interim heads without end": func(p *peer, id uint32) {
			for range 20 {
				p.head(id, false, ":status: 103")
			}
		},
	} {
		pool, _ := dial(t, scripted(t, func(p *peer, f http2.Frame) {
			if head, ok := f.(*http2.HeadersFrame); ok {
				answer(p, head.StreamID)
			}
		}), h2.Options{})
		s, err := pool.Open(t.Context(), asked("GET", "/"), h1.Onward{})
		if err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		for range 20 {
			var res *h1.Response
			if res, err = s.Head(); err != nil || !res.Interim() {
				break
			}
		}
		if err == nil || errors.Is(err, h2.ErrUnsent) {
			t.Errorf("%s: got %v", name, err)
		}
		s.Release()
	}
}

func TestAServerThatLeavesFinishesWhatItHas(t *testing.T) {
	var first atomic.Bool
	pool, dialed := dial(t, scripted(t, func(p *peer, f http2.Frame) {
		if head, ok := f.(*http2.HeadersFrame); ok {
			if !first.Swap(true) {
				_ = p.WriteGoAway(head.StreamID, http2.ErrCodeNo, nil)
			}
			p.head(head.StreamID, true, ":status: 204")
		}
	}), h2.Options{})
	for range 3 {
		s, err := pool.Open(t.Context(), asked("GET", "/"), h1.Onward{})
		if err != nil {
			t.Fatal(err)
		}
		if res, err := s.Head(); err != nil || res.Status != 204 {
			t.Errorf("got %v", err)
		}
		s.Release()
	}
	if dialed.Load() != 2 {
		t.Errorf("there were %d connections", dialed.Load())
	}
}

func TestAStreamThatIsReleasedEarlyIsCancelled(t *testing.T) {
	gone := make(chan struct{})
	pool, _ := dial(t, app(t, 10, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	}), h2.Options{})
	s, err := pool.Open(t.Context(), asked("GET", "/"), h1.Onward{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Head(); err != nil {
		t.Error(err)
	}
	s.Release()
	<-gone
}
