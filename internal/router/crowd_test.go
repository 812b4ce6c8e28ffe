package router_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
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
