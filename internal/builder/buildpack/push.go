package buildpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
	stacks "github.com/slipway-paas/slipway/internal/stack"
)

// push lays the slug above the platform's stack, if it has one, uploads what
// the registry does not have yet and returns repository@digest. What it has of
// the stack it is told to use, and sent nothing.
func (b *Builder) push(ctx context.Context, r builder.Request, layer slug, processes map[string]string, below string) (string, error) {
	base, err := b.base(ctx, below)
	if err != nil {
		return "", err
	}
	image, err := stacks.Compose(base, stacks.Slug{App: r.App, Processes: processes, Layers: []v1.Layer{fileLayer{layer}}})
	if err != nil {
		return "", err
	}
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	ref, err := name.NewDigest(b.options.RegistryAddr+"/"+r.App+"@"+digest.String(), name.Insecure)
	if err != nil {
		return "", err
	}
	return r.App + "@" + digest.String(), remote.Write(ref, image, b.remote(ctx)...)
}

func (b *Builder) remote(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithTransport(b.transport),
		remote.WithAuth(&authn.Basic{Username: b.options.RegistryUser, Password: b.options.RegistryPassword}),
	}
}

// below is the stack in force: repository@digest, or empty.
func (b *Builder) below(ctx context.Context) (string, error) {
	if b.options.Stack == nil {
		return "", nil
	}
	return b.options.Stack(ctx)
}

// base is the stack of that name, or nil for none.
func (b *Builder) base(ctx context.Context, ref string) (*stacks.Base, error) {
	if ref == "" {
		return nil, nil
	}
	digest, err := name.NewDigest(b.options.RegistryAddr+"/"+ref, name.Insecure)
	if err != nil {
		return nil, fmt.Errorf("stack %s: %w", ref, err)
	}
	image, err := remote.Image(digest, b.remote(ctx)...)
	var refused *transport.Error
	if errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound {
		return nil, &platform.UserError{
			Kind:    platform.ErrUnavailable,
			Message: "the platform's stack " + ref + " is not in its registry any more",
			Cure:    "Ask the platform's administrator to run `slipway stack build`, or `slipway stack use` with another, then push again.",
		}
	}
	if err != nil {
		return nil, fmt.Errorf("stack %s: %w", ref, err)
	}
	return &stacks.Base{Ref: ref, Image: image}, nil
}

// fileLayer is a slug as a layer of an image.
type fileLayer struct{ slug slug }

var _ v1.Layer = fileLayer{}

func (l fileLayer) Digest() (v1.Hash, error) {
	return v1.Hash{Algorithm: "sha256", Hex: l.slug.digest}, nil
}

func (l fileLayer) DiffID() (v1.Hash, error) {
	return v1.Hash{Algorithm: "sha256", Hex: l.slug.diffID}, nil
}

func (l fileLayer) Size() (int64, error)                { return l.slug.size, nil }
func (l fileLayer) MediaType() (types.MediaType, error) { return types.OCILayerZStd, nil }
func (l fileLayer) Compressed() (io.ReadCloser, error)  { return os.Open(l.slug.path) }

func (l fileLayer) Uncompressed() (io.ReadCloser, error) {
	file, err := os.Open(l.slug.path)
	if err != nil {
		return nil, err
	}
	plain, err := zstd.NewReader(file)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return closer{plain, file, plain}, nil
}

type closer struct {
	io.Reader
	file  *os.File
	plain *zstd.Decoder
}

func (c closer) Close() error {
	c.plain.Close()
	return c.file.Close()
}
