package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// blob answers end-2 and end-10.
func (r *Registry) blob(w *statusWriter, q *http.Request, p place) error {
	if q.Method == http.MethodDelete {
		return r.deleteBlob(w, q, p)
	}
	if !r.relyOnBlob(p.repo, p.ref) {
		return faultf(http.StatusNotFound, "BLOB_UNKNOWN", "%s has no blob %s", p.repo, p.ref)
	}
	r.content.ServeHTTP(w, q)
	return nil
}

// relyOnBlob is rely for a blob: who was told that it is there sends it no more.
func (r *Registry) relyOnBlob(repo, digest string) bool {
	defer r.digests.share(digest)()
	if !exists(r.store.layer(repo, digest)) || !exists(r.store.blob(digest)) {
		return false
	}
	return r.freshen(r.store.layer(repo, digest), r.store.blob(digest)) == nil
}

// deleteBlob refuses what a manifest of the repository consists of.
func (r *Registry) deleteBlob(w *statusWriter, q *http.Request, p place) error {
	defer r.repos.share(p.repo)()
	digests, err := r.store.revisions(p.repo)
	if err != nil {
		return err
	}
	for _, digest := range digests {
		d, _, err := r.store.read(digest)
		if err != nil && !isMissing(err) {
			return err
		}
		if slices.Contains(d.blobs(), p.ref) {
			return denied("%s is part of %s@%s: delete that first", p.ref, p.repo, digest)
		}
	}
	defer r.quotas.forget(app(p.repo))
	r.content.ServeHTTP(w, q)
	return nil
}

// start answers end-4a and end-11. A blob is mounted only from where the
// visitor may read; else it is sent as if it were nowhere.
func (r *Registry) start(w *statusWriter, q *http.Request, p place, v visitor) error {
	query := q.URL.Query()
	digest, from := query.Get("mount"), query.Get("from")
	q = q.Clone(q.Context())
	q.URL.RawQuery = ""
	q.URL.Path = "/v2/" + p.repo + "/blobs/uploads/"
	defer r.repos.share(p.repo)()
	if !isDigest(digest) || len(from) > maxName || !nameForm.MatchString(from) ||
		!v.asked("repository", from, "pull") || r.may(q.Context(), v, from, "pull") != nil || !r.relyOnBlob(from, digest) {
		r.content.ServeHTTP(w, q)
		return nil
	}
	q.URL.RawQuery = url.Values{"mount": {digest}, "from": {from}}.Encode()
	defer r.digests.share(digest)()
	size, err := r.store.size(digest)
	if err != nil {
		return err
	}
	return r.admit(q.Context(), p.repo, digest, size, func() (bool, error) {
		r.content.ServeHTTP(w, q)
		return w.status == http.StatusCreated, nil
	})
}

// upload answers end-5, end-6 and end-13. One request at a time has an upload.
func (r *Registry) upload(w *statusWriter, q *http.Request, p place) error {
	if !exists(r.store.upload(p.repo, p.ref)) {
		return faultf(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "there is no such upload: it was completed, cancelled, or left for too long")
	}
	if q.Method == http.MethodGet || q.Method == http.MethodHead {
		r.content.ServeHTTP(w, q)
		return nil
	}
	release, ok := r.busy.take(p.repo + " " + p.ref)
	if !ok && q.Method == http.MethodDelete {
		ctx, cancel := context.WithTimeout(q.Context(), cancelPatience)
		release, ok = r.busy.await(ctx, p.repo+" "+p.ref)
		cancel()
	}
	if !ok {
		return faultf(http.StatusConflict, "BLOB_UPLOAD_INVALID", "another request writes to this upload")
	}
	defer release()
	switch q.Method {
	case http.MethodPatch:
		return r.patch(w, q, p)
	case http.MethodPut:
		return r.complete(w, q, p)
	}
	r.content.ServeHTTP(w, q)
	return nil
}

// cancelPatience is how long the end of an upload waits for who writes to it.
const cancelPatience = 5 * time.Second

var rangeForm = regexp.MustCompile(`^([0-9]{1,18})-([0-9]{1,18})$`)

// patch takes a chunk.
func (r *Registry) patch(w *statusWriter, q *http.Request, p place) error {
	q.Header.Set("Content-Type", "application/octet-stream")
	data := filepath.Join(r.store.upload(p.repo, p.ref), "data")
	w.before = func(status int) {
		if status == http.StatusRequestedRangeNotSatisfiable {
			w.Header().Set("Location", q.URL.RequestURI())
			w.Header().Set("Range", "0-"+strconv.FormatInt(max(0, sizeOf(data)-1), 10))
		}
	}
	if text := q.Header.Get("Content-Range"); text != "" {
		bounds := rangeForm.FindStringSubmatch(strings.TrimPrefix(text, "bytes="))
		if bounds == nil {
			return faultf(http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "Content-Range %.40q: write <first>-<last>", text)
		}
		if exists(r.store.upload(p.repo, p.ref)) && bounds[1] != strconv.FormatInt(sizeOf(data), 10) {
			return faultf(http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "the next chunk begins at %d", sizeOf(data))
		}
		q.Header.Set("Content-Range", bounds[1]+"-"+bounds[2])
	}
	body, err := r.bounded(q, p, data)
	if err != nil {
		return err
	}
	q.Body = body
	kept := &kept{header: w.Header()}
	r.content.ServeHTTP(kept, q)
	if body.over != nil {
		return errors.Join(body.over, os.RemoveAll(r.store.upload(p.repo, p.ref)))
	}
	kept.send(w)
	return nil
}

// complete takes the last of an upload. Its body, which may take as long as the
// client likes, goes the way of a chunk; what is left is short, and done under
// the locks.
func (r *Registry) complete(w *statusWriter, q *http.Request, p place) error {
	digest := q.URL.Query().Get("digest")
	if !isDigest(digest) {
		return badDigest(digest)
	}
	if q.ContentLength != 0 {
		location, err := r.lastChunk(w, q, p)
		if location == nil || err != nil {
			return err
		}
		query := location.Query()
		query.Set("digest", digest)
		q = q.Clone(q.Context())
		q.URL.RawQuery = query.Encode()
	}
	q = q.Clone(q.Context())
	q.Body, q.ContentLength = http.NoBody, 0
	q.Header.Set("Content-Length", "0")
	q.Header.Del("Content-Range")
	defer r.repos.share(p.repo)()
	defer r.digests.share(digest)()
	if err := r.freshen(r.store.blob(digest), r.store.layer(p.repo, digest)); err != nil {
		return err
	}
	size := sizeOf(filepath.Join(r.store.upload(p.repo, p.ref), "data"))
	return r.admit(q.Context(), p.repo, digest, size, func() (bool, error) {
		// The data is as old as its last chunk.
		w.before = func(int) { _ = touch(time.Now(), r.store.blob(digest)) }
		r.content.ServeHTTP(w, q)
		return w.status == http.StatusCreated, nil
	})
}

// lastChunk patches the upload with the body of a PUT and returns where it goes
// on; nil when the answer was given.
func (r *Registry) lastChunk(w *statusWriter, q *http.Request, p place) (*url.URL, error) {
	chunk := q.Clone(q.Context())
	chunk.Method = http.MethodPatch
	answer := &kept{header: make(http.Header)}
	if err := r.patch(&statusWriter{ResponseWriter: answer}, chunk, p); err != nil {
		return nil, err
	}
	if answer.status != http.StatusAccepted {
		answer.send(w)
		return nil, nil
	}
	return url.Parse(answer.header.Get("Location"))
}

// kept is a short answer that is not sent yet.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header { return k.header }

func (k *kept) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
}

func (k *kept) Write(p []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	return k.body.Write(p)
}

func (k *kept) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), k.header)
	k.WriteHeader(http.StatusOK)
	w.WriteHeader(k.status)
	_, _ = w.Write(k.body.Bytes()) // who left gets nothing
}

// limited ends a body where the app's quota does.
type limited struct {
	io.ReadCloser
	left int64 // below zero: no bound
	over error
	why  func() error
}

var errOver = errors.New("over quota")

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if l.why == nil {
		return n, err
	}
	if l.left -= int64(n); l.left < 0 {
		l.over = l.why()
		return 0, errOver
	}
	return n, err
}
