package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Options of Stacks. Zero values mean what is said in brackets.
type Options struct {
	// Dir is where stacks are made. It belongs to this one process, which
	// empties it when it starts.
	Dir string
	// Registry is host:port of the platform's registry, by HTTP.
	RegistryAddr, RegistryUser, RegistryPassword string
	// Timeout ends the making of a stack [30 min].
	Timeout time.Duration
}

// Stacks makes stacks, checks them, and puts slugs on others. Safe for
// concurrent use.
type Stacks struct {
	log       *slog.Logger
	options   Options
	transport http.RoundTripper
}

// New empties o.Dir of what an earlier process left there.
func New(log *slog.Logger, o Options) (*Stacks, error) {
	switch {
	case !filepath.IsAbs(o.Dir):
		return nil, fmt.Errorf("stack directory %q: must be an absolute path", o.Dir)
	case o.RegistryAddr == "":
		return nil, errors.New("stack registry: no address")
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Minute
	}
	if err := os.RemoveAll(o.Dir); err != nil {
		return nil, fmt.Errorf("empty the stack directory: %w", err)
	}
	return &Stacks{log: log, options: o, transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		MaxIdleConnsPerHost:   2,
		IdleConnTimeout:       10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		DisableCompression:    true,
	}}, nil
}

func (s *Stacks) remote(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx), remote.WithTransport(s.transport),
		remote.WithAuth(&authn.Basic{Username: s.options.RegistryUser, Password: s.options.RegistryPassword}),
	}
}

// image is one of the platform's registry: repository@digest, or repository:tag.
func (s *Stacks) image(ctx context.Context, ref string) (v1.Image, error) {
	at, err := name.ParseReference(s.options.RegistryAddr+"/"+ref, name.Insecure)
	if err != nil {
		return nil, platform.Invalid("image", "%q is no image of the platform's registry: %v", ref, err)
	}
	image, err := remote.Image(at, s.remote(ctx)...)
	var refused *transport.Error
	if errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound {
		return nil, &platform.NotFoundError{Kind: "Image", ID: ref}
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", ref, err)
	}
	return image, nil
}

// push writes image to a repository under its digest, and a tag unless empty.
// It returns repository@digest.
func (s *Stacks) push(ctx context.Context, repository, tag string, image v1.Image) (string, error) {
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	to, err := name.NewRepository(s.options.RegistryAddr+"/"+repository, name.Insecure)
	if err != nil {
		return "", err
	}
	if err := remote.Write(to.Digest(digest.String()), image, s.remote(ctx)...); err != nil {
		return "", err
	}
	if tag != "" {
		if err := remote.Tag(to.Tag(tag), image, s.remote(ctx)...); err != nil {
			return "", err
		}
	}
	return repository + "@" + digest.String(), nil
}

// Rebased is a slug's image on another stack.
type Rebased struct {
	Image string // repository@digest
	Stack string // what it is on now; empty: bare
	Size  int64  // compressed bytes of the slug's layers
}

// Rebase lays the slug of ref, an image in the registry, above another stack,
// below empty: above none. Nothing is built, and of layers nothing is sent: the
// registry has them. The same again gives the same image. An image that is no
// slug's is ErrInvalid.
func (s *Stacks) Rebase(ctx context.Context, ref, below string) (Rebased, error) {
	image, err := s.image(ctx, ref)
	if err != nil {
		return Rebased{}, err
	}
	slug, err := Split(image)
	if err != nil {
		return Rebased{}, fmt.Errorf("image %s: %w", ref, err)
	}
	var base *Base
	if below != "" {
		base = &Base{Ref: below}
		if base.Image, err = s.image(ctx, below); err != nil {
			return Rebased{}, fmt.Errorf("stack %s: %w", below, err)
		}
	}
	composed, err := Compose(base, slug)
	if err != nil {
		return Rebased{}, err
	}
	repository, _, _ := strings.Cut(ref, "@")
	made := Rebased{Stack: below}
	if made.Image, err = s.push(ctx, repository, "", composed); err != nil {
		return Rebased{}, fmt.Errorf("push the image of %s: %w", repository, err)
	}
	made.Size, err = layersSize(slug.Layers)
	return made, err
}

func layersSize(layers []v1.Layer) (total int64, err error) {
	for _, layer := range layers {
		size, err := layer.Size()
		if err != nil {
			return 0, err
		}
		total += size
	}
	return total, nil
}
