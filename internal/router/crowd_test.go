package router_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// dialFrom opens a connection from an address of this machine.
func (e *edge) dialFrom(from string) net.Conn {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(e.t.Context(), "tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(hangs))
	return conn
}

// isServed asks for something, and reports whether there was an answer rather than
// the connection's end.
func isServed(t *testing.T, conn net.Conn) bool {
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		t.Fatal(err)
	}
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode == http.StatusOK
}

func TestWhoeverOpensAllTheyMayTakesNothingFromOthers(t *testing.T) {
	e := serve(t, router.Options{MaxPerAddress: 2})
	e.SetRoute("blog", route("blog", 1, backend(t, says("ok"))))
	first, second := e.dialFrom("127.0.0.2"), e.dialFrom("127.0.0.2")
	if !isServed(t, first) || !isServed(t, second) {
		t.Fatal("not even those were served that may be there")
	}
	if isServed(t, e.dialFrom("127.0.0.2")) {
		t.Error("one more was")
	}
	if !isServed(t, e.dialFrom("127.0.0.3")) || !isServed(t, first) {
		t.Error("another's was not, or one that was there")
	}
	first.Close()
	for deadline := time.Now().Add(hangs); !isServed(t, e.dialFrom("127.0.0.2")); {
		if time.Now().After(deadline) {
			t.Fatal("none came in when one had left")
		}
	}
	if text := scrape(t, access.NewExporter(e.Metrics(), nil, e.Snapshot)); !strings.Contains(text, "slipway_connections_crowded_total") || strings.Contains(text, "slipway_connections_crowded_total 0") {
		t.Errorf("it was not counted: %s", text)
	}
}

func TestATrustedProxyMayHaveAnyNumberOfConnections(t *testing.T) {
	e := serve(t, router.Options{MaxPerAddress: 1, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}})
	e.SetRoute("blog", route("blog", 1, backend(t, says("ok"))))
	for range 3 {
		if !isServed(t, e.dialFrom("127.0.0.2")) {
			t.Error("one of the proxy's was closed")
		}
	}
	if !isServed(t, e.dialFrom("127.0.0.3")) || isServed(t, e.dialFrom("127.0.0.3")) {
		t.Error("others do not have one each")
	}
}

// dial3From opens a connection of HTTP/3 from an address of this machine. One that
// is closed at once may be so before it knows that it was open.
func dial3From(t *testing.T, from, to string) *raw3 {
	t.Helper()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)})
	if err != nil {
		t.Fatal(err)
	}
	tr := &quic.Transport{Conn: udp}
	t.Cleanup(func() { _, _ = tr.Close(), udp.Close() })
	conn, err := tr.Dial(t.Context(), toUDP(t, to), &tls.Config{InsecureSkipVerify: true, ServerName: "blog.test", NextProtos: []string{"h3"}}, nil)
	return &raw3{t, conn, err}
}

func TestConnectionsOfHTTP3CountByTheirAddressBesideTheOthers(t *testing.T) {
	e := serve(t, router.Options{MaxPerAddress: 2})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("blog", route("blog", 1, backend(t, says("ok"))))
	addr := e.serveHTTP3("127.0.0.1:0")
	get := head3(":method", "GET", ":scheme", "https", ":authority", "blog.test", ":path", "/")
	first := dial3From(t, "127.0.0.2", addr)
	if got := first.ask(get); got != "200" || !isServed(t, e.dialFrom("127.0.0.2")) {
		t.Fatalf("not even those were served that may be there: %s", got)
	}
	if got := dial3From(t, "127.0.0.2", addr).ask(get); !strings.Contains(got, "0x107") { // H3_EXCESSIVE_LOAD
		t.Errorf("one more got %s", got)
	}
	if isServed(t, e.dialFrom("127.0.0.2")) {
		t.Error("those of HTTP/3 do not count for the others")
	}
	if here, there := first.ask(get), dial3From(t, "127.0.0.3", addr).ask(get); here != "200" || there != "200" {
		t.Errorf("one that was there got %s, and another's %s", here, there)
	}
	_ = first.conn.CloseWithError(0x100, "") // H3_NO_ERROR
	for deadline := time.Now().Add(hangs); dial3From(t, "127.0.0.2", addr).ask(get) != "200"; {
		if time.Now().After(deadline) {
			t.Fatal("none came in when one had left")
		}
	}
}
