package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// storage is the directory as distribution lays it out: blobs by digest for
// all repositories, and in each repository a link to every blob and manifest
// that may be had there by its name. What begins with an underscore is no
// repository. _referrers is our own.
type storage struct{ dir string }

const (
	layersDir    = "_layers/sha256"
	revisionsDir = "_manifests/revisions/sha256"
	tagsDir      = "_manifests/tags"
	uploadsDir   = "_uploads"
	referrersDir = "_referrers"
)

func hexOf(digest string) string { return strings.TrimPrefix(digest, "sha256:") }

func (s storage) root() string            { return filepath.Join(s.dir, "docker/registry/v2") }
func (s storage) repos() string           { return filepath.Join(s.root(), "repositories") }
func (s storage) repo(name string) string { return filepath.Join(s.repos(), name) }
func (s storage) blobDir(digest string) string {
	h := hexOf(digest)
	return filepath.Join(s.root(), "blobs/sha256", h[:2], h)
}
func (s storage) blob(digest string) string { return filepath.Join(s.blobDir(digest), "data") }
func (s storage) layer(repo, digest string) string {
	return filepath.Join(s.repo(repo), layersDir, hexOf(digest), "link")
}

func (s storage) revision(repo, digest string) string {
	return filepath.Join(s.repo(repo), revisionsDir, hexOf(digest), "link")
}

func (s storage) upload(repo, id string) string {
	return filepath.Join(s.repo(repo), uploadsDir, id)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// isMissing is for paths of which a directory may be missing too.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// names are a directory's entries, sorted; none when it is missing.
func names(dir string) ([]string, error) {
	file, err := os.Open(dir)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	found, err := file.Readdirnames(-1)
	slices.Sort(found)
	return found, err
}

// digestsIn are the digests a directory has links of, sorted.
func digestsIn(dir string) ([]string, error) {
	found, err := names(dir)
	var digests []string
	for _, name := range found {
		if digest := "sha256:" + name; isDigest(digest) && exists(filepath.Join(dir, name, "link")) {
			digests = append(digests, digest)
		}
	}
	return digests, err
}

func (s storage) layers(repo string) ([]string, error) {
	return digestsIn(filepath.Join(s.repo(repo), layersDir))
}

func (s storage) revisions(repo string) ([]string, error) {
	return digestsIn(filepath.Join(s.repo(repo), revisionsDir))
}

// tags are the repository's tags in the order of their bytes.
func (s storage) tags(repo string) ([]string, error) {
	found, err := names(filepath.Join(s.repo(repo), tagsDir))
	return slices.DeleteFunc(found, func(tag string) bool { return !exists(s.tag(repo, tag)) }), err
}

func (s storage) tag(repo, tag string) string {
	return filepath.Join(s.repo(repo), tagsDir, tag, "current/link")
}

// tagged is the digest a tag names; empty when there is none.
func (s storage) tagged(repo, tag string) (string, error) {
	text, err := os.ReadFile(s.tag(repo, tag))
	if isMissing(err) {
		return "", nil
	}
	if err == nil && !isDigest(string(text)) {
		return "", nil // a writer that died
	}
	return string(text), err
}

// repositories yields every repository at or below a name, in order; "" is all.
func (s storage) repositories(below string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { s.walk(below, yield) }
}

func (s storage) walk(name string, yield func(string, error) bool) bool {
	entries, err := names(s.repo(name))
	if err != nil {
		return yield("", err)
	}
	if name != "" && slices.ContainsFunc(entries, func(e string) bool { return strings.HasPrefix(e, "_") }) && !yield(name, nil) {
		return false
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry, "_") && !s.walk(filepath.Join(name, entry), yield) {
			return false
		}
	}
	return true
}

// document is what a manifest of any kind says, as far as it matters here.
type document struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Config       *descriptor       `json:"config"`
	Layers       []descriptor      `json:"layers"`
	Manifests    []descriptor      `json:"manifests"`
	Subject      *descriptor       `json:"subject"`
	Annotations  map[string]string `json:"annotations"`
}

// descriptor points at content (OCI image specification 1.1, "Descriptors").
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     json.RawMessage   `json:"platform,omitempty"`
	Data         []byte            `json:"-"`
}

// blobs are the digests of what must be in the repository beside the manifest.
func (d document) blobs() []string {
	var digests []string
	if d.Config != nil {
		digests = append(digests, d.Config.Digest)
	}
	for _, layer := range d.Layers {
		digests = append(digests, layer.Digest)
	}
	return slices.DeleteFunc(digests, func(digest string) bool { return !isDigest(digest) })
}

// children are the manifests of an index.
func (d document) children() []string {
	var digests []string
	for _, child := range d.Manifests {
		if isDigest(child.Digest) {
			digests = append(digests, child.Digest)
		}
	}
	return digests
}

func (d document) isIndex() bool {
	switch d.MediaType {
	case typeIndex, typeDockerList:
		return true
	case typeManifest, typeDockerManifest:
		return false
	}
	return d.Manifests != nil
}

// maxManifest bounds a manifest, in bytes; distribution has the same bound.
const maxManifest = 4 << 20

// read returns the manifest of the digest, wherever it is linked.
func (s storage) read(digest string) (document, []byte, error) {
	file, err := os.Open(s.blob(digest))
	if err != nil {
		return document{}, nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxManifest+1))
	if err != nil {
		return document{}, nil, err
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return document{}, nil, fmt.Errorf("manifest %s: %w", digest, err)
	}
	return d, text, nil
}

// size is how many bytes a blob has.
func (s storage) size(digest string) (int64, error) {
	info, err := os.Stat(s.blob(digest))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// touch makes content young, if it is there: whoever was told of it has a
// whole grace period to name it.
func touch(now time.Time, paths ...string) error {
	for _, path := range paths {
		if err := os.Chtimes(path, now, now); err != nil && !isMissing(err) {
			return err
		}
	}
	return nil
}

// older reports whether a file was last touched before the time; one that is
// not there was not.
func older(path string, than time.Time) bool {
	info, err := os.Stat(path)
	return err == nil && info.ModTime().Before(than)
}

// write puts a file in place whole.
func write(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}
