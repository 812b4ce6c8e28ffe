package router_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// CVE-2016-6581 and CVE-2025-64702, of HTTP/3: each byte of the block names a field
// of the static table.
func TestABlockOverHTTP3ThatUnpacksWithoutEndReachesNoApp(t *testing.T) {
	var asked atomic.Int32
	e := serve(t, router.Options{})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("blog", route("blog", 1, backend(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })))
	conn := dial3(t, e.serveHTTP3("127.0.0.1:0"))
	var block bytes.Buffer
	enc := qpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "blog.test"}, {":path", "/"}} {
		_ = enc.WriteField(qpack.HeaderField{Name: f[0], Value: f[1]})
	}
	block.Write(bytes.Repeat([]byte{0xc0 | 31}, 30<<10)) // accept-encoding: gzip, deflate, br
	bomb := append(quicvarint.Append([]byte{1}, uint64(block.Len())), block.Bytes()...)
	if got := conn.ask(bomb); got != "431" && !strings.HasPrefix(got, "reset") || asked.Load() != 0 {
		t.Errorf("got %s, and the app was asked %d times", got, asked.Load())
	}
	if got := conn.ask(head3(":method", "GET", ":scheme", "https", ":authority", "blog.test", ":path", "/")); got != "200" {
		t.Errorf("the next one got %s", got)
	}
}

func TestAClientOfHTTP3HasFewStreamsThatAreNoRequests(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("blog", route("blog", 1, backend(t, says("blog"))))
	conn := dial3(t, e.serveHTTP3("127.0.0.1:0"))
	n := 0
	for ; n < 1000; n++ {
		s, err := conn.conn.OpenUniStream()
		if err != nil {
			break // as many as it may have
		}
		_, _ = s.Write([]byte{0x40}) // half of its type
	}
	if n == 0 || n > 100 {
		t.Errorf("it has %d", n)
	}
	if got := conn.ask(head3(":method", "GET", ":scheme", "https", ":authority", "blog.test", ":path", "/")); got != "200" {
		t.Errorf("a request got %s", got)
	}
}
