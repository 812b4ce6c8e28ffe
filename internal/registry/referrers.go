package registry

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The media types of manifests.
const (
	typeManifest       = "application/vnd.oci.image.manifest.v1+json"
	typeIndex          = "application/vnd.oci.image.index.v1+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// An index of referrers is a folder a subject, with a file a referrer that
// holds its descriptor. The file is written before the manifest: one that is
// there without the manifest, or after it, is passed over, and no manifest is
// without its file.

func (s storage) subject(repo, subject string) string {
	return filepath.Join(s.repo(repo), referrersDir, hexOf(subject))
}

// refer notes that the manifest of the digest refers to its subject.
func (s storage) refer(repo, digest string, d document, size int64) error {
	if d.Subject == nil || !isDigest(d.Subject.Digest) {
		return nil
	}
	text, err := json.Marshal(d.describe(digest, size))
	if err != nil {
		return err
	}
	return write(filepath.Join(s.subject(repo, d.Subject.Digest), hexOf(digest)), text)
}

// describe is a referrer's descriptor (end-12: artifactType is the config's
// media type where a manifest says none).
func (d document) describe(digest string, size int64) descriptor {
	out := descriptor{MediaType: d.MediaType, Digest: digest, Size: size, ArtifactType: d.ArtifactType, Annotations: d.Annotations}
	switch {
	case d.isIndex():
		out.MediaType = orElse(out.MediaType, typeIndex)
	default:
		out.MediaType = orElse(out.MediaType, typeManifest)
		if d.Config != nil {
			out.ArtifactType = orElse(out.ArtifactType, d.Config.MediaType)
		}
	}
	return out
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// referrers are the descriptors of what refers to the subject, by digest: what
// our index knows, and what pushers without the API wrote into a tag.
func (s storage) referrers(repo, subject string) ([]descriptor, error) {
	found := make(map[string]descriptor)
	entries, err := names(s.subject(repo, subject))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(s.subject(repo, subject), entry))
		if isMissing(err) {
			continue
		}
		var d descriptor
		if err != nil {
			return nil, err
		}
		if json.Unmarshal(text, &d) == nil && d.Digest == "sha256:"+entry {
			found[d.Digest] = d
		}
	}
	if err := s.fallback(repo, subject, found); err != nil {
		return nil, err
	}
	maps.DeleteFunc(found, func(digest string, _ descriptor) bool { return !exists(s.revision(repo, digest)) })
	return slices.SortedFunc(maps.Values(found), func(a, b descriptor) int { return strings.Compare(a.Digest, b.Digest) }), nil
}

// fallback adds what the tag of the referrers tag schema lists.
func (s storage) fallback(repo, subject string, found map[string]descriptor) error {
	digest, err := s.tagged(repo, fallbackTag(subject))
	if err != nil || digest == "" {
		return err
	}
	d, _, err := s.read(digest)
	if isMissing(err) {
		return nil
	}
	for _, child := range d.Manifests {
		if _, known := found[child.Digest]; !known && isDigest(child.Digest) {
			found[child.Digest] = child
		}
	}
	return err
}

// fallbackTag is a digest as the referrers tag schema writes it.
func fallbackTag(digest string) string { return strings.Replace(digest, ":", "-", 1) }

// subjectOf is the digest that such a tag belongs to, those of signers with
// their endings (.sig, .att, .sbom) included; empty for other tags.
func subjectOf(tag string) string {
	name, _, _ := strings.Cut(tag, ".")
	if digest := strings.Replace(name, "-", ":", 1); isDigest(digest) {
		return digest
	}
	return ""
}

// indexOnce makes the index of what was stored before there was one.
func (s storage) indexOnce() error {
	marker := filepath.Join(s.dir, "referrers.indexed")
	if exists(marker) {
		return nil
	}
	for repo, err := range s.repositories("") {
		if err != nil {
			return err
		}
		digests, err := s.revisions(repo)
		if err != nil {
			return err
		}
		for _, digest := range digests {
			d, text, err := s.read(digest)
			if err != nil {
				continue // no manifest, no referrer
			}
			if err := s.refer(repo, digest, d, int64(len(text))); err != nil {
				return err
			}
		}
	}
	return write(marker, []byte("1\n"))
}

// The bounds of an answer; more is told by a link.
const (
	maxPage      = 1000
	maxPageBytes = 1 << 20
)

// listReferrers answers end-12a and end-12b.
func (r *Registry) listReferrers(w http.ResponseWriter, q *http.Request, p place) error {
	all, err := r.store.referrers(p.repo, p.ref)
	if err != nil {
		return err
	}
	query := q.URL.Query()
	limit, last, err := page(query)
	if err != nil {
		return err
	}
	if kind := query.Get("artifactType"); kind != "" {
		all = slices.DeleteFunc(all, func(d descriptor) bool { return d.ArtifactType != kind })
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	all = slices.DeleteFunc(all, func(d descriptor) bool { return last != "" && d.Digest <= last })
	shown, err := fitting(all, limit)
	if err != nil {
		return err
	}
	if len(shown) > 0 && len(shown) < len(all) {
		next(w, q, limit, shown[len(shown)-1].Digest)
	}
	w.Header().Set("Content-Type", typeIndex)
	reply(w, http.StatusOK, map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": shown})
	return nil
}

// fitting is as many of the descriptors as make an answer of bounded size, at
// least one.
func fitting(all []descriptor, limit int) ([]descriptor, error) {
	shown, bytes := []descriptor{}, 0
	for _, d := range all[:min(len(all), limit)] {
		text, err := json.Marshal(d)
		if err != nil {
			return nil, err
		}
		if bytes += len(text); bytes > maxPageBytes && len(shown) > 0 {
			break
		}
		shown = append(shown, d)
	}
	return shown, nil
}

// page reads n and last, of which the first is bounded.
func page(query url.Values) (limit int, last string, err error) {
	limit = maxPage
	if text := query.Get("n"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return 0, "", faultf(http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "n=%.20s is no number of entries", text)
		}
		limit = min(n, maxPage)
	}
	return limit, query.Get("last"), nil
}

// next tells where a list goes on (RFC 8288).
func next(w http.ResponseWriter, q *http.Request, limit int, last string) {
	query := q.URL.Query()
	query.Set("n", strconv.Itoa(limit))
	query.Set("last", last)
	at := url.URL{Path: q.URL.Path, RawQuery: query.Encode()}
	w.Header().Set("Link", "<"+at.String()+`>; rel="next"`)
}
