package router_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// h2c is a client that speaks HTTP/2 in clear text and nothing else.
func h2c(t *testing.T) *http.Client {
	only := new(http.Protocols)
	only.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: only, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestHTTP2WithoutTLSIsServed(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sum")
		fmt.Fprintf(w, "%s %s %s %v ", r.Proto, r.Host, r.URL, r.Header["Cookie"])
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("Sum", r.Trailer.Get("Sum"))
	})))
	http2 := h2c(t)
	var all sync.WaitGroup
	for i := range 20 { // at once, on one connection
		req := e.request("POST", "blog.test", fmt.Sprintf("/%d?q", i), io.MultiReader(strings.NewReader("body")))
		req.Header["Cookie"] = []string{"a=1; b=2"}
		req.Trailer = http.Header{"Sum": {fmt.Sprint(i)}}
		all.Go(func() {
			res, err := http2.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			want := fmt.Sprintf("HTTP/1.1 blog.test /%d?q [a=1; b=2] body", i)
			if err != nil || string(text) != want || res.ProtoMajor != 2 || res.Trailer.Get("Sum") != fmt.Sprint(i) {
				t.Errorf("got %s %q %v %v", res.Proto, text, res.Trailer, err)
			}
		})
	}
	all.Wait()
}

func TestHTTP2StreamsBothWays(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, echoBody)))
	rd, wr := io.Pipe()
	converse(t, h2c(t), e.request("POST", "blog.test", "/", rd), wr)
}

// serveTLS adds a TLS listener to the router.
func (e *edge) serveTLS() (addr string) {
	e.t.Helper()
	ln := listen(e.t)
	done := make(chan error, 1)
	go func() { done <- e.ServeTLS(ln) }()
	e.t.Cleanup(func() {
		e.Close()
		if err := <-done; err != nil {
			e.t.Errorf("ServeTLS: %v", err)
		}
	})
	for !e.ServesHTTPS() {
		runtime.Gosched()
	}
	return ln.Addr().String()
}

// handshake returns the names of the certificate that name is answered with.
func handshake(t *testing.T, addr, name string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	return strings.Join(conn.ConnectionState().PeerCertificates[0].DNSNames, " ")
}

func TestEachNameGetsItsCertificate(t *testing.T) {
	e := serve(t, router.Options{})
	addr := e.serveTLS()
	if got := handshake(t, addr, "blog.apps.test"); !strings.Contains(got, "tls:") {
		t.Errorf("without a certificate got %s", got)
	}
	wild, exact, other := selfSigned(t, "apps.test", "*.apps.test"), selfSigned(t, "shop.apps.test"), selfSigned(t, "example.com")
	broken := platform.EdgeCertificate{Hosts: []string{"broken.test"}, Certificate: "no", Key: "no"}
	e.SetEdge(platform.EdgeState{Domain: "apps.test", Certificates: []platform.EdgeCertificate{broken, other, wild, exact}})
	for name, want := range map[string]string{
		"blog.apps.test": "apps.test *.apps.test", "apps.test": "apps.test *.apps.test", "shop.apps.test": "shop.apps.test",
		"EXAMPLE.com": "example.com", "broken.test": "apps.test *.apps.test", "a.b.apps.test": "apps.test *.apps.test",
		"": "apps.test *.apps.test",
	} {
		if got := handshake(t, addr, name); got != want {
			t.Errorf("%s got %q, want %q", name, got, want)
		}
	}
	next := selfSigned(t, "blog.apps.test")
	e.SetEdge(platform.EdgeState{Domain: "apps.test", Certificates: []platform.EdgeCertificate{wild, next}})
	if got := handshake(t, addr, "blog.apps.test"); got != "blog.apps.test" {
		t.Errorf("after the swap got %q", got)
	}
}

func TestHTTPSSpeaksHTTP2AndHTTP1(t *testing.T) {
	e := serve(t, router.Options{})
	addr := e.serveTLS()
	cert := selfSigned(t, "blog.test")
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{cert}})
	e.SetRoute("blog", route("blog", 1, backend(t, echoHead)))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(cert.Certificate))
	for _, proto := range []int{1, 2} {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(proto == 1)
		protocols.SetHTTP2(proto == 2)
		tr := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "blog.test"}}
		defer tr.CloseIdleConnections()
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "https://"+addr, nil)
		req.Host = "blog.test"
		res, err := (&http.Client{Transport: tr}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.ProtoMajor != proto || !strings.Contains(string(text), "X-Forwarded-Proto: https") || !strings.Contains(string(text), "X-Forwarded-Port: 443") {
			t.Errorf("HTTP/%d: got %s %s", proto, res.Proto, text)
		}
	}
}

func TestAnAnswerThatBreaksOffResetsTheStreamOnly(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/break" {
			panic(http.ErrAbortHandler)
		}
	})))
	http2 := h2c(t)
	for _, path := range []string{"/break", "/whole"} {
		res, err := http2.Do(e.request("GET", "blog.test", path, nil))
		if err != nil {
			if path == "/break" {
				continue // reset before the head went out
			}
			t.Fatal(err)
		}
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
		if (err != nil) != (path == "/break") || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// echoSocket is an app that answers one message of a WebSocket with itself.
func echoSocket(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		kind, text, err := c.Read(r.Context())
		if err == nil {
			err = c.Write(r.Context(), kind, append([]byte("got "), text...))
		}
		if err != nil {
			t.Error(err)
		}
		_ = c.Close(websocket.StatusNormalClosure, "")
	}
}

func TestAWebSocketOverHTTP2IsAnUpgradeToTheApp(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, echoSocket(t))))
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{
		{":method", "CONNECT"},
		{":protocol", "websocket"},
		{":scheme", "http"},
		{":path", "/chat"},
		{":authority", "blog.test"},
		{"sec-websocket-version", "13"},
		{"origin", "http://blog.test"},
	} {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_, _ = io.WriteString(conn, http2.ClientPreface)
	frames := http2.NewFramer(conn, conn)
	frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = frames.WriteSettings()
	_ = frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: block.Bytes()})
	// A text frame of WebSocket, masked with zeros: RFC 6455, 5.2.
	_ = frames.WriteData(1, false, append([]byte{0x81, 0x80 | 5, 0, 0, 0, 0}, "hello"...))
	var status string
	var said []byte
	for !bytes.Contains(said, []byte("got hello")) {
		f, err := frames.ReadFrame()
		if err != nil {
			t.Fatalf("after %s %q: %v", status, said, err)
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			status = f.PseudoValue("status")
		case *http2.DataFrame:
			said = append(said, f.Data()...)
		case *http2.RSTStreamFrame:
			t.Fatalf("after %s %q: %v", status, said, f.ErrCode)
		}
	}
	if status != "200" {
		t.Errorf("the status was %s", status)
	}
	// A frame that closes, and the end of our direction.
	_ = frames.WriteData(1, true, []byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8})
	for {
		f, err := frames.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := f.(*http2.DataFrame); ok && data.StreamEnded() {
			break
		}
	}
}

func TestAClientOfHTTP2ThatSendsItsBodyTooSlowlyIsTold(t *testing.T) {
	e := serve(t, router.Options{RateGrace: grace, MinRate: 1000})
	e.SetRoute("blog", route("blog", 1, backend(t, tells)))
	rd, wr := io.Pipe()
	defer wr.Close()
	go func() { _, _ = io.WriteString(wr, "x") }()
	res, err := h2c(t).Do(e.request("POST", "blog.test", "/", rd))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != 408 || !strings.Contains(string(text), "came too slowly") {
		t.Errorf("got %d %s", res.StatusCode, text)
	}
}

func TestAClientOfHTTP2MayConverseAsSlowlyAsItLikes(t *testing.T) {
	e := serve(t, router.Options{RateGrace: grace, MinRate: 1000})
	e.SetRoute("blog", route("blog", 1, backend(t, echoBody)))
	e.converseSlowly(h2c(t))
}

func TestAClientOfHTTP2ThatTakesNothingHasItsRequestReset(t *testing.T) {
	got := make(chan router.Access, 1)
	e := serve(t, router.Options{RateGrace: grace, Access: func(a router.Access) { got <- a }})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})))
	res, err := h2c(t).Do(e.request("GET", "blog.test", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if a := <-got; a.Status != 200 || a.Failed || a.Bytes >= 1000*64<<10 {
		t.Errorf("got %+v", a)
	}
	if n, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Errorf("all of it was there: %d", n)
	}
}

// A router that leaves waits for those it counts.
func TestAConnectionThatTurnsOutToBeOneOfHTTP2CountsAllTheTime(t *testing.T) {
	e := serve(t, router.Options{})
	for range 100 {
		conn, err := net.Dial("tcp", e.addr)
		if err != nil {
			t.Fatal(err)
		}
		e.untilConnections(1)
		stop, fewest := make(chan struct{}), make(chan int)
		go func() {
			least := 1
			for {
				select {
				case <-stop:
					fewest <- least
					return
				default:
					least = min(least, e.Connections())
				}
			}
		}()
		_, _ = io.WriteString(conn, http2.ClientPreface)
		frames := http2.NewFramer(conn, conn)
		_ = frames.WriteSettings()
		_, err = frames.ReadFrame()
		close(stop)
		if n := <-fewest; n < 1 || err != nil {
			t.Fatalf("%d were counted, %v", n, err)
		}
		conn.Close()
		e.untilConnections(0)
	}
}
