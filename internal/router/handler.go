package router

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
)

// handled is a request that net/http read, as a client.
type handled struct {
	w       http.ResponseWriter
	control *http.ResponseController
	in      *http.Request
	x       exchange
	head    []byte
	slab    *slab
	slabs   *slabs
	place   seat
	aborted bool
	ended   bool
}

// ServeHTTP leads one request to an instance and its answer back. It returns
// when both are done. Connections cannot be upgraded by it.
func (r *Router) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	c := &handled{w: w, control: http.NewResponseController(w), in: in, slabs: &r.slabs}
	c.x.router, c.x.from = r, peerOf(in)
	c.head = headOf(in)
	limits := r.limits
	limits.Head = max(limits.Head, len(c.head)) + 1 // it is bounded by its server
	var req h1.Request
	n, err := req.Parse(c.head, limits)
	var rule *h1.Error
	switch {
	case errors.As(err, &rule):
		http.Error(w, rule.Error(), rule.Status)
		return
	case n != len(c.head):
		http.Error(w, "no request", http.StatusBadRequest)
		return
	}
	if in.ProtoMajor == 1 && req.Length != 0 {
		// Else net/http reads the rest of the request before it answers.
		_ = c.control.EnableFullDuplex() // a writer that cannot do it is no server's
	}
	c.x.begin(&req, in.Proto)
	if !r.watch.add(c) {
		c.x.client = c
		c.x.answer(leaving())
		return
	}
	defer r.watch.remove(c)
	stop := context.AfterFunc(in.Context(), func() { c.x.interrupt(errGone) })
	defer stop()
	c.x.run(c)
	r.slabs.put(c.slab)
	if c.aborted {
		panic(http.ErrAbortHandler)
	}
}

func peerOf(in *http.Request) *peer {
	p := &peer{tls: in.TLS}
	addr, err := netip.ParseAddrPort(in.RemoteAddr)
	if err != nil {
		host, _, _ := net.SplitHostPort(in.RemoteAddr)
		p.name = bareAddress(host)
		return p
	}
	p.addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	p.name = bareHost(p.addr)
	return p
}

// headOf writes a head as it may have come.
func headOf(in *http.Request) []byte {
	var b bytes.Buffer
	target := in.RequestURI
	if target == "" {
		target = in.URL.RequestURI()
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", in.Method, target, in.Host)
	for name, values := range in.Header {
		switch name {
		case "Content-Length", "Transfer-Encoding", "Upgrade", "Expect", "Host":
			continue
		case "Connection":
			values = strings.Split(strings.Join(values, ","), ",")
		}
		for _, value := range values {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	switch {
	case in.Body == nil || in.Body == http.NoBody || in.ContentLength == 0:
	case in.ContentLength > 0:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", in.ContentLength)
	default:
		b.WriteString("Transfer-Encoding: chunked\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

func (c *handled) whole() ([]byte, bool) { return nil, false }

func (c *handled) next() ([]byte, error) {
	if c.slab == nil {
		c.slab = c.slabs.get()
	}
	for {
		n, err := c.in.Body.Read(c.slab[:])
		if n > 0 {
			return c.slab[:n], nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (c *handled) trailers() []byte {
	var b bytes.Buffer
	_ = c.in.Trailer.Write(&b) // to memory
	return b.Bytes()
}

func (c *handled) hurry() { _ = c.in.Body.Close() }

func (c *handled) interim(res *h1.Response) error {
	h := c.w.Header()
	for i := range res.Fields {
		if f := &res.Fields[i]; !f.Hop {
			h.Add(string(f.Name), string(f.Value))
		}
	}
	if res.Status != http.StatusContinue {
		c.w.WriteHeader(res.Status)
	}
	clear(h)
	return nil
}

func (c *handled) answer(res *h1.Response, back *h1.Back) error {
	h := c.w.Header()
	for i := range res.Fields {
		if f := &res.Fields[i]; !f.Hop && (back.Drop == nil || !back.Drop(f.Name)) {
			h.Add(string(f.Name), string(f.Value))
		}
	}
	for line := range bytes.SplitSeq(back.Set, []byte("\r\n")) {
		if name, value, ok := strings.Cut(string(line), ": "); ok {
			h.Add(name, value)
		}
	}
	if _, typed := h["Content-Type"]; !typed {
		h["Content-Type"] = nil // else one is guessed
	}
	if back.Length >= 0 && !back.Bodiless {
		h.Set("Content-Length", strconv.FormatInt(back.Length, 10))
	}
	if back.Close {
		h.Set("Connection", "close") // HTTP/2 servers turn this into a graceful GOAWAY
	}
	c.w.WriteHeader(res.Status)
	return nil
}

func (c *handled) write(p []byte) error {
	_, err := c.w.Write(p)
	return err
}

func (c *handled) flush() error {
	if c.ended {
		return nil // it is flushed when its handler returns
	}
	return c.control.Flush()
}

func (c *handled) end(trailers []byte) error {
	c.ended = true
	for line := range bytes.SplitSeq(trailers, []byte("\r\n")) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok {
			c.w.Header().Set(http.TrailerPrefix+string(name), string(bytes.TrimSpace(value)))
		}
	}
	return nil
}

func (c *handled) tunnel() *wire         { return nil }
func (c *handled) abort()                { c.aborted = true }
func (c *handled) gone() <-chan struct{} { return c.in.Context().Done() }

func (c *handled) seat() *seat                  { return &c.place }
func (c *handled) counts() bool                 { return false } // its connection does
func (c *handled) quiet() (time.Duration, bool) { return 0, false }
func (c *handled) look(now, _ time.Duration)    { c.x.expire(now) }
func (c *handled) cut()                         { c.x.interrupt(errGone) }
