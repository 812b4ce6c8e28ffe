package router_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/router"
)

func TestWebSocketMessagesPassBothWays(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}, InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, data, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, bytes.ToUpper(data)); err != nil {
				return
			}
		}
	})))
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	c, res, err := websocket.Dial(ctx, "ws://"+e.addr+"/chat", &websocket.DialOptions{Host: "blog.test", Subprotocols: []string{"chat"}, HTTPClient: client(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if c.Subprotocol() != "chat" || res.Header.Get("X-Request-Id") == "" {
		t.Errorf("subprotocol %q, header %v", c.Subprotocol(), res.Header)
	}
	for _, text := range []string{"hello", strings.Repeat("long ", 3000)} {
		if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		_, got, err := c.Read(ctx)
		if err != nil || string(got) != strings.ToUpper(text) {
			t.Fatalf("got %.20q, %v", got, err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Error(err)
	}
}

func TestATunnelMayBeClosedInOneDirection(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, tunnel(func(_ net.Conn, rw *bufio.ReadWriter) {
		all, _ := io.ReadAll(rw) // until the client has no more to say
		fmt.Fprintf(rw, "you said %s", all)
		_ = rw.Flush()
	}))))
	conn, rd := e.openTunnel("blog.test")
	_, _ = io.WriteString(conn, "everything")
	_ = conn.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(rd)
	if err != nil || string(got) != "you said everything" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAnUpgradeTheAppRefusesIsAnOrdinaryAnswer(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, says("no"))))
	req := e.request("GET", "blog.test", "/", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	e.do(req).want(t, 200, "no")
}

func TestAnUpgradeToCleartextHTTP2IsNotPassedOn(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, echoHead)))
	got := e.raw("GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200") || strings.Contains(strings.ToLower(got), "http2-settings") || strings.Contains(got, "Upgrade:") {
		t.Errorf("got %s", got)
	}
}

// echoHead answers with the head that the app got.
func echoHead(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s %s\nHost: %s\n", r.Method, r.RequestURI, r.Proto, r.Host)
	_ = r.Header.Write(w)
}

func TestServerSentEventsArriveAtOnce(t *testing.T) {
	e := serve(t, router.Options{})
	next := make(chan struct{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})))
	res, err := client(t).Do(e.request("GET", "blog.test", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for i := range 3 {
		line, err := lines.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("got %q, %v", line, err)
		}
		_, _ = lines.ReadString('\n')
		next <- struct{}{}
	}
}

func TestAnAnswerOfKnownLengthIsNotHeldBack(t *testing.T) {
	e := serve(t, router.Options{})
	next := make(chan struct{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2")
		for range 2 {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})))
	res, err := client(t).Do(e.request("GET", "blog.test", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for range 2 {
		if _, err := io.ReadFull(res.Body, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		next <- struct{}{}
	}
}

// echoBody answers each piece of the body as it comes.
func echoBody(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex()
	w.WriteHeader(200)
	_ = rc.Flush()
	buf := make([]byte, 1024)
	for {
		n, err := r.Body.Read(buf)
		_, _ = w.Write(buf[:n])
		_ = rc.Flush()
		if err != nil {
			return
		}
	}
}

// converse sends a piece, waits for its echo, and sends the next.
func converse(t *testing.T, c *http.Client, req *http.Request, pipe *io.PipeWriter) {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for _, word := range []string{"one", "three", "five"} {
		_, _ = io.WriteString(pipe, word)
		got := make([]byte, len(word))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != word {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	_ = pipe.Close()
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		t.Errorf("rest %q, %v", rest, err)
	}
}

func TestRequestAndAnswerFlowAtTheSameTime(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, echoBody)))
	rd, wr := io.Pipe()
	converse(t, client(t), e.request("POST", "blog.test", "/", rd), wr)
}

func TestALargeUploadArrivesWhole(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v %v", n, err, r.TransferEncoding)
	})))
	e.do(e.request("PUT", "blog.test", "/", bytes.NewReader(make([]byte, 5<<20)))).want(t, 200, "5242880 <nil> []")
	e.do(e.request("POST", "blog.test", "/", io.MultiReader(bytes.NewReader(make([]byte, 5<<20))))).want(t, 200, "5242880 <nil> [chunked]")
}

func TestAnAnswerBeforeTheUploadsEndIsRelayed(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	})))
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hangs))
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 1000000000\r\n\r\nfirst bytes")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil) // and send no more
	if err != nil || res.StatusCode != 413 {
		t.Fatalf("got %v, %v", res, err)
	}
	res.Body.Close()
}

func TestExpectContinueIsTheAppsToDecide(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		all, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "got %s", all)
	})))
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hangs))
	rd := bufio.NewReader(conn)
	head := "POST /%s HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
	fmt.Fprintf(conn, head, "accept")
	if line, _ := rd.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q", line)
	}
	_, _ = rd.ReadString('\n')
	fmt.Fprint(conn, "body")
	res, err := http.ReadResponse(rd, nil)
	if err != nil {
		t.Fatal(err)
	}
	if all, _ := io.ReadAll(res.Body); string(all) != "got body" {
		t.Errorf("got %q", all)
	}
	fmt.Fprintf(conn, head, "refuse")
	if line, _ := rd.ReadString('\n'); line != "HTTP/1.1 403 Forbidden\r\n" {
		t.Errorf("got %q", line)
	}
}

func TestEarlyHintsAreRelayed(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		_, _ = io.WriteString(w, "page")
	})))
	var hints atomic.Value
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints.Store(fmt.Sprint(code, h.Get("Link")))
			return nil
		},
	})
	a := e.do(e.request("GET", "blog.test", "/", nil).WithContext(ctx))
	a.want(t, 200, "page")
	if hints.Load() != "103</style.css>; rel=preload" || a.Header.Get("X-Request-Id") == "" || a.Header.Get("Link") != "" {
		t.Errorf("hints %v, header %v", hints.Load(), a.Header)
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Checksum")
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("Checksum", "got "+r.Trailer.Get("Checksum"))
	})))
	req := e.request("POST", "blog.test", "/", io.MultiReader(strings.NewReader("body")))
	req.Trailer = http.Header{"Checksum": {"abc"}}
	a := e.do(req)
	a.want(t, 200, "body")
	if a.Trailer.Get("Checksum") != "got abc" {
		t.Errorf("trailer %v", a.Trailer)
	}
}

func TestHeadHasALengthAndNoBody(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1234")
	})))
	a := e.do(e.request("HEAD", "blog.test", "/", nil))
	if a.StatusCode != 200 || a.ContentLength != 1234 || a.body != "" {
		t.Errorf("got %d %d %q", a.StatusCode, a.ContentLength, a.body)
	}
}

func TestTheTargetReachesTheAppAsItWasWritten(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, echoHead)))
	for _, target := range []string{"/a%2Fb/c", "//double", "/?a=1;b=2&c=%zz", "/sp%20ace?q=a+b", "/a/../b", "/?", "/%41", "*"} {
		method := "GET"
		if target == "*" {
			method = "OPTIONS"
		}
		got := e.raw(method + " " + target + " HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n")
		if !strings.Contains(got, "\n"+method+" "+target+" HTTP/1.1\n") {
			t.Errorf("%s became %s", target, got)
		}
	}
}

func TestConnectIsRefused(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, says("no"))))
	if got := e.raw("CONNECT blog.test:80 HTTP/1.1\r\nHost: blog.test:80\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 405") {
		t.Errorf("got %s", got)
	}
}

func TestASlowHeadIsCutOff(t *testing.T) {
	e := serve(t, router.Options{HeaderTimeout: 50 * time.Millisecond})
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hangs))
	for range 1000 { // a byte now and then does not keep it alive
		if _, err := io.WriteString(conn, "G"); err != nil {
			return
		}
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 100)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
	t.Error("the connection was never closed")
}

func TestAHugeHeadIsRefused(t *testing.T) {
	e := serve(t, router.Options{MaxHeaderBytes: 8 << 10})
	e.SetRoute("blog", route("blog", 1, backend(t, says("no"))))
	if got := e.raw("GET / HTTP/1.1\r\nHost: blog.test\r\nCookie: " + strings.Repeat("x", 20<<10) + "\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 431") {
		t.Errorf("got %.100q", got)
	}
}
