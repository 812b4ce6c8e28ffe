package images

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// way is how HTTP requests leave: by TLS as Hosts says of each host, and plain
// only to hosts that Hosts allows it for, whoever sends there by a redirect.
type way struct {
	hosts  Hosts
	usual  *http.Transport
	others map[string]*http.Transport // hosts with a TLS of their own
}

func newWay(hosts Hosts, silence time.Duration) (*way, error) {
	w := &way{hosts: hosts, others: make(map[string]*http.Transport)}
	w.usual = newTransport(silence)
	for _, host := range hosts.Names() {
		if !hosts.Insecure[host] && hosts.CAs[host] == "" {
			continue
		}
		config, err := hosts.TLS(host)
		if err != nil {
			return nil, err
		}
		own := newTransport(silence)
		own.TLSClientConfig = config
		w.others[host] = own
	}
	return w, nil
}

func newTransport(silence time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    min(silence, 10*time.Second),
		ResponseHeaderTimeout:  silence,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // digests are of what is sent
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConnsPerHost:    4,
	}
}

// RoundTrip is of http.RoundTripper.
func (w *way) RoundTrip(r *http.Request) (*http.Response, error) {
	host, err := hostName(r.URL.Host)
	if err != nil {
		return nil, &barred{"it leads to what is no host"}
	}
	if r.URL.Scheme != "https" && (r.URL.Scheme != "http" || !w.hosts.plain(host)) {
		return nil, &barred{host + " would be asked without encryption, which is for the operator to allow with --insecure-registries"}
	}
	if own, ok := w.others[host]; ok {
		return own.RoundTrip(r)
	}
	return w.usual.RoundTrip(r)
}

func (w *way) close() {
	w.usual.CloseIdleConnections()
	for _, own := range w.others {
		own.CloseIdleConnections()
	}
}

// local is the way to the platform's own registry: host:port, or unix: and the
// path of its socket.
func local(registry string, silence time.Duration) (host string, t *http.Transport) {
	t = newTransport(silence)
	t.Proxy = nil
	path, socket := strings.CutPrefix(registry, "unix:")
	if !socket {
		return registry, t
	}
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", path)
	}
	return "localhost", t
}

// speaksPlain reports whether a request by HTTPS failed for who listens there
// speaks none.
func speaksPlain(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record)
}

// cutOff reports whether a connection was ended by its other side.
func cutOff(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// watched is a body that ends with errSilent once nothing came for so long.
type watched struct {
	io.ReadCloser
	ctx     context.Context // of the request
	silence time.Duration
	timer   *time.Timer
	end     context.CancelCauseFunc
}

func watch(ctx context.Context, body io.ReadCloser, silence time.Duration, end context.CancelCauseFunc) io.ReadCloser {
	return &watched{body, ctx, silence, time.AfterFunc(silence, func() { end(errSilent) }), end}
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	switch {
	case n > 0:
		w.timer.Reset(w.silence)
	case err != nil && err != io.EOF && errors.Is(context.Cause(w.ctx), errSilent):
		err = errSilent
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	w.end(nil)
	return w.ReadCloser.Close()
}
