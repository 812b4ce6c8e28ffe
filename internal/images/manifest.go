package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"slices"
	"strings"
)

// Bounds of what a registry may hand out as an image, whatever its size.
const (
	maxManifest = 4 << 20 // of the OCI distribution specification, "Pushing manifests"
	maxConfig   = 4 << 20
	maxLayers   = 256
	maxDepth    = 2 // an index of indexes, and no further
)

// Media types of manifests (OCI image specification 1.1, "Media types", and
// docker's schema 2, which says the same in its own words).
const (
	typeIndex          = "application/vnd.oci.image.index.v1+json"
	typeManifest       = "application/vnd.oci.image.manifest.v1+json"
	typeConfig         = "application/vnd.oci.image.config.v1+json"
	typeDockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerConfig   = "application/vnd.docker.container.image.v1+json"
)

var manifestTypes = []string{typeIndex, typeManifest, typeDockerIndex, typeDockerManifest}

// layerTypes are what runtimes unpack.
var layerTypes = []string{
	"application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd",
	"application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.docker.image.rootfs.diff.tar.zstd",
}

// descriptor points to a blob or a manifest.
type descriptor struct {
	MediaType string   `json:"mediaType"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	URLs      []string `json:"urls"`
	Platform  *system  `json:"platform"`
}

// system is what a manifest of an index is for.
type system struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

func (s system) String() string {
	text := s.OS + "/" + s.Architecture
	if s.Variant != "" {
		text += "/" + s.Variant
	}
	return text
}

// document is a manifest or an index, before it is known which.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Config        *descriptor       `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Manifests     []descriptor      `json:"manifests"`
	FSLayers      []json.RawMessage `json:"fsLayers"`

	digest string
	text   []byte
}

// source is a repository that images are read from.
type source interface {
	// manifest is by tag or digest; what it answers for a digest has it.
	manifest(ctx context.Context, which string) (*document, error)
	// small reads a blob whole; what it answers has the descriptor's digest.
	small(ctx context.Context, blob descriptor, most int64) ([]byte, error)
}

// manifest asks for a manifest and holds it against its digest.
func (r *remote) manifest(ctx context.Context, which string) (*document, error) {
	text, header, err := r.document(ctx, "manifests/"+which, maxManifest, manifestTypes...)
	if err != nil {
		return nil, err
	}
	digest := digestOf(text)
	switch claimed := header.Get("Docker-Content-Digest"); {
	case digestForm.MatchString(which) && digest != which:
		return nil, r.garbled("hands out %s for %s", digest, which)
	case strings.HasPrefix(claimed, "sha256:") && claimed != digest:
		return nil, r.garbled("says that %s has the digest %s", which, claimed)
	}
	return r.read(text, digest, header.Get("Content-Type"))
}

// read parses what was handed out, which says in itself what it is: who takes
// it for one thing and who takes it for another must not both be right.
func (r *remote) read(text []byte, digest, header string) (*document, error) {
	d := &document{digest: digest, text: text}
	if err := json.Unmarshal(text, d); err != nil {
		return nil, r.garbled("hands out a manifest that is not JSON")
	}
	header, _, _ = mime.ParseMediaType(header)
	switch {
	case d.SchemaVersion == 1 || len(d.FSLayers) > 0:
		return nil, unfitf("has a manifest of docker's schema 1, which nothing reads any more: push it again with a docker of today")
	case d.Config != nil && d.Manifests != nil, d.Config == nil && d.Manifests == nil:
		return nil, r.garbled("hands out a manifest that is neither an image nor an index")
	case d.MediaType == "" && slices.Contains(manifestTypes, header):
		d.MediaType = header
	case d.MediaType == "" && d.Manifests != nil:
		d.MediaType = typeIndex
	case d.MediaType == "":
		d.MediaType = typeManifest
	}
	if index := d.MediaType == typeIndex || d.MediaType == typeDockerIndex; !slices.Contains(manifestTypes, d.MediaType) || index != (d.Manifests != nil) {
		return nil, r.garbled("hands out a manifest that is not what it says")
	}
	return d, nil
}

// resolve is the manifest of the image for this kind of machine, as an index
// leads to it or not.
func resolve(ctx context.Context, from source, which string, machine system) (*document, error) {
	for range maxDepth + 1 {
		d, err := from.manifest(ctx, which)
		if err != nil || d.Manifests == nil {
			return d, err
		}
		next, err := pick(d.Manifests, machine)
		if err != nil {
			return nil, err
		}
		which = next
	}
	return nil, unfitf("is an index of indexes of indexes")
}

// pick is the digest of what an index has for this kind of machine.
func pick(manifests []descriptor, machine system) (string, error) {
	best, rank := "", 0
	var others []string
	for _, m := range manifests {
		if !digestForm.MatchString(m.Digest) || m.Platform != nil && m.Platform.OS == "unknown" {
			continue // an attestation
		}
		if m.Platform == nil {
			m.Platform = &system{}
		}
		fits := suits(*m.Platform, machine)
		if fits > rank {
			best, rank = m.Digest, fits
		}
		if fits == 0 && len(others) < 20 {
			others = append(others, m.Platform.String())
		}
	}
	if best == "" {
		return "", otherMachine(machine, strings.Join(others, ", "))
	}
	return best, nil
}

func otherMachine(machine system, others string) error {
	if others == "" {
		others = "nothing"
	}
	return unfitf("is not for %s, which this platform's machines are, but for %s", machine, others)
}

// suits says how well what is for one kind of machine runs on another: 0 not,
// 1 if it is what it does not say.
func suits(s, machine system) int {
	switch {
	case s == system{}:
		return 1
	case s.OS != machine.OS || s.Architecture != machine.Architecture:
		return 0
	case s.Variant == usualVariant[s.Architecture]:
		return 4
	case s.Variant == "":
		return 3
	case s.Architecture == "arm" && s.Variant == "v6":
		return 2
	}
	return 0
}

// usualVariant is what is meant where no variant is written.
var usualVariant = map[string]string{"arm64": "v8", "arm": "v7", "amd64": "v1"}

// check looks at all that a manifest says of its parts, before any is fetched.
func (d *document) check(most int64) error {
	switch {
	case d.Config.MediaType != typeConfig && d.Config.MediaType != typeDockerConfig:
		return unfitf("is no container image: its config is of the type %.100q", d.Config.MediaType)
	case !digestForm.MatchString(d.Config.Digest) || d.Config.Size <= 0 || d.Config.Size > maxConfig:
		return unfitf("has a manifest that lies: its config is %s, %d bytes", shorten(d.Config.Digest), d.Config.Size)
	case len(d.Layers) == 0:
		return unfitf("has no layers, and so nothing to run")
	case len(d.Layers) > maxLayers:
		return unfitf("has %d layers, %d are allowed: squash some", len(d.Layers), maxLayers)
	}
	var size int64
	for i, layer := range d.Layers {
		switch {
		case len(layer.URLs) > 0 || strings.Contains(layer.MediaType, "foreign") || strings.Contains(layer.MediaType, "nondistributable"):
			return unfitf("has a foreign layer (number %d), which its registry does not hand out", i+1)
		case !slices.Contains(layerTypes, layer.MediaType):
			return unfitf("has a layer (number %d) of the type %.100q, which nothing here unpacks", i+1, layer.MediaType)
		case !digestForm.MatchString(layer.Digest) || layer.Size <= 0:
			return unfitf("has a manifest that lies: its layer %d is %s, %d bytes", i+1, shorten(layer.Digest), layer.Size)
		}
		if size += layer.Size; size > most || size < 0 {
			return unfitf("is larger than the %s this platform allows (--max-image): its layers are %s and more", sizeText(most), sizeText(size))
		}
	}
	return nil
}

// size is that of all layers.
func (d *document) size() (size int64) {
	for _, layer := range d.Layers {
		size += layer.Size
	}
	return size
}

// small reads a blob whole and holds it against its descriptor.
func (r *remote) small(ctx context.Context, blob descriptor, most int64) ([]byte, error) {
	text, _, err := r.document(ctx, blobPath(blob.Digest), min(blob.Size, most))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) != blob.Size || digestOf(text) != blob.Digest {
		return nil, r.garbled("hands out something else for %s", shorten(blob.Digest))
	}
	return text, nil
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// shorten is a digest as errors show it.
func shorten(digest string) string {
	if digestForm.MatchString(digest) {
		return digest[:19]
	}
	return fmt.Sprintf("%.30q", digest)
}
