package registry

import (
	"net/http"
	"regexp"
	"strings"
)

// kind is which endpoint of the specification a path leads to.
type kind int

const (
	nowhere   kind = iota
	base           // end-1
	catalog        // of distribution's own API
	blob           // end-2, end-10
	manifest       // end-3, end-7, end-9
	start          // end-4a, end-4b, end-11
	upload         // end-5, end-6, end-13
	tagList        // end-8a, end-8b
	referrers      // end-12a, end-12b
)

// place is what a path names.
type place struct {
	kind kind
	repo string
	ref  string // tag, digest or upload id
}

// methods are those of each endpoint.
var methods = map[kind][]string{
	base: {"GET", "HEAD"}, catalog: {"GET"}, blob: {"GET", "HEAD", "DELETE"},
	manifest: {"GET", "HEAD", "PUT", "DELETE"}, start: {"POST"}, upload: {"GET", "HEAD", "PATCH", "PUT", "DELETE"},
	tagList: {"GET"}, referrers: {"GET"},
}

var (
	nameForm   = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagForm    = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	uploadForm = regexp.MustCompile(`^[a-zA-Z0-9-]{1,64}$`)
)

const maxName = 255

func isDigest(text string) bool { return digestForm.MatchString(text) }

// find reads a path from its end, for a repository's name may hold any word.
func find(path string) place {
	rest, ok := strings.CutPrefix(path, "/v2/")
	switch {
	case path == "/v2" || ok && rest == "":
		return place{kind: base}
	case rest == "_catalog":
		return place{kind: catalog}
	}
	words := strings.Split(rest, "/")
	if n := len(words); n >= 3 {
		repo := func(tail int) string { return strings.Join(words[:n-tail], "/") }
		last := words[n-1]
		switch {
		case words[n-2] == "manifests":
			return place{manifest, repo(2), last}
		case words[n-2] == "referrers":
			return place{referrers, repo(2), last}
		case words[n-2] == "tags" && last == "list":
			return place{kind: tagList, repo: repo(2)}
		case words[n-2] == "uploads" && words[n-3] == "blobs" && n >= 4:
			if last == "" {
				return place{kind: start, repo: repo(3)}
			}
			return place{upload, repo(3), last}
		case words[n-2] == "blobs" && last == "uploads":
			return place{kind: start, repo: repo(2)}
		case words[n-2] == "blobs":
			return place{blob, repo(2), last}
		}
	}
	return place{}
}

// check refuses what a place may not be called.
func (p place) check(method string) error {
	if p.repo != "" || p.kind >= blob {
		if len(p.repo) > maxName || !nameForm.MatchString(p.repo) {
			return faultf(http.StatusBadRequest, "NAME_INVALID", "%.80q is no name of a repository", p.repo)
		}
	}
	switch p.kind {
	case blob, referrers:
		if !isDigest(p.ref) {
			return badDigest(p.ref)
		}
	case manifest:
		return p.checkReference(method)
	case upload:
		if !uploadForm.MatchString(p.ref) {
			return faultf(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "there is no such upload")
		}
	case nowhere, base, catalog, start, tagList:
	}
	return nil
}

func (p place) checkReference(method string) error {
	switch {
	case isDigest(p.ref) || tagForm.MatchString(p.ref):
		return nil
	case method == http.MethodGet || method == http.MethodHead:
		return unknownManifest(p)
	case strings.Contains(p.ref, ":"):
		return badDigest(p.ref)
	}
	return faultf(http.StatusBadRequest, "MANIFEST_INVALID", "%.80q is no tag: up to 128 of letters, digits, dots, dashes and underscores, none of them but letters, digits and underscores first", p.ref)
}

func badDigest(text string) error {
	return faultf(http.StatusBadRequest, "DIGEST_INVALID", "%.80q is no digest that is kept here: write sha256: and 64 hex digits", text)
}

func unknownManifest(p place) error {
	return faultf(http.StatusNotFound, "MANIFEST_UNKNOWN", "%s has no manifest %.80s", p.repo, p.ref)
}

// app is whose the repository is: the name's first element.
func app(repo string) string {
	first, _, _ := strings.Cut(repo, "/")
	return first
}
