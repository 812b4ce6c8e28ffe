package sbom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/v1/remote"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/slipway-paas/slipway/internal/platform"
)

// The kinds of document that are attached, by their artifact type.
const (
	TypeSBOM       = "application/vnd.cyclonedx+json"
	TypeProvenance = "application/vnd.in-toto+json"
)

const (
	patience    = 5 * time.Minute // of making one document
	maxDocument = 32 << 20
)

// Options of a Clerk.
type Options struct {
	// Dir is where programs are while they are looked at. It belongs to this
	// one process, which empties it when it starts.
	Dir string
	// Registry is host:port of the platform's registry, by HTTP.
	RegistryAddr, RegistryUser, RegistryPassword string
}

// Clerk attaches documents to images and finds them again. Safe for concurrent
// use; it makes one at a time.
type Clerk struct {
	log       *slog.Logger
	options   Options
	transport http.RoundTripper
	turn      chan struct{} // a token while somebody makes one
}

// New empties o.Dir of what an earlier process left there.
func New(log *slog.Logger, o Options) (*Clerk, error) {
	switch {
	case !filepath.IsAbs(o.Dir):
		return nil, fmt.Errorf("sbom directory %q: must be an absolute path", o.Dir)
	case o.RegistryAddr == "":
		return nil, errors.New("sbom registry: no address")
	}
	if err := os.RemoveAll(o.Dir); err != nil {
		return nil, fmt.Errorf("empty the sbom directory: %w", err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Second, ResponseHeaderTimeout: time.Minute, DisableCompression: true}
	return &Clerk{log: log, options: o, transport: transport, turn: make(chan struct{}, 1)}, nil
}

// Attach attaches the image's SBOM, unless it has one, and its provenance,
// unless origin is nil. The same again attaches nothing more.
func (c *Clerk) Attach(ctx context.Context, ref string, origin *Origin) error {
	if _, err := c.SBOM(ctx, ref); err != nil || origin == nil {
		return err
	}
	text, err := origin.statement(ref)
	if err != nil {
		return err
	}
	return c.attach(ctx, ref, TypeProvenance, text)
}

// SBOM is the document of the image ref, repository@digest; the one attached,
// else one that is made and attached now, which takes a second or some.
func (c *Clerk) SBOM(ctx context.Context, ref string) ([]byte, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text, err := c.Find(ctx, ref, TypeSBOM)
	if !errors.Is(err, platform.ErrNotFound) {
		return text, err
	}
	if text, err = c.make(ctx, ref); err != nil {
		return nil, fmt.Errorf("sbom of %s: %w", ref, err)
	}
	return text, c.attach(ctx, ref, TypeSBOM, text)
}

func (c *Clerk) make(ctx context.Context, ref string) ([]byte, error) {
	digest, err := name.NewDigest(c.options.RegistryAddr+"/"+ref, name.Insecure)
	if err != nil {
		return nil, err
	}
	image, err := ggcr.Image(digest, ggcr.WithContext(ctx), ggcr.WithTransport(c.transport),
		ggcr.WithAuth(&authn.Basic{Username: c.options.RegistryUser, Password: c.options.RegistryPassword}))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.options.Dir, 0o700); err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp(c.options.Dir, "image-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := os.RemoveAll(scratch); err != nil {
			c.log.Warn("programs of an image stayed", "path", scratch, "err", err)
		}
	}()
	found, err := read(ctx, image, scratch)
	if err != nil {
		return nil, err
	}
	return found.document(ref)
}

func (c *Clerk) repository(ref string) (*remote.Repository, string, error) {
	repository, digest, ok := strings.Cut(ref, "@")
	if !ok {
		return nil, "", platform.Invalid("image", "%q is not repository@digest", ref)
	}
	repo, err := remote.NewRepository(c.options.RegistryAddr + "/" + repository)
	if err != nil {
		return nil, "", err
	}
	repo.PlainHTTP = true
	repo.Client = &auth.Client{
		Client:     &http.Client{Transport: c.transport},
		Credential: auth.StaticCredential(c.options.RegistryAddr, auth.Credential{Username: c.options.RegistryUser, Password: c.options.RegistryPassword}),
	}
	return repo, digest, nil
}

// attach pushes a document that refers to the image. Its manifest bears no
// time, so that the same document is the same referrer.
func (c *Clerk) attach(ctx context.Context, ref, kind string, text []byte) error {
	repo, digest, err := c.repository(ref)
	if err != nil {
		return err
	}
	image, err := repo.Resolve(ctx, digest)
	if err != nil {
		return fmt.Errorf("image %s: %w", ref, err)
	}
	layer := content.NewDescriptorFromBytes(kind, text)
	if err := repo.Push(ctx, layer, bytes.NewReader(text)); err != nil && !errors.Is(err, errdef.ErrAlreadyExists) {
		return fmt.Errorf("attach to %s: %w", ref, err)
	}
	_, err = oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, kind, oras.PackManifestOptions{
		Subject: &image, Layers: []ocispec.Descriptor{layer},
		ManifestAnnotations: map[string]string{ocispec.AnnotationCreated: "1970-01-01T00:00:00Z"},
	})
	if err != nil {
		return fmt.Errorf("attach to %s: %w", ref, err)
	}
	return nil
}

// Find is the document of that kind which is attached to the image, or
// ErrNotFound.
func (c *Clerk) Find(ctx context.Context, ref, kind string) ([]byte, error) {
	repo, digest, err := c.repository(ref)
	if err != nil {
		return nil, err
	}
	image, err := repo.Resolve(ctx, digest)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, &platform.NotFoundError{Kind: "Image", ID: ref}
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", ref, err)
	}
	var text []byte
	err = repo.Referrers(ctx, image, kind, func(referrers []ocispec.Descriptor) error {
		for _, one := range referrers {
			if text == nil && one.ArtifactType == kind {
				if text, err = fetch(ctx, repo, one); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil && text == nil {
		err = &platform.NotFoundError{Kind: "Document", ID: kind}
	}
	return text, err
}

// fetch is the one layer of a referrer, proven by its digest.
func fetch(ctx context.Context, repo *remote.Repository, referrer ocispec.Descriptor) ([]byte, error) {
	if referrer.Size > maxDocument {
		return nil, nil
	}
	manifest, err := content.FetchAll(ctx, repo, referrer)
	if err != nil {
		return nil, err
	}
	parsed := decode[ocispec.Manifest](bytes.NewReader(manifest))
	if parsed == nil || len(parsed.Layers) != 1 || parsed.Layers[0].Size > maxDocument {
		return nil, nil
	}
	blob, err := repo.Fetch(ctx, parsed.Layers[0])
	if err != nil {
		return nil, err
	}
	defer func() { _ = blob.Close() }()
	return content.ReadAll(io.LimitReader(blob, maxDocument), parsed.Layers[0])
}
