package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// call is one request on its way through the door.
type call struct {
	w      *writer
	r      *http.Request
	began  time.Time
	id     string // request id
	from   string // whoever asks, not the edge between
	caller platform.Caller
	user   platform.User
	path   map[string]string
	body   fields
}

// ctx ends with the request where it only reads. A change that was asked for
// is made to its end, also when its asker leaves in between.
func (c *call) ctx() context.Context {
	if reads(c.r.Method) {
		return c.r.Context()
	}
	return context.WithoutCancel(c.r.Context())
}

func reads(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// app is the {app} of the path.
func (c *call) app() string { return c.path["app"] }

// page reads limit and offset. What is not a positive number is the default.
func (c *call) page() platform.Page {
	query := c.r.URL.Query()
	page := platform.Page{Limit: platform.DefaultPage}
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 {
		page.Limit = n
	}
	if n, err := strconv.Atoi(query.Get("offset")); err == nil && n > 0 {
		page.Offset = n
	}
	return page
}

// pageURL is this request's URL at another offset.
func (c *call) pageURL(limit, offset int) *string {
	query := c.r.URL.Query()
	query.Set("limit", strconv.Itoa(limit))
	query.Del("offset")
	if offset > 0 {
		query.Set("offset", strconv.Itoa(offset))
	}
	at := url.URL{Scheme: c.scheme(), Host: c.r.Host, Path: c.r.URL.Path, RawQuery: query.Encode()}
	text := at.String()
	return &text
}

func (c *call) scheme() string {
	switch {
	case c.r.TLS != nil:
		return "https"
	case trusted(c.r) && strings.EqualFold(c.r.Header.Get("X-Forwarded-Proto"), "https"):
		return "https"
	}
	return "http"
}

// trusted reports whether the peer may speak for somebody else: the edge of
// this machine, which comes over a unix socket. Over loopback comes anybody, an
// app that guesses passwords included.
func trusted(r *http.Request) bool { return r.RemoteAddr == "" || r.RemoteAddr == "@" }

// remote is the address of whoever asks: the peer's, or the last one a
// trusted peer names. Earlier ones are the client's own claim.
func remote(r *http.Request) string {
	peer := r.RemoteAddr
	if host, _, err := net.SplitHostPort(peer); err == nil {
		peer = host
	}
	if !trusted(r) {
		return peer
	}
	claims := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if last, err := netip.ParseAddr(strings.TrimSpace(claims[len(claims)-1])); err == nil {
		return last.String()
	}
	return peer
}
