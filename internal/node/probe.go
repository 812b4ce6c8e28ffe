package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// probe asks once; the error says in words what is wrong.
func (i *instance) probe(ctx context.Context, r runtime.Running, p platform.Probe) error {
	timeout := seconds(p.TimeoutSeconds, probeTimeout)
	switch {
	case p.HTTPGet != nil:
		err := get(ctx, r.Address, *p.HTTPGet, timeout)
		return i.because(err, p.HTTPGet.Port)
	case p.TCPSocket != nil:
		if p.TCPSocket.Port == 0 {
			return i.listens(ctx, r)
		}
		return i.because(connect(ctx, withPort(r.Address, p.TCPSocket.Port), timeout), p.TCPSocket.Port)
	case p.Exec != nil:
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		code, err := i.runtime.Exec(ctx, i.spec.ID, p.Exec.Command, platform.IO{Stdout: io.Discard, Stderr: io.Discard})
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("%s took longer than %s", strings.Join(p.Exec.Command, " "), timeout)
		case err != nil:
			return fmt.Errorf("%s: %w", strings.Join(p.Exec.Command, " "), err)
		case code != 0:
			return fmt.Errorf("%s exited with code %d", strings.Join(p.Exec.Command, " "), code)
		}
	}
	return nil
}

// because adds to a probe's error why nothing answers, if that can be seen.
func (i *instance) because(err error, port int) error {
	if err == nil {
		return nil
	}
	if why := i.explain(port); why != nil {
		return fmt.Errorf("%w: it %w", err, why)
	}
	return err
}

func withPort(address string, port int) string {
	host, own, err := net.SplitHostPort(address)
	if err != nil {
		host = "127.0.0.1"
	}
	if port != 0 {
		own = strconv.Itoa(port)
	}
	return net.JoinHostPort(host, own)
}

func connect(ctx context.Context, address string, timeout time.Duration) error {
	conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("no connection to %s", address)
	}
	return conn.Close()
}

// get follows Kubernetes' httpGet: 200 to 399 is well, redirects are not
// followed, certificates are not checked.
func get(ctx context.Context, address string, p platform.HTTPGet, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	path := "/" + strings.TrimPrefix(p.Path, "/")
	where, err := url.Parse(cmp.Or(strings.ToLower(p.Scheme), "http") + "://" + withPort(address, p.Port) + path)
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	request.Header.Set("User-Agent", "slipway-probe")
	for _, h := range p.HTTPHeaders {
		request.Header.Set(h.Name, h.Value)
		if strings.EqualFold(h.Name, "Host") {
			request.Host = h.Value
		}
	}
	if p.Host != "" {
		request.Host = p.Host
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // the instance's own certificate
	answer, err := transport.RoundTrip(request)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("GET %s was not answered within %s", path, timeout)
	case err != nil:
		return fmt.Errorf("GET %s: no answer", path)
	}
	_ = answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 399 {
		return fmt.Errorf("GET %s answered %s", path, answer.Status)
	}
	return nil
}
