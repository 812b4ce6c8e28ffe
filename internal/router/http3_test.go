package router_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/slipway-paas/slipway/internal/h3"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// serveHTTP3 adds a UDP socket to the router, and a certificate for every name.
func (e *edge) serveHTTP3(address string) (addr string) {
	e.t.Helper()
	socket, err := h3.Open(address)
	if err != nil {
		e.t.Fatal(err)
	}
	addr = socket.LocalAddr().String()
	done := make(chan error, 1)
	go func() { done <- e.ServeHTTP3(socket, 4430) }()
	e.t.Cleanup(func() {
		e.Close()
		if err := <-done; err != nil {
			e.t.Errorf("ServeHTTP3: %v", err)
		}
	})
	return addr
}

// over has requests go by HTTP/3 to addr.
func over(t *testing.T, addr string, with ...tls.Certificate) *http3.Transport {
	udp := listenUDP(t)
	tr := &http3.Transport{
		DisableCompression: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h3"}, Certificates: with},
		Dial: func(ctx context.Context, _ string, config *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return udp.Dial(ctx, toUDP(t, addr), config, q)
		},
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

func (e *edge) request3(method, path string, body io.Reader) *http.Request {
	req := e.request(method, "blog.test", path, body)
	req.URL.Scheme, req.URL.Host = "https", "blog.test"
	return req
}

func TestHTTP3IsServed(t *testing.T) {
	var written accessLog
	e := serve(t, router.Options{Access: written.add})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sum")
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprintf(w, "%s %s %s %s %v %v %s ", r.Method, r.Proto, r.Host, r.URL, r.Header["Cookie"], r.TransferEncoding, r.Header.Get("X-Forwarded-Proto"))
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("Sum", r.Trailer.Get("Sum"))
	})))
	tr := over(t, e.serveHTTP3("127.0.0.1:0"))
	var all sync.WaitGroup
	for i := range 20 { // at once, on one connection
		req := e.request3("POST", fmt.Sprintf("/%d?q", i), io.MultiReader(strings.NewReader("body")))
		req.Header["Cookie"] = []string{"a=1", "b=2"}
		req.Trailer = http.Header{"Sum": {fmt.Sprint(i)}}
		all.Go(func() {
			got := roundTrip(t, tr, req)
			want := fmt.Sprintf("POST HTTP/1.1 blog.test /%d?q [a=1; b=2] [chunked] https body", i)
			if got.body != want || got.Proto != "HTTP/3.0" || got.Trailer.Get("Sum") != fmt.Sprint(i) || got.Header.Get("X-Request-Id") == "" {
				t.Errorf("got %s %q %v %v", got.Proto, got.body, got.Header, got.Trailer)
			}
		})
	}
	all.Wait()
	if got := roundTrip(t, tr, e.request3("GET", "/", nil)); !strings.HasPrefix(got.body, "GET HTTP/1.1 blog.test / [] [] https") {
		t.Errorf("a request without a body had one: %q", got.body)
	}
	if got := roundTrip(t, tr, e.request3("POST", "/", strings.NewReader("five!"))); got.body != "POST HTTP/1.1 blog.test / [] [] https five!" {
		t.Errorf("a length did not come through: %q", got.body)
	}
	if got := roundTrip(t, tr, e.request3("HEAD", "/", nil)); got.StatusCode != 200 || got.body != "" || got.Header.Get("Content-Length") != "" {
		t.Errorf("HEAD got %d %v", got.StatusCode, got.Header)
	}
	e.Close()
	log := written.all()
	if len(log) != 23 || log[20].Proto != "HTTP/3.0" || log[20].Client != "127.0.0.1" || log[20].Status != 200 {
		t.Errorf("%d entries, the last but two %+v", len(log), log[min(20, len(log)-1)])
	}
}

func TestHTTP3CarriesLargeBodiesBothWays(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("blog", route("blog", 1, backend(t, echoBody)))
	tr := over(t, e.serveHTTP3("127.0.0.1:0"))
	big := make([]byte, 8<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(big)
	got := roundTrip(t, tr, e.request3("POST", "/", bytes.NewReader(big)))
	if sha256.Sum256([]byte(got.body)) != sha256.Sum256(big) {
		t.Errorf("%d bytes came back, of %d", len(got.body), len(big))
	}
	rd, wr := io.Pipe()
	converse(t, &http.Client{Transport: tr}, e.request3("POST", "/", rd), wr)
}

func TestClientsByTLSAreToldOfHTTP3(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/own" {
			w.Header().Set("Alt-Svc", "clear")
		}
	})))
	secure := e.serveTLS()
	ask := func(path string) string {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "blog.test"}}
		defer tr.CloseIdleConnections()
		req := e.request("GET", "blog.test", path, nil)
		req.URL.Scheme, req.URL.Host = "https", secure
		return fmt.Sprint(roundTrip(t, tr, req).Header["Alt-Svc"])
	}
	if got := ask("/"); got != "[]" {
		t.Errorf("without HTTP/3 it says %s", got)
	}
	roundTrip(t, over(t, e.serveHTTP3("127.0.0.1:0")), e.request3("GET", "/", nil))
	for path, want := range map[string]string{"/": `[h3=":4430"; ma=86400]`, "/own": "[clear]"} {
		if got := ask(path); got != want {
			t.Errorf("%s says %s, want %s", path, got, want)
		}
	}
	if got := e.get("blog.test").Header["Alt-Svc"]; got != nil {
		t.Errorf("plain HTTP says %s", got)
	}
}

func TestAnAnswerThatBreaksOffResetsTheStreamOfHTTP3Only(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("half", 2000))
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/break" {
			panic(http.ErrAbortHandler)
		}
	})))
	tr := over(t, e.serveHTTP3("127.0.0.1:0"))
	for _, path := range []string{"/break", "/whole"} {
		res, err := tr.RoundTrip(e.request3("GET", path, nil))
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		if (err != nil) != (path == "/break") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAClientOfHTTP3ThatLeavesEndsItsRequestAtTheApp(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	arrived, left := make(chan struct{}), make(chan struct{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body) // till then net/http does not notice
		<-r.Context().Done()
		left <- struct{}{}
	})))
	tr := over(t, e.serveHTTP3("127.0.0.1:0"))
	rd, wr := io.Pipe()
	defer wr.Close()
	for _, body := range []io.Reader{nil, rd} { // before the answer, and in the middle of the body
		method := "GET"
		if body != nil {
			method = "POST"
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := tr.RoundTrip(e.request3(method, "/", body).WithContext(ctx))
			done <- err
		}()
		if body != nil {
			_, _ = wr.Write([]byte("some"))
		}
		<-arrived
		cancel()
		<-left
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

func TestABodyOverHTTP3IsBoundedAndMustKeepUp(t *testing.T) {
	rt := route("blog", 1, backend(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	rt.Edge.MaxBody = 1000
	of := func(opt router.Options) (*edge, *http3.Transport) {
		e := serve(t, opt)
		e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
		e.SetRoute("blog", rt)
		return e, over(t, e.serveHTTP3("127.0.0.1:0"))
	}
	e, tr := of(router.Options{})
	roundTrip(t, tr, e.request3("POST", "/", strings.NewReader(strings.Repeat("x", 2000)))).want(t, 413, "")
	roundTrip(t, tr, e.request3("POST", "/", io.MultiReader(strings.NewReader(strings.Repeat("x", 2000))))).want(t, 413, "")
	e, tr = of(router.Options{RateGrace: grace, MinRate: 1 << 20})
	rd, wr := io.Pipe()
	defer wr.Close()
	roundTrip(t, tr, e.request3("POST", "/", rd)).want(t, 408, "")
}

func TestAnAppAsksItsClientsOfHTTP3ForCertificates(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "*.test"), selfSigned(t, "open.test")}})
	ours := newSigner(t, "ours")
	e.guarded("must", &platform.ClientCerts{CA: ours.pem}, "must.test")
	e.guarded("open", nil, "open.test")
	addr := e.serveHTTP3("127.0.0.1:0")
	ask := func(tr *http3.Transport, sni, host string) (answer, error) {
		req := e.request("GET", host, "/", nil)
		req.URL.Scheme, req.URL.Host = "https", sni
		res, err := tr.RoundTrip(req)
		if err != nil {
			return answer{}, err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return answer{res, string(text)}, err
	}
	alice := over(t, addr, ours.client("alice", time.Now().Add(time.Hour)))
	if got, err := ask(alice, "must.test", "must.test"); err != nil || got.StatusCode != 200 || !strings.Contains(got.body, "CN=alice") {
		t.Errorf("with a certificate: %v %v", got, err)
	}
	if got, err := ask(over(t, addr), "must.test", "must.test"); err == nil {
		t.Errorf("without: %v", got)
	}
	got, err := ask(alice, "open.test", "must.test")
	if err != nil || got.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("by another name's handshake: %v %v", got, err)
	}
	if names := got.TLS.PeerCertificates[0].DNSNames; fmt.Sprint(names) != "[open.test]" {
		t.Errorf("it was shown the certificate of %s", names)
	}
}

// raw3 is a connection that frames are written to by hand.
type raw3 struct {
	t    *testing.T
	conn *quic.Conn
	err  error // why there is none
}

func dial3(t *testing.T, addr string) *raw3 {
	t.Helper()
	conn, err := listenUDP(t).Dial(t.Context(), toUDP(t, addr), &tls.Config{InsecureSkipVerify: true, ServerName: "blog.test", NextProtos: []string{"h3"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	control, err := conn.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = control.Write([]byte{0, 4, 0}) // its type, and empty SETTINGS: RFC 9114, 6.2.1 and 7.2.4
	return &raw3{t, conn, nil}
}

// head is a HEADERS frame.
func head3(fields ...string) []byte {
	var block bytes.Buffer
	enc := qpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = enc.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return append(quicvarint.Append([]byte{1}, uint64(block.Len())), block.Bytes()...)
}

func data3(text string) []byte {
	return append(quicvarint.Append([]byte{0}, uint64(len(text))), text...)
}

// ask sends one request and says its status, or how it was reset.
func (r *raw3) ask(frames ...[]byte) string {
	r.t.Helper()
	if r.err != nil {
		return r.err.Error()
	}
	s, err := r.conn.OpenStreamSync(r.t.Context())
	if err != nil {
		return err.Error()
	}
	_, _ = s.Write(bytes.Join(frames, nil))
	_ = s.Close()
	_ = s.SetReadDeadline(time.Now().Add(hangs))
	text, err := io.ReadAll(s)
	if reset, ok := errors.AsType[*quic.StreamError](err); ok {
		return fmt.Sprintf("reset %#x", uint64(reset.ErrorCode))
	}
	if err != nil {
		return err.Error()
	}
	rd := bytes.NewReader(text)
	_, _ = quicvarint.Read(rd)
	size, _ := quicvarint.Read(rd)
	block := make([]byte, size)
	_, _ = io.ReadFull(rd, block)
	f, err := qpack.NewDecoder().Decode(block)()
	if err != nil {
		return err.Error()
	}
	return f.Value
}

func TestHeadsThatBreakARuleOfHTTP3ReachNoApp(t *testing.T) {
	refused := make(chan router.Access, 1000)
	e := serve(t, router.Options{MaxHeaderBytes: 8 << 10, MaxTarget: 1 << 10, MaxFields: 20, Access: func(a router.Access) { refused <- a }})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	reached := make(chan string, 1000)
	e.SetRoute("blog", route("blog", 1, backend(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		reached <- r.URL.Path
	})))
	conn := dial3(t, e.serveHTTP3("127.0.0.1:0"))
	start := []string{":method", "GET", ":scheme", "https", ":authority", "blog.test", ":path", "/bad"}
	and := func(more ...string) []byte { return head3(slices.Concat(start, more)...) }
	var many []string
	for i := range 21 {
		many = append(many, fmt.Sprint("x-", i), "y")
	}
	const message = "reset 0x10e" // H3_MESSAGE_ERROR
	for _, c := range []struct {
		clause string
		head   []byte
		want   string
	}{
		{"4.2 capitals", and("X-Big", "1"), message},
		{"4.2 Connection", and("connection", "close"), message},
		{"4.2 Transfer-Encoding", and("transfer-encoding", "chunked"), message},
		{"4.2 Upgrade", and("upgrade", "h2c"), message},
		{"4.2 Keep-Alive", and("keep-alive", "1"), message},
		{"4.2 Proxy-Connection", and("proxy-connection", "close"), message},
		{"4.2 TE", and("te", "gzip"), message},
		{"4.2 no name", and("", "x"), message},
		{"4.2 a colon", and("a:b", "x"), message},
		{"4.2 a space in a name", and("a b", "x"), message},
		{"10.3 a line break", and("x", "a\r\nb: c"), message},
		{"10.3 a zero", and("x", "a\x00b"), message},
		{"4.2 space around a value", and("x", " a"), "400"},
		{"4.2.2 many bytes", and("x", strings.Repeat("a", 9000)), "431"},
		{"4.2.2 many fields", and(many...), "431"},
		{"4.3 unknown", head3(append([]string{":odd", "1"}, start...)...), message},
		{"4.3 of answers", head3(append([]string{":status", "200"}, start...)...), message},
		{"4.3 late", and(":path", "/"), message},
		{"4.3 twice", head3(append([]string{":path", "/"}, start...)...), message},
		{"4.3.1 no method", head3(start[2:]...), message},
		{"4.3.1 no path", head3(start[:6]...), message},
		{"4.3.1 an empty path", head3(append(start[:6:6], ":path", "")...), message},
		{"4.3.1 no authority", head3(append(start[:4:4], ":path", "/bad")...), message},
		{"4.3.1 an empty authority", head3(append(start[:4:4], ":authority", "", ":path", "/bad")...), message},
		{"4.3.1 another Host", and("host", "other.test"), message},
		{"4.3.1 userinfo", head3(append(start[:4:4], ":authority", "a@blog.test", ":path", "/bad")...), message},
		{"4.3.1 no host", head3(append(start[:4:4], ":authority", "blog test", ":path", "/bad")...), "400"},
		{"4.3.1 an absolute path", head3(append(start[:6:6], ":path", "https://blog.test/bad")...), message},
		{"4.3.1 a star", head3(append(start[:6:6], ":path", "*")...), message},
		{"4.3.1 a space in a path", head3(append(start[:6:6], ":path", "/bad bad")...), "400"},
		{"4.3.1 a long path", head3(append(start[:6:6], ":path", "/"+strings.Repeat("a", 1100))...), "414"},
		{"4.3.1 an odd method", head3(append([]string{":method", "GE T"}, start[2:]...)...), message},
		{"4.4 CONNECT", head3(":method", "CONNECT", ":authority", "blog.test"), "405"},
		{"4.4 CONNECT with a path", head3(append([]string{":method", "CONNECT"}, start[2:]...)...), message},
		{"RFC 9220, 3 another protocol", head3(append([]string{":method", "CONNECT", ":protocol", "webtransport"}, start[2:]...)...), "501"},
		{"4.1.2 two lengths", and("content-length", "1", "content-length", "2"), message},
		{"4.1.2 a sign", and("content-length", "+1"), message},
		{"4.1.2 too long a length", and("content-length", strings.Repeat("9", 19)), message},
	} {
		if got := conn.ask(c.head); got != c.want {
			t.Errorf("%s: got %s, want %s", c.clause, got, c.want)
		}
	}
	if got := conn.ask(and()); got != "200" {
		t.Errorf("then a good one got %s", got)
	}
	if a := <-refused; a.Proto != "HTTP/3.0" || a.Status != 400 || a.Why != "protocol" || a.Path != "/bad" || a.Client != "127.0.0.1" {
		t.Errorf("it was written down as %+v", a)
	}
	if path := <-reached; len(reached) > 0 || path != "/bad" {
		t.Errorf("%d bad ones reached the app", len(reached))
	}
}

func TestABodyOverHTTP3ThatIsNotAsLongAsItSaysIsNotTakenForWhole(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	whole := make(chan string, 10)
	e.SetRoute("blog", route("blog", 1, backend(t, func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err == nil {
			whole <- string(text)
		}
	})))
	addr := e.serveHTTP3("127.0.0.1:0")
	post := func(length string) []byte {
		return head3(":method", "POST", ":scheme", "https", ":authority", "blog.test", ":path", "/", "content-length", length)
	}
	for length, text := range map[string]string{"9": "five!", "3": "five!"} {
		if got := dial3(t, addr).ask(post(length), data3(text)); got == "200" {
			t.Errorf("%d bytes passed for %s", len(text), length)
		}
	}
	if got := dial3(t, addr).ask(post("5"), data3("five!")); got != "200" {
		t.Errorf("got %s", got)
	}
	if got := <-whole; got != "five!" || len(whole) > 0 {
		t.Errorf("got %q, and %d more", got, len(whole))
	}
}

func TestAWebSocketOverHTTP3IsAnUpgradeToTheApp(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("blog", route("blog", 1, backend(t, echoSocket(t))))
	conn := dial3(t, e.serveHTTP3("127.0.0.1:0"))
	s, err := conn.conn.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Write(head3(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "blog.test", ":path", "/chat", "sec-websocket-version", "13"))
	_, _ = s.Write(data3("\x81\x85\x00\x00\x00\x00hello"))
	var said []byte
	for buf := make([]byte, 1024); !bytes.Contains(said, []byte("got hello")); {
		n, err := s.Read(buf)
		if said = append(said, buf[:n]...); err != nil {
			t.Fatalf("after %q: %v", said, err)
		}
	}
	_, _ = s.Write(data3("\x88\x82\x00\x00\x00\x00\x03\xe8"))
	_ = s.Close()
	if _, err := io.Copy(io.Discard, s); err != nil {
		t.Error(err)
	}
}

func TestAClientOfHTTP3ThatLeavesItsRequestsAllTheTimeHasToGo(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("blog", route("blog", 1, backend(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })))
	conn := dial3(t, e.serveHTTP3("127.0.0.1:0")).conn
	get := head3(":method", "GET", ":scheme", "https", ":authority", "blog.test", ":path", "/")
	for conn.Context().Err() == nil {
		s, err := conn.OpenStreamSync(conn.Context())
		if err != nil {
			break
		}
		_, _ = s.Write(get)
		_ = s.Close()
		s.CancelRead(0x10c)
	}
	<-conn.Context().Done() // streams end a moment before
	var why *quic.ApplicationError
	if !errors.As(context.Cause(conn.Context()), &why) || why.ErrorCode != 0x107 { // H3_EXCESSIVE_LOAD
		t.Errorf("it ended by %v", context.Cause(conn.Context()))
	}
}

func TestHalvesOfHeadsOverHTTP3EndInTime(t *testing.T) {
	e := serve(t, router.Options{HeaderTimeout: time.Second, MaxHeaderBytes: 16 << 10})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("blog", route("blog", 1, backend(t, says("blog"))))
	addr := e.serveHTTP3("127.0.0.1:0")
	idle := dial3(t, addr)
	var quiet *quic.IdleTimeoutError
	why := error(quiet)
	for errors.As(why, &quiet) { // what it is told in the end may be lost, as any datagram
		why = halves(t, addr)
	}
	if told, ok := errors.AsType[*quic.ApplicationError](why); !ok || told.ErrorCode != 0x107 { // H3_EXCESSIVE_LOAD
		t.Errorf("it ended by %v", why)
	}
	if got := idle.ask(head3(":method", "GET", ":scheme", "https", ":authority", "blog.test", ":path", "/")); got != "200" {
		t.Errorf("one that was merely quiet got %s", got)
	}
}

// halves sends halves of heads until the connection ends, and is why it did.
func halves(t *testing.T, addr string) error {
	t.Helper()
	conn := dial3(t, addr).conn
	for range 99 {
		s, err := conn.OpenStream()
		if err != nil {
			break // a head's time is over already
		}
		_, _ = s.Write(append(quicvarint.Append([]byte{1}, 16<<10), make([]byte, 15<<10)...))
	}
	<-conn.Context().Done()
	return context.Cause(conn.Context())
}

func TestAConnectionOfHTTP3OutlivesThePortItCameBy(t *testing.T) {
	old, next := serve(t, router.Options{Quiet: 10 * time.Millisecond}), serve(t, router.Options{})
	held := make(chan struct{})
	for name, e := range map[string]*edge{"old": old, "next": next} {
		e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
		e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = io.WriteString(w, name)
			_ = http.NewResponseController(w).Flush()
			if r.Method == "POST" {
				_, _ = io.Copy(w, r.Body)
				<-held
			}
		})))
	}
	addr := old.serveHTTP3("127.0.0.1:0")
	before := over(t, addr)
	rd, wr := io.Pipe()
	res, err := before.RoundTrip(old.request3("POST", "/", rd))
	if err != nil {
		t.Fatal(err)
	}
	next.serveHTTP3(addr)
	drained := make(chan error, 1)
	go func() { drained <- old.Drained(t.Context()) }()
	for range 20 { // who comes now comes to the other
		if got := roundTrip(t, over(t, addr), next.request3("GET", "/", nil)); got.body != "next" {
			t.Fatalf("got %q", got.body)
		}
	}
	big := strings.Repeat("x", 4<<20)
	go func() {
		_, _ = io.WriteString(wr, big)
		_ = wr.Close()
		close(held)
	}()
	text, err := io.ReadAll(res.Body)
	if err != nil || string(text) != "old"+big {
		t.Errorf("the request from before got %d bytes, %v", len(text), err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if got := roundTrip(t, over(t, addr), next.request3("GET", "/", nil)); got.body != "next" {
		t.Errorf("alone it answers %q", got.body)
	}
}

func listenUDP(t *testing.T) *quic.Transport {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	udp := &quic.Transport{Conn: conn}
	t.Cleanup(func() { _, _ = udp.Close(), conn.Close() })
	return udp
}

func toUDP(t *testing.T, addr string) *net.UDPAddr {
	t.Helper()
	udp, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return udp
}
