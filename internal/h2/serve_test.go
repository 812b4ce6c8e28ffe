package h2_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/h2"
)

// site is HTTP/2 served on a port of the loopback.
type site struct {
	t     *testing.T
	addr  string
	tls   *tls.Config // of a client that trusts it
	mu    sync.Mutex
	conns []*h2.Conn
	parks bool // connections can be parked
	lots  []*lot
	ended chan error // of each connection
}

func serve(t *testing.T, opt h2.Options, handler func(*h2.Stream)) *site {
	t.Helper()
	return serveOn(t, &site{t: t}, listen(t), opt, handler)
}

// serveParked is serve with connections that can be parked.
func serveParked(t *testing.T, opt h2.Options, handler func(*h2.Stream)) *site {
	t.Helper()
	return serveOn(t, &site{t: t, parks: true}, listen(t), opt, handler)
}

// lot is the last connection that came.
func (s *site) lot() *lot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lots[len(s.lots)-1]
}

func serveTLS(t *testing.T, opt h2.Options, handler func(*h2.Stream)) *site {
	t.Helper()
	cert, roots := selfSigned(t)
	ln := tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
	s := serveOn(t, &site{t: t}, ln, opt, handler)
	s.tls = &tls.Config{RootCAs: roots, ServerName: "a.test", NextProtos: []string{"h2"}}
	return s
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func serveOn(t *testing.T, s *site, ln net.Listener, opt h2.Options, handler func(*h2.Stream)) *site {
	t.Helper()
	s.addr, s.ended = ln.Addr().String(), make(chan error, 1000)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			if secure, ok := nc.(*tls.Conn); ok && secure.Handshake() != nil {
				nc.Close()
				continue
			}
			s.mu.Lock()
			c, run := s.conn(nc, opt, handler)
			s.conns = append(s.conns, c)
			s.mu.Unlock()
			all.Go(func() { s.ended <- run() })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		all.Wait()
	})
	return s
}

// conn is a connection and what serves it to its end.
func (s *site) conn(nc net.Conn, opt h2.Options, handler func(*h2.Stream)) (*h2.Conn, func() error) {
	if !s.parks {
		c := h2.NewConn(nc, opt, handler)
		return c, c.Serve
	}
	l := parkable(nc, opt, handler)
	s.lots = append(s.lots, l)
	return l.of, func() error {
		l.lead()
		return <-l.over
	}
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a.test"}, DNSNames: []string{"a.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// client is net/http's, by HTTP/2 alone.
func (s *site) client() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(s.tls != nil)
	protocols.SetUnencryptedHTTP2(s.tls == nil)
	tr := &http.Transport{Protocols: protocols, TLSClientConfig: s.tls, DisableCompression: true}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (s *site) url(path string) string {
	if s.tls != nil {
		return "https://" + s.addr + path
	}
	return "http://" + s.addr + path
}

func (s *site) request(method, path string, body io.Reader) *http.Request {
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url(path), body)
	if err != nil {
		s.t.Fatal(err)
	}
	return req
}

// head is a response's, of lines.
func head(status int, lines ...string) *h1.Response {
	r := new(h1.Response)
	text := fmt.Sprintf("HTTP/1.1 %d \r\n%s\r\n", status, strings.Join(append(lines, ""), "\r\n"))
	if _, err := r.Parse([]byte(text), []byte("GET"), h1.Limits{Head: 1 << 20, Fields: 1000, Target: 1 << 20}); err != nil {
		panic(err)
	}
	return r
}

// answer answers with a body of known length.
func answer(s *h2.Stream, status int, body string) {
	_ = s.Answer(head(status, "Content-Type: text/plain"), h1.Back{Length: int64(len(body))})
	if body != "" {
		_ = s.WriteEnd([]byte(body))
	}
}

// echo answers with the body as it comes, and the trailers after it.
func echo(s *h2.Stream) {
	if s.Answer(head(200), h1.Back{Length: h1.Chunked}) != nil {
		return
	}
	s.Flush()
	buf := make([]byte, 8<<10)
	for {
		n, err := s.Read(buf)
		if n > 0 {
			if _, err := s.Write(buf[:n]); err != nil {
				return
			}
			s.Flush()
		}
		if errors.Is(err, io.EOF) {
			_ = s.End(s.Trailers())
			return
		}
		if err != nil {
			return
		}
	}
}

// describe answers with what was asked, a line for each field.
func describe(s *h2.Stream) {
	r := s.Request()
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s %s %d\n", r.Method, r.Host, r.Target, r.Length)
	for _, f := range r.Fields {
		fmt.Fprintf(&text, "%s: %s %v\n", f.Name, f.Value, f.Hop)
	}
	answer(s, 200, text.String())
}

func TestARequestBecomesAHead(t *testing.T) {
	s := serve(t, h2.Options{}, describe)
	req := s.request("PUT", "/a/b?c=d", strings.NewReader("body"))
	req.Host = "blog.test:80"
	req.Header = http.Header{"Cookie": {"a=1; b=2", "c=3"}, "X-One": {"1"}, "Te": {"trailers"}, "User-Agent": {"test"}}
	res, err := s.client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	for _, want := range []string{
		"PUT blog.test:80 /a/b?c=d 4\n", "cookie: a=1; b=2; c=3 false\n", "x-one: 1 false\n", "te: trailers true\n", "content-length: 4 true\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if res.ProtoMajor != 2 || res.Header.Get("Content-Type") != "text/plain" || res.ContentLength != int64(len(text)) {
		t.Errorf("got %s %v", res.Proto, res.Header)
	}
}

func TestBodiesAndTrailersGoBothWays(t *testing.T) {
	for name, s := range map[string]*site{"plain": serve(t, h2.Options{}, echo), "tls": serveTLS(t, h2.Options{}, echo)} {
		client := s.client()
		res, err := client.Do(s.request("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		var all sync.WaitGroup
		for i := range 40 { // at once, on one connection
			all.Go(func() {
				body := bytes.Repeat([]byte(fmt.Sprint(i)), i*5_000)
				req := s.request("POST", "/", io.MultiReader(bytes.NewReader(body)))
				req.Trailer = http.Header{"Sum": {fmt.Sprint(i)}}
				res, err := client.Do(req)
				if err != nil {
					t.Errorf("%s %d: %v", name, i, err)
					return
				}
				defer res.Body.Close()
				got, err := io.ReadAll(res.Body)
				if err != nil || !bytes.Equal(got, body) || res.Trailer.Get("Sum") != fmt.Sprint(i) {
					t.Errorf("%s %d: got %d of %d bytes, %v, %v", name, i, len(got), len(body), res.Trailer, err)
				}
			})
		}
		all.Wait()
		if len(s.conns) != 1 {
			t.Errorf("%s: there were %d connections", name, len(s.conns))
		}
	}
}

func TestInterimHeadsGoBeforeTheAnswer(t *testing.T) {
	s := serve(t, h2.Options{}, func(s *h2.Stream) {
		_ = s.Answer(head(103, "Link: </a.css>"), h1.Back{Bodiless: true})
		answer(s, 200, "x")
	})
	var got []string
	res, err := s.client().Do(s.request("GET", "/", nil).WithContext(traced(t.Context(), func(code int, link string) {
		got = append(got, fmt.Sprint(code, link))
	})))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if fmt.Sprint(got) != "[103</a.css>]" || res.StatusCode != 200 {
		t.Errorf("got %v and %d", got, res.StatusCode)
	}
}

func TestAStreamThatIsNotReadHoldsUpNoOther(t *testing.T) {
	stuck := make(chan struct{})
	s := serve(t, h2.Options{}, func(s *h2.Stream) {
		if string(s.Request().Target) == "/stuck" {
			_ = s.Answer(head(200), h1.Back{Length: h1.Chunked})
			s.Flush()
			<-stuck
			return
		}
		echo(s)
	})
	defer close(stuck)
	client := s.client()
	for range 20 {
		res, err := client.Do(s.request("POST", "/stuck", endless{}))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
	}
	body := bytes.Repeat([]byte("x"), 3<<20)
	res, err := client.Do(s.request("POST", "/", bytes.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err != nil || len(got) != len(body) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestAnAnswerThatIsNotReadHoldsUpNoOther(t *testing.T) {
	s := serve(t, h2.Options{}, func(s *h2.Stream) {
		if string(s.Request().Target) != "/endless" {
			answer(s, 200, "x")
			return
		}
		_ = s.Answer(head(200), h1.Back{Length: h1.Chunked})
		for {
			if _, err := s.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	client := s.client()
	for range 10 {
		res, err := client.Do(s.request("GET", "/endless", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
	}
	res, err := client.Do(s.request("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}

func TestWhoLeavesIsNoticed(t *testing.T) {
	begun, gone := make(chan struct{}), make(chan error, 1)
	s := serve(t, h2.Options{}, func(s *h2.Stream) {
		called := make(chan struct{})
		s.OnCancel(func() { close(called) })
		close(begun)
		<-s.Done()
		<-called
		_, err := s.Read(make([]byte, 1))
		gone <- fmt.Errorf("%w, %w, %w", s.Err(), err, s.Answer(head(200), h1.Back{Length: 0}))
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if _, err := s.client().Do(s.request("POST", "/", endless{}).WithContext(ctx)); err == nil {
		t.Error("there was an answer")
	}
	if err := <-gone; strings.Count(err.Error(), "the peer reset the stream: CANCEL") != 3 {
		t.Error(err)
	}
}

func TestAWebSocketIsAskedForAsAnUpgrade(t *testing.T) {
	asked := make(chan string, 1)
	s := serve(t, h2.Options{}, func(s *h2.Stream) {
		if why := s.Refusal(); why != nil {
			answer(s, why.Status, "")
			return
		}
		r := s.Request()
		asked <- fmt.Sprintf("%s %s %s %d %v", r.Method, r.Target, r.Upgrade, r.Length, len(r.Get("sec-websocket-key")) == 24)
		_ = s.Answer(head(101, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: x"), h1.Back{Bodiless: true})
		s.Flush()
		_, _ = io.Copy(flushing{s}, s)
		_ = s.End(nil)
	})
	p := s.raw()
	_ = p.WriteSettings()
	p.head(1, false, ":method: CONNECT", ":protocol: websocket", ":scheme: http", ":path: /chat", ":authority: a", "sec-websocket-version: 13")
	_ = p.WriteData(1, false, []byte("hello"))
	var got []string
	for len(got) == 0 || got[len(got)-1] != "end" {
		f, err := p.ReadFrame()
		if err != nil {
			t.Fatalf("got %v and %v", got, err)
		}
		switch f := f.(type) {
		case *http2.HeadersFrame:
			fields, _ := p.dec.DecodeFull(f.HeaderBlockFragment())
			got = append(got, fmt.Sprint(fields))
		case *http2.DataFrame:
			if len(f.Data()) > 0 {
				got = append(got, string(f.Data()))
				_ = p.WriteData(1, true, nil)
			}
			if f.StreamEnded() {
				got = append(got, "end")
			}
		}
	}
	if text := strings.Join(got, " "); text != `[header field ":status" = "200"] hello end` {
		t.Errorf("got %s", text)
	}
	if text := <-asked; text != "GET /chat websocket 0 true" {
		t.Errorf("it was asked %s", text)
	}
	p.head(3, true, ":method: CONNECT", ":protocol: other", ":scheme: http", ":path: /", ":authority: a")
	if text := p.said(1); text != "3 501" {
		t.Errorf("another protocol got %s", text)
	}
}

// flushing sends each piece at once.
type flushing struct{ *h2.Stream }

func (f flushing) Write(p []byte) (int, error) {
	defer f.Flush()
	return f.Stream.Write(p)
}

func TestWhoHasLeftARequestIsNotToldOfItsEnd(t *testing.T) {
	for off, want := range map[bool]int32{false: 1, true: 0} {
		var told atomic.Int32
		s := serve(t, h2.Options{}, func(s *h2.Stream) {
			s.OnCancel(func() { told.Add(1) })
			answer(s, 200, "x")
			if off {
				s.OffCancel()
			}
		})
		p := s.raw()
		_ = p.WriteSettings()
		p.head(1, false, asGet...) // its body has no end
		for got := ""; got != "reset 1 NO_ERROR"; {
			f, err := p.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if reset, ok := f.(*http2.RSTStreamFrame); ok {
				got = fmt.Sprintf("reset %d %v", reset.StreamID, reset.ErrCode)
			}
		}
		if got := told.Load(); got != want {
			t.Errorf("off %v: it was told %d times", off, got)
		}
	}
}
