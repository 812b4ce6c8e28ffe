package client

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// The bounds of a connection's beginning. How long an answer may take is the
// request's to say.
const (
	dialTimeout = 10 * time.Second
	tlsTimeout  = 10 * time.Second
)

// newHTTP returns a client that follows no redirect: a redirected POST would
// turn into a GET, and a token would travel to a place nobody named.
func newHTTP(trust *tls.Config, http2 bool) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(http2)
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 proxy,
			DialContext:           local(dialer),
			TLSClientConfig:       trust,
			TLSHandshakeTimeout:   tlsTimeout,
			Protocols:             protocols,
			MaxIdleConns:          2,
			IdleConnTimeout:       time.Minute,
			ExpectContinueTimeout: time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// proxy is the environment's, which never stands before this machine itself.
func proxy(r *http.Request) (*url.URL, error) {
	if LocalHost(r.URL.Host) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

// LocalHost reports whether host, with or without a port, can only be this
// machine: localhost, a name below it (RFC 6761, 6.3), or a loopback address.
func LocalHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ip.IsLoopback()
	}
	return localName(host)
}

func localName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// local dials names below localhost at the loopback addresses, which many
// resolvers do not do (RFC 6761 asks programs to do it themselves).
func local(dialer *net.Dialer) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil || !localName(host) {
			return dialer.DialContext(ctx, network, address)
		}
		conn, err := dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			return conn, nil
		}
		if six, err6 := dialer.DialContext(ctx, network, net.JoinHostPort("::1", port)); err6 == nil {
			return six, nil
		}
		return nil, err
	}
}
