package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/api"
)

// How long an answer may take.
const (
	// quick is for what only reads and writes rows.
	quick = time.Minute
	// deploying is for what waits until instances are well. The work goes on
	// at the platform when the client stops waiting.
	deploying = time.Hour
)

// maxBody bounds what is read of an answer, in bytes.
const maxBody = 32 << 20

// request is one call: in is sent as JSON unless nil, out is filled unless nil.
type request struct {
	method string
	path   string // escaped, below the base URL
	query  url.Values
	in     any
	out    any
	wait   time.Duration
	match  string  // the tag that what is changed must have; empty: any
	tag    *string // filled with that of the answer, unless nil
}

// path joins segments, each escaped, and keeps the slash at the end that
// Deis' own clients send.
func path(segments ...string) string {
	escaped := make([]string, len(segments))
	for i, segment := range segments {
		escaped[i] = url.PathEscape(segment)
	}
	return "/v2/" + strings.Join(escaped, "/") + "/"
}

// bare is path without the slash at the end, where the contract has none.
func bare(segments ...string) string { return strings.TrimSuffix(path(segments...), "/") }

func (c *Client) get(ctx context.Context, path string, out any) error {
	return c.do(ctx, request{method: http.MethodGet, path: path, out: out, wait: quick})
}

func (c *Client) post(ctx context.Context, path string, in, out any) error {
	return c.do(ctx, request{method: http.MethodPost, path: path, in: in, out: out, wait: quick})
}

// deploy is a post whose answer waits for instances.
func (c *Client) deploy(ctx context.Context, path string, in, out any) error {
	return c.do(ctx, request{method: http.MethodPost, path: path, in: in, out: out, wait: deploying})
}

func (c *Client) delete(ctx context.Context, path string, wait time.Duration) error {
	return c.do(ctx, request{method: http.MethodDelete, path: path, wait: wait})
}

// do sends one request and decodes its answer.
func (c *Client) do(ctx context.Context, r request) error {
	bounded, cancel := context.WithTimeoutCause(ctx, r.wait,
		fmt.Errorf("no answer after %s: %w", r.wait, context.DeadlineExceeded))
	defer cancel()
	resp, err := c.send(bounded, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if r.tag != nil {
		*r.tag = resp.Header.Get("ETag")
	}
	if r.out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return &ConnectError{URL: c.URL(), Err: fmt.Errorf("the answer broke off: %w", err)}
	case len(body) > maxBody:
		return fmt.Errorf("%s %s: the answer is longer than %d bytes", r.method, r.path, maxBody)
	}
	if err := json.Unmarshal(body, r.out); err != nil {
		return &NotPlatformError{URL: c.URL(), Reason: fmt.Sprintf("%s %s: %v", r.method, r.path, err)}
	}
	return nil
}

// send returns the answer of a request that was not refused; the caller closes it.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	req, err := c.prepare(ctx, r)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close()
		return nil, c.refusal(resp, r.method, r.path)
	}
	return resp, nil
}

// unreachable tells a caller who gave up from a platform that is not there.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		if ctx.Err() == context.Canceled {
			return ctx.Err()
		}
		err = context.Cause(ctx)
	}
	return &ConnectError{URL: c.URL(), Err: err}
}

func (c *Client) prepare(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	if r.in != nil {
		text, err := json.Marshal(r.in)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.target(r.path, r.query), body)
	if err != nil {
		return nil, err
	}
	req.Header = c.header()
	req.Header.Set("Accept", "application/json, text/plain")
	req.Header.Set("Content-Type", "application/json")
	if r.match != "" {
		req.Header.Set("If-Match", r.match)
	}
	return req, nil
}

func (c *Client) header() http.Header {
	header := http.Header{"User-Agent": {c.agent}}
	if c.token != "" {
		header.Set("Authorization", api.AuthScheme+" "+c.token)
	}
	return header
}

func (c *Client) target(path string, query url.Values) string {
	target := c.URL() + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	return target
}

// pageSize is how many items one request of a list asks for.
const pageSize = 100

// list fetches the first limit items of a list, or all when limit is 0, and
// says how many there are.
func list[T any](ctx context.Context, c *Client, path string, limit int) ([]T, int, error) {
	return filtered[T](ctx, c, path, nil, limit)
}

// filtered is list with a query that chooses some.
func filtered[T any](ctx context.Context, c *Client, path string, chosen url.Values, limit int) ([]T, int, error) {
	items := []T{}
	for {
		ask := pageSize
		if limit > 0 {
			ask = min(ask, limit-len(items))
		}
		var page api.List[T]
		query := url.Values{"limit": {strconv.Itoa(ask)}}
		maps.Copy(query, chosen)
		if len(items) > 0 {
			query.Set("offset", strconv.Itoa(len(items)))
		}
		err := c.do(ctx, request{method: http.MethodGet, path: path, query: query, out: &page, wait: quick})
		if err != nil {
			return nil, 0, err
		}
		items = append(items, page.Results...)
		if limit > 0 && len(items) >= limit {
			return items[:limit], page.Count, nil
		}
		if len(page.Results) == 0 || len(items) >= page.Count {
			return items, page.Count, nil
		}
	}
}

// orNone is items, or an empty list instead of null.
func orNone[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
