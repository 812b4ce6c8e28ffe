package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// manifestTypes are those that are kept here.
var manifestTypes = []string{typeManifest, typeIndex, typeDockerManifest, typeDockerList}

// releaseTag is what a release is called: the platform's to give.
var releaseTag = regexp.MustCompile(`^v([1-9][0-9]{0,8})$`)

func (r *Registry) manifest(w *statusWriter, q *http.Request, p place, v visitor) error {
	switch q.Method {
	case http.MethodPut:
		return r.putManifest(w, q, p, v)
	case http.MethodDelete:
		return r.deleteManifest(w, q, p, v)
	}
	return r.getManifest(w, q, p)
}

// getManifest answers end-3 in the type that was stored, whatever the client
// says to accept: there is no other.
func (r *Registry) getManifest(w *statusWriter, q *http.Request, p place) error {
	digest, err := r.resolve(q.Context(), p)
	if err != nil {
		return err
	}
	if digest == "" || !r.rely(p.repo, digest) {
		return unknownManifest(p)
	}
	q = q.Clone(q.Context())
	q.Header["Accept"] = manifestTypes
	if !isDigest(p.ref) && !exists(r.store.tag(p.repo, p.ref)) {
		q.URL.Path = "/v2/" + p.repo + "/manifests/" + digest
		q.URL.RawPath = ""
	}
	r.content.ServeHTTP(w, q)
	return nil
}

// resolve is the digest of a reference; empty when nothing has that tag. v3 is
// what release v3 of the app runs.
func (r *Registry) resolve(ctx context.Context, p place) (string, error) {
	if isDigest(p.ref) {
		return p.ref, nil
	}
	if number := releaseTag.FindStringSubmatch(p.ref); number != nil && r.options.Release != nil && app(p.repo) == p.repo {
		version, err := strconv.Atoi(number[1])
		if err != nil {
			return "", nil
		}
		image, err := r.options.Release(ctx, p.repo, version)
		if err != nil && !errors.Is(err, platform.ErrNotFound) {
			return "", err
		}
		if digest, ok := strings.CutPrefix(image, p.repo+"@"); ok && isDigest(digest) {
			return digest, nil
		}
	}
	return r.store.tagged(p.repo, p.ref)
}

// rely makes a manifest young, for who was told of it may name it next, and
// reports whether it is there.
func (r *Registry) rely(repo, digest string) bool {
	defer r.digests.share(digest)()
	if !exists(r.store.revision(repo, digest)) {
		return false
	}
	return r.freshen(r.store.revision(repo, digest), r.store.blob(digest)) == nil
}

// freshen is touch for content that has aged at all.
func (r *Registry) freshen(paths ...string) error {
	now := time.Now()
	for _, path := range paths {
		if older(path, now.Add(-r.options.Grace/8)) {
			if err := touch(now, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// putManifest answers end-7. What the manifest names becomes young before it is
// looked for, under locks that the collector takes to remove any of it: either
// it is there and stays, or the push is refused and sends it again.
func (r *Registry) putManifest(w *statusWriter, q *http.Request, p place, v visitor) error {
	if releaseTag.MatchString(p.ref) && app(p.repo) == p.repo && r.options.Release != nil && !v.Platform {
		return denied("%s is what release %s runs, and no tag to push: take another tag", p.ref, p.ref)
	}
	text, d, err := readManifest(q)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if isDigest(p.ref) && p.ref != digest {
		return faultf(http.StatusBadRequest, "DIGEST_INVALID", "the manifest's digest is %s", digest)
	}
	defer r.repos.share(p.repo)()
	defer r.digests.share(append(d.names(), digest)...)()
	if err := r.freshenAll(p.repo, d, digest); err != nil {
		return err
	}
	return r.admit(q.Context(), p.repo, digest, int64(len(text)), func() (bool, error) {
		if err := r.store.refer(p.repo, digest, d, int64(len(text))); err != nil {
			return false, err
		}
		w.before = func(status int) {
			if status == http.StatusCreated && d.Subject != nil {
				w.Header().Set("OCI-Subject", d.Subject.Digest)
			}
		}
		q = q.Clone(q.Context())
		q.Body, q.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		q.Header.Set("Content-Length", strconv.Itoa(len(text)))
		r.content.ServeHTTP(w, q)
		return w.status == http.StatusCreated, nil
	})
}

// names are all digests the manifest relies on.
func (d document) names() []string {
	all := append(d.blobs(), d.children()...)
	if d.Subject != nil && isDigest(d.Subject.Digest) {
		all = append(all, d.Subject.Digest)
	}
	return all
}

func (r *Registry) freshenAll(repo string, d document, digest string) error {
	paths := []string{r.store.revision(repo, digest), r.store.blob(digest)}
	for _, blob := range d.blobs() {
		paths = append(paths, r.store.layer(repo, blob), r.store.blob(blob))
	}
	for _, other := range d.names() {
		paths = append(paths, r.store.revision(repo, other), r.store.blob(other))
	}
	return r.freshen(paths...)
}

// readManifest reads a manifest whole and checks what it says of itself.
func readManifest(q *http.Request) ([]byte, document, error) {
	text, err := io.ReadAll(io.LimitReader(q.Body, maxManifest+1))
	if err != nil {
		return nil, document{}, faultf(http.StatusBadRequest, "MANIFEST_INVALID", "the manifest broke off: %s", err)
	}
	if len(text) > maxManifest {
		return nil, document{}, faultf(http.StatusRequestEntityTooLarge, "SIZE_INVALID", "a manifest has at most %d bytes", maxManifest)
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, document{}, faultf(http.StatusBadRequest, "MANIFEST_INVALID", "the manifest is not what its type says: %s", err)
	}
	kind := q.Header.Get("Content-Type")
	if kind == "" {
		kind = d.MediaType
	}
	kind, _, err = mime.ParseMediaType(kind)
	switch {
	case err != nil || !slices.Contains(manifestTypes, kind):
		return nil, document{}, faultf(http.StatusBadRequest, "MANIFEST_INVALID", "Content-Type %.80q is no type of a manifest that is kept here", q.Header.Get("Content-Type"))
	case d.MediaType != "" && d.MediaType != kind:
		return nil, document{}, faultf(http.StatusBadRequest, "MANIFEST_INVALID", "the manifest says it is %.80q, its Content-Type %q", d.MediaType, kind)
	case d.Subject != nil && !isDigest(d.Subject.Digest):
		return nil, document{}, badDigest(d.Subject.Digest)
	}
	d.MediaType = kind
	q.Header.Set("Content-Type", kind)
	return text, d, nil
}

// deleteManifest answers end-9. What a release runs stays.
func (r *Registry) deleteManifest(w *statusWriter, q *http.Request, p place, v visitor) error {
	defer r.repos.share(p.repo)()
	if !isDigest(p.ref) {
		if !exists(r.store.tag(p.repo, p.ref)) {
			return unknownManifest(p)
		}
		r.content.ServeHTTP(w, q)
		return nil
	}
	if !exists(r.store.revision(p.repo, p.ref)) {
		return unknownManifest(p)
	}
	if !v.Platform {
		if err := r.deletable(q.Context(), p); err != nil {
			return err
		}
	}
	d, _, err := r.store.read(p.ref)
	if err != nil && !isMissing(err) {
		return err
	}
	defer r.quotas.forget(app(p.repo))
	r.content.ServeHTTP(w, q)
	if w.status == http.StatusAccepted && d.Subject != nil && isDigest(d.Subject.Digest) {
		err := os.Remove(filepath.Join(r.store.subject(p.repo, d.Subject.Digest), hexOf(p.ref)))
		if err != nil && !isMissing(err) {
			r.log.Warn("entry of a deleted referrer stayed", "repository", p.repo, "digest", p.ref, "err", err)
		}
	}
	return nil
}

// deletable refuses what a build of an app names, and what an index that one
// names consists of.
func (r *Registry) deletable(ctx context.Context, p place) error {
	if r.options.Named == nil {
		return nil
	}
	named, err := r.options.Named(ctx)
	if err != nil {
		return err
	}
	for _, image := range named.Images {
		digest, ok := strings.CutPrefix(image, p.repo+"@")
		if !ok {
			continue
		}
		d, _, err := r.store.read(digest)
		if digest == p.ref || err == nil && slices.Contains(d.children(), p.ref) {
			return denied("%s@%s is what a release of %s runs, and goes with the app: delete its tags instead", p.repo, p.ref, app(p.repo))
		}
	}
	return nil
}
