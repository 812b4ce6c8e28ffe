package router_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/router"
)

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "[%s]", r.URL.Path) })))
	got := e.raw("GET /1 HTTP/1.1\r\nHost: blog.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: blog.test\r\n\r\n" +
		"GET /3 HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n")
	if a, b, c := strings.Index(got, "[/1]"), strings.Index(got, "[/2]"), strings.Index(got, "[/3]"); a < 0 || b < a || c < b {
		t.Errorf("got %s", got)
	}
}
