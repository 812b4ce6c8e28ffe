package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// maxRedirects bounds how often a registry may send elsewhere for one answer.
const maxRedirects = 5

// remote is one repository of one registry, and how it is asked.
type remote struct {
	host       string   // as Hosts names it
	schemes    []string // tried in this order until one is spoken
	address    string   // host:port of requests
	repository string
	user       string // empty: nobody
	password   string
	client     http.RoundTripper
	silence    time.Duration

	mu    sync.Mutex
	token string // Authorization; empty before somebody asked for it
}

// open asks for a path of the repository: "manifests/latest". The answer is
// 200; its body must be closed, and has to go on coming.
func (r *remote) open(ctx context.Context, path string, accept ...string) (*http.Response, error) {
	ctx, end := context.WithCancelCause(ctx)
	answer, err := r.ask(ctx, path, accept)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = r.refused(answer)
		discard(answer)
	}
	if err != nil {
		err = r.failed(ctx, err)
		end(nil)
		return nil, err
	}
	answer.Body = watch(ctx, answer.Body, r.silence, end)
	return answer, nil
}

// ask sends the request, and once more with what the registry wants to see.
func (r *remote) ask(ctx context.Context, path string, accept []string) (*http.Response, error) {
	for tried := false; ; tried = true {
		shown := r.shown()
		answer, err := r.speak(ctx, "/v2/"+r.repository+"/"+path, accept)
		if err != nil || answer.StatusCode != http.StatusUnauthorized || tried {
			return answer, err
		}
		challenges := answer.Header.Values("WWW-Authenticate")
		discard(answer)
		if err := r.authorize(ctx, challenges, shown); err != nil {
			return nil, err
		}
	}
}

// speak sends a request by the first scheme that the registry speaks.
func (r *remote) speak(ctx context.Context, path string, accept []string) (*http.Response, error) {
	for {
		r.mu.Lock()
		scheme, last := r.schemes[0], len(r.schemes) == 1
		r.mu.Unlock()
		at := &url.URL{Scheme: scheme, Host: r.address, Path: path}
		answer, err := r.follow(ctx, at, accept)
		if err == nil || last || !speaksPlain(err) {
			return answer, err
		}
		r.mu.Lock()
		r.schemes = r.schemes[len(r.schemes)-1:]
		r.mu.Unlock()
	}
}

// follow sends a request to where the registry leads it. What shows who asks
// goes to the registry alone.
func (r *remote) follow(ctx context.Context, at *url.URL, accept []string) (*http.Response, error) {
	home := *at
	for range maxRedirects {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
		if err != nil {
			return nil, err
		}
		request.Header["Accept"] = accept
		request.Header.Set("User-Agent", "slipway")
		if token := r.shown(); token != "" && at.Scheme == home.Scheme && at.Host == home.Host {
			request.Header.Set("Authorization", token)
		}
		answer, err := r.client.RoundTrip(request)
		if err != nil {
			return nil, err
		}
		switch answer.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			return answer, nil
		}
		location := answer.Header.Get("Location")
		discard(answer)
		if at, err = at.Parse(location); err != nil || location == "" {
			return nil, r.garbled("leads to no address")
		}
	}
	return nil, r.garbled("leads in a circle")
}

func (r *remote) shown() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.token
}

// discard reads a little of a body, so that its connection may be used again.
func discard(answer *http.Response) {
	_, _ = io.CopyN(io.Discard, answer.Body, 4<<10)
	_ = answer.Body.Close()
}

// document reads a whole answer, of so many bytes at most and within twice the
// time a registry may be silent.
func (r *remote) document(ctx context.Context, path string, most int64, accept ...string) ([]byte, http.Header, error) {
	ctx, end := context.WithTimeoutCause(ctx, 2*r.silence, &fault{why: broken, host: r.host, text: "does not come to an end"})
	defer end()
	answer, err := r.open(ctx, path, accept...)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	switch {
	case err != nil:
		return nil, nil, r.failed(ctx, err)
	case int64(len(text)) > most:
		return nil, nil, r.garbled("answers with more than %s for %s", sizeText(most), path)
	}
	return text, answer.Header, nil
}

// again does work until it succeeds or fails for good, three times at most.
func again(ctx context.Context, pause time.Duration, work func() error) error {
	for left := 2; ; left-- {
		err := work()
		var f *fault
		if err == nil || left == 0 || !errors.As(err, &f) || !f.passing {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
		pause *= 3
	}
}

// sizeText is a number of bytes for people.
func sizeText(bytes int64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
}

// blobPath is where the repository has a blob.
func blobPath(digest string) string { return "blobs/" + strings.ToLower(digest) }
