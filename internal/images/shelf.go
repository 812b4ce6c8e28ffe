package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// shelf is the platform's own registry, where images are put.
type shelf struct {
	host     string
	way      *http.Transport
	user     string
	password string
	silence  time.Duration
}

// own is a repository of the platform's registry, to be read as any other.
func (s *shelf) own(repository string) *remote {
	return &remote{
		host: "the platform's registry", schemes: []string{"http"}, address: s.host, repository: repository,
		user: s.user, password: s.password, client: s.way, silence: s.silence,
	}
}

// unwilling says that the platform's own registry did not do what it must.
func unwilling(format string, args ...any) error {
	return fmt.Errorf("the platform's registry "+format+": %w", append(args, platform.ErrUnavailable)...)
}

// reply is what the registry answered to a write.
type reply struct {
	status int
	// next is where an upload goes on; nil where the answer names no place.
	next *url.URL
}

// send makes a request of the registry. The reply's status is one of want.
func (s *shelf) send(ctx context.Context, method string, at *url.URL, body io.Reader, size int64, kind string, want ...int) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, at.String(), body)
	if err != nil {
		return reply{}, err
	}
	request.SetBasicAuth(s.user, s.password)
	if request.ContentLength = size; kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	answer, err := s.way.RoundTrip(request)
	if err != nil {
		return reply{}, err
	}
	if answer.StatusCode == http.StatusForbidden && !slices.Contains(want, http.StatusForbidden) {
		defer answer.Body.Close()
		return reply{}, full(answer.Body)
	}
	discard(answer)
	if !slices.Contains(want, answer.StatusCode) {
		return reply{}, unwilling("answered %d %s to %s %s", answer.StatusCode, http.StatusText(answer.StatusCode), method, at.Path)
	}
	got := reply{status: answer.StatusCode}
	if location := answer.Header.Get("Location"); location != "" {
		if next, err := at.Parse(location); err == nil {
			next.Scheme, next.Host = "http", s.host
			got.next = next
		}
	}
	return got, nil
}

// full says in the registry's words why it may not keep more of the app.
func full(body io.Reader) error {
	var said struct {
		Errors []struct{ Message string }
	}
	if err := json.NewDecoder(io.LimitReader(body, 4<<10)).Decode(&said); err != nil || len(said.Errors) == 0 {
		return unwilling("does not let the platform write")
	}
	return unfitf("cannot be kept: %s", said.Errors[0].Message)
}

func (s *shelf) url(repository, path string, query url.Values) *url.URL {
	return &url.URL{Scheme: "http", Host: s.host, Path: "/v2/" + repository + "/" + path, RawQuery: query.Encode()}
}

// has reports whether a repository has a blob.
func (s *shelf) has(ctx context.Context, repository, digest string) (bool, error) {
	answer, err := s.send(ctx, http.MethodHead, s.url(repository, blobPath(digest), nil), http.NoBody, 0, "", http.StatusOK, http.StatusNotFound)
	if err != nil {
		return false, unwell(ctx, err)
	}
	return answer.status == http.StatusOK, nil
}

// unwell is err as a fault of the platform, unless ctx ended.
func unwell(ctx context.Context, err error) error {
	var misfit *unfit
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, platform.ErrUnavailable), errors.As(err, &misfit):
		return err
	}
	return unwilling("cannot be reached: %w", err)
}

// mount gives a repository a blob that another has, and reports whether it did.
func (s *shelf) mount(ctx context.Context, repository, digest, from string) (bool, error) {
	answer, err := s.send(ctx, http.MethodPost, s.url(repository, "blobs/uploads/", url.Values{"mount": {digest}, "from": {from}}),
		http.NoBody, 0, "", http.StatusCreated, http.StatusAccepted)
	if err != nil {
		return false, unwell(ctx, err)
	}
	if answer.status == http.StatusAccepted && answer.next != nil { // it began an upload instead
		s.abandon(ctx, answer.next)
	}
	return answer.status == http.StatusCreated, nil
}

// put gives a repository a blob. The registry has it whole, and as its digest
// says, or not at all. An error of reading content is returned as it is.
//
// The requests end as any even when ctx does, or content cannot be read on: a
// registry that sees one break off may go on writing after its upload was
// given up. It is content that ends with ctx.
func (s *shelf) put(ctx context.Context, repository string, blob descriptor, content io.Reader) error {
	ctx = context.WithoutCancel(ctx)
	begun, err := s.send(ctx, http.MethodPost, s.url(repository, "blobs/uploads/", nil), http.NoBody, 0, "", http.StatusAccepted)
	if err != nil {
		return unwell(ctx, err)
	}
	if begun.next == nil {
		return unwilling("names no place to upload to")
	}
	at, err := s.upload(ctx, begun.next, content)
	if err == nil {
		query := at.Query()
		query.Set("digest", blob.Digest)
		at.RawQuery = query.Encode()
		if _, err = s.send(ctx, http.MethodPut, at, http.NoBody, 0, "", http.StatusCreated); err != nil {
			err = unwell(ctx, err)
		}
	}
	if err != nil {
		s.abandon(ctx, at)
	}
	return err
}

// upload sends content to where the registry takes it, and returns where that
// goes on, or has to be given up.
func (s *shelf) upload(ctx context.Context, at *url.URL, content io.Reader) (*url.URL, error) {
	read := &quiet{content: content}
	answer, err := s.send(ctx, http.MethodPatch, at, io.NopCloser(read), -1, "application/octet-stream", http.StatusAccepted)
	if answer.next != nil {
		at = answer.next
	}
	switch {
	case read.err != nil:
		return at, read.err
	case err != nil:
		return at, unwell(ctx, err)
	}
	return at, nil
}

// quiet is a reader that ends where another fails, and remembers why.
type quiet struct {
	content io.Reader
	err     error
}

func (q *quiet) Read(p []byte) (int, error) {
	n, err := q.content.Read(p)
	if err != nil && err != io.EOF {
		q.err, err = err, io.EOF
	}
	return n, err
}

// abandon gives up an upload, so that nothing of it stays.
func (s *shelf) abandon(ctx context.Context, at *url.URL) {
	ctx, end := context.WithTimeout(context.WithoutCancel(ctx), s.silence)
	defer end()
	_, _ = s.send(ctx, http.MethodDelete, at, http.NoBody, 0, "", http.StatusNoContent) // garbage collection takes what stays
}

// putManifest makes the image one of the repository's, once it has its parts.
func (s *shelf) putManifest(ctx context.Context, repository string, d *document) error {
	_, err := s.send(ctx, http.MethodPut, s.url(repository, "manifests/"+d.digest, nil), bytes.NewReader(d.text), int64(len(d.text)), d.MediaType, http.StatusCreated)
	if err != nil {
		return unwell(ctx, err)
	}
	return nil
}
