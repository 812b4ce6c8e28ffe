package router_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// framer is a client that sends any frame by TLS.
type framer struct {
	*frames
	socket *keeping
	secure *tls.Conn
	next   uint32 // stream
}

// framer is one that was served once.
func (e *edge) framer(addr string) *framer {
	e.t.Helper()
	f := e.shaken(addr)
	f.asks("first")
	return f
}

// shaken is a framer that has not asked for anything.
func (e *edge) shaken(addr string) *framer {
	e.t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(hangs))
	f := &framer{socket: &keeping{Conn: conn}, next: 1}
	f.secure = tls.Client(f.socket, &tls.Config{InsecureSkipVerify: true, ServerName: "blog.test", NextProtos: []string{"h2"}})
	if err := f.secure.Handshake(); err != nil {
		e.t.Fatal(err)
	}
	f.frames = framesOn(e.t, f.secure)
	return f
}

var postToBlog = []string{":method: POST", ":scheme: https", ":authority: blog.test", ":path: /", "user-agent: framer"}

// send asks for something that takes a body.
func (f *framer) send(body string) (id uint32) {
	id = f.next
	f.next += 2
	f.ask(id, postToBlog, []string{body}, nil)
	return id
}

func (f *framer) answered(id uint32, body string) {
	f.t.Helper()
	if got := f.answers(id)[id]; got.ended != "200" || got.text != fmt.Sprintf("%d <nil>", len(body)) {
		f.t.Fatalf("got %+v", got)
	}
}

func (f *framer) asks(body string) {
	f.t.Helper()
	f.answered(f.send(body), body)
}

// pings sends a PING and reads until it is answered.
func (f *framer) pings() {
	f.t.Helper()
	_ = f.WritePing(false, [8]byte{'h', 'e', 'r', 'e', '?'})
	for {
		got, err := f.ReadFrame()
		if err != nil {
			f.t.Fatal(err)
		}
		if ping, ok := got.(*http2.PingFrame); ok && ping.IsAck() {
			return
		}
	}
}

// goodbyes reads to the end, and says what came but answers to PING.
func (f *framer) goodbyes() string {
	var all []string
	for {
		got, err := f.ReadFrame()
		if err != nil {
			return strings.Join(all, ", ")
		}
		switch got := got.(type) {
		case *http2.GoAwayFrame:
			all = append(all, fmt.Sprint(got.ErrCode, " ", got.LastStreamID))
		case *http2.PingFrame:
			if !got.IsAck() {
				_ = f.WritePing(true, got.Data)
			}
		case *http2.MetaHeadersFrame:
			all = append(all, got.PseudoValue("status"))
		}
	}
}

func TestParkedConnectionsOfHTTP2ServeWhatComesHoweverItComes(t *testing.T) {
	e, addr := lotOf(t, router.Options{})
	f := e.framer(addr)
	for round := range 20 {
		for _, come := range []func(){
			func() { f.asks(strings.Repeat("x", round)) },
			f.pings,
			func() { // half a record, then the rest
				f.socket.keeps = true
				id := f.send("xx")
				kept := f.socket.kept
				f.socket.kept, f.socket.keeps = nil, false
				at := 1 + round*(len(kept)-2)/20
				e.resumes(func() { _, _ = f.socket.Write(kept[:at]) })
				_, _ = f.socket.Write(kept[at:])
				f.answered(id, "xx")
			},
			func() { // half a frame in a record, then the rest
				var whole bytes.Buffer
				usual := f.Framer
				f.Framer = http2.NewFramer(&whole, nil)
				id := f.send("xxx")
				f.Framer = usual
				at := 1 + round*(whole.Len()-2)/20
				e.resumes(func() { _, _ = f.secure.Write(whole.Bytes()[:at]) })
				_, _ = f.secure.Write(whole.Bytes()[at:])
				f.answered(id, "xxx")
			},
			func() { // many requests in one piece
				f.socket.keeps = true
				ids := []uint32{f.send("1"), f.send("2"), f.send("3")}
				f.socket.letGo()
				if got := f.answers(ids...); len(got) < 3 {
					t.Errorf("got %v", got)
				}
			},
		} {
			e.untilParked(1)
			come()
		}
	}
}

// resumes has a connection led on by what come sends.
func (e *edge) resumes(come func()) {
	before := e.Resumed()
	for come(); e.Resumed() == before; {
		time.Sleep(time.Millisecond)
	}
}

// clientsOf are the usual clients: what each of them asks is answered, or err.
func clientsOf(t *testing.T, addr string) map[string]func(n int) error {
	trusting := &tls.Config{InsecureSkipVerify: true, ServerName: "blog.test"}
	over := func(client *http.Client) func(int) error {
		return func(n int) error {
			req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://"+addr, strings.NewReader(strings.Repeat("x", n)))
			req.Host = "blog.test"
			req.Header.Set("X-Round", fmt.Sprint(n))
			res, err := client.Do(req)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if text, err := io.ReadAll(res.Body); err != nil || res.ProtoMajor != 2 || string(text) != fmt.Sprintf("%d <nil>", n) {
				return fmt.Errorf("got %s %q %w", res.Proto, text, err)
			}
			return nil
		}
	}
	standard := &http.Transport{TLSClientConfig: trusting, ForceAttemptHTTP2: true}
	extra := &http2.Transport{TLSClientConfig: trusting} //nolint:staticcheck // the client of its own package
	t.Cleanup(standard.CloseIdleConnections)
	t.Cleanup(extra.CloseIdleConnections) //nolint:staticcheck // as above
	calls := &tls.Config{InsecureSkipVerify: true, ServerName: "calls.test"}
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewTLS(calls)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return map[string]func(int) error{
		"net/http": over(&http.Client{Transport: standard}),
		"x/net":    over(&http.Client{Transport: extra}),
		"grpc-go": func(n int) error {
			out, word := new(wrapperspb.StringValue), fmt.Sprint("word ", n)
			if err := conn.Invoke(t.Context(), "/Echo/Say", wrapperspb.String(word), out); err != nil || !strings.HasPrefix(out.Value, word) {
				return fmt.Errorf("got %q %w", out.Value, err)
			}
			return nil
		},
	}
}

func TestClientsOfHTTP2GoOnAfterEachTimeTheyWereParked(t *testing.T) {
	e, addr := lotOf(t, router.Options{})
	_, calls := grpcBackend(t)
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test", "calls.test")}})
	e.SetRoute("calls", byH2C("calls", 1, calls))
	clients := clientsOf(t, addr)
	for n := range 20 {
		for name, ask := range clients {
			if err := ask(n); err != nil {
				t.Fatalf("%s, round %d: %v", name, n, err)
			}
		}
		e.untilParked(len(clients))
	}
	if n := e.Connections(); n != len(clients) {
		t.Errorf("%d clients have %d connections", len(clients), n)
	}
}

func TestManyParkedConnectionsOfHTTP2GoOnAtOnce(t *testing.T) {
	e, addr := lotOf(t, router.Options{})
	all := make([]*framer, 30)
	for n := range all {
		all[n] = e.framer(addr)
	}
	e.atOnce(len(all), func(n int) {
		id := all[n].send("x")
		if got := all[n].answers(id)[id]; got.text != "1 <nil>" {
			t.Errorf("got %+v", got)
		}
	})
}

func TestParkedConnectionsOfHTTP2AreToldWhenTheirTimeIsOver(t *testing.T) {
	e, addr := lotOf(t, router.Options{IdleTimeout: 400 * time.Millisecond})
	got := ""
	if !within(func() bool { // who asks only when that time is over is told, too
		f := e.shaken(addr)
		f.send("first")
		got = f.goodbyes()
		return got != "NO_ERROR 0"
	}) || got != "200, NO_ERROR 1" {
		t.Errorf("got %q", got)
	}
	e.untilConnections(0)
}

func TestTheEndOfAParkedConnectionOfHTTP2IsSeen(t *testing.T) {
	for name, end := range map[string]func(*framer){
		"close_notify":   func(f *framer) { _ = f.secure.CloseWrite() },
		"no farewell":    func(f *framer) { _ = f.socket.Conn.(*net.TCPConn).CloseWrite() },
		"no more at all": func(f *framer) { _ = f.socket.Conn.(*net.TCPConn).SetLinger(0); _ = f.socket.Close() },
		"a broken rule":  func(f *framer) { _ = f.WriteRawFrame(http2.FramePing, 0, 1, make([]byte, 8)) },
	} {
		e, addr := lotOf(t, router.Options{})
		f := e.framer(addr)
		e.untilParked(1)
		end(f)
		if got, broken := f.goodbyes(), name == "a broken rule"; broken != strings.HasPrefix(got, "PROTOCOL_ERROR") {
			t.Errorf("%s: %s", name, got)
		}
		e.untilConnections(0)
	}
}

func TestADrainingRouterTellsParkedConnectionsOfHTTP2(t *testing.T) {
	e, addr := lotOf(t, router.Options{Quiet: 50 * time.Millisecond, IdleTimeout: time.Hour})
	asks, silent := e.framer(addr), e.framer(addr)
	e.untilParked(2)
	e.StartDraining()
	drained := make(chan error, 1)
	go func() { drained <- e.Drained(t.Context()) }()
	asks.send("x")         // before it has read that it is to leave
	got := asks.goodbyes() // it is served, or was told that it is not
	if served := strings.Contains(got, ", 200"); served != strings.Contains(got, "NO_ERROR 3") || served == strings.HasSuffix(got, "NO_ERROR 1") {
		t.Errorf("who asked got %q", got)
	}
	if got := silent.goodbyes(); got != "NO_ERROR 2147483647, NO_ERROR 1" {
		t.Errorf("who is silent got %q", got)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestParkedConnectionsOfHTTP2MakeRoom(t *testing.T) {
	e, addr := lotOf(t, router.Options{MaxConnections: 2, Quiet: time.Millisecond})
	for range 6 {
		e.framer(addr)
		for e.Parked() == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func TestClosingARouterEndsParkedConnectionsOfHTTP2(t *testing.T) {
	e, addr := lotOf(t, router.Options{})
	f := e.framer(addr)
	e.untilParked(1)
	e.Close()
	_ = f.goodbyes()
	if n := e.Connections(); n != 0 {
		t.Errorf("%d are left", n)
	}
}
