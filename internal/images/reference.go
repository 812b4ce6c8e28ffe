package images

import (
	"regexp"
	"strings"
)

// The parts of a reference (OCI distribution specification 1.1, "Pulling
// manifests").
var (
	repositoryForm = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagForm        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	digestForm     = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// maxReference bounds a reference, in bytes.
const maxReference = 1000

// Reference names an image, as docker reads it.
type Reference struct {
	Host       string // host or host:port; docker.io where none is written
	Repository string // library/nginx
	Tag        string // latest where neither is written; empty beside a Digest alone
	Digest     string // sha256:…, or empty
	// Short is the repository as it was written, its host included.
	Short string
}

// ParseReference reads nginx, nginx:1.27, ann/shop@sha256:…, and any of them
// behind a host. It reports false for what names no image.
func ParseReference(text string) (Reference, bool) {
	var r Reference
	if len(text) > maxReference {
		return r, false
	}
	rest, digest, pinned := strings.Cut(text, "@")
	if pinned && !digestForm.MatchString(digest) {
		return r, false
	}
	r.Digest = digest
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, '/') {
		rest, r.Tag = rest[:colon], rest[colon+1:]
		if !tagForm.MatchString(r.Tag) {
			return r, false
		}
	}
	if r.Tag == "" && !pinned {
		r.Tag = "latest"
	}
	r.Short = rest
	host, repository, has := strings.Cut(rest, "/")
	if !has || !strings.ContainsAny(host, ".:") && host != "localhost" && strings.ToLower(host) == host {
		host, repository = DockerHub, rest
	}
	var err error
	if r.Host, err = hostName(host); err != nil || !repositoryForm.MatchString(repository) {
		return r, false
	}
	if r.Repository = repository; r.Host == DockerHub && !strings.Contains(repository, "/") {
		r.Repository = "library/" + repository
	}
	return r, true
}

// which is the digest, or the tag where there is none.
func (r Reference) which() string {
	if r.Digest != "" {
		return r.Digest
	}
	return r.Tag
}

// String is the reference as it was written, with its tag.
func (r Reference) String() string {
	text := r.Short
	if r.Tag != "" {
		text += ":" + r.Tag
	}
	if r.Digest != "" {
		text += "@" + r.Digest
	}
	return text
}
