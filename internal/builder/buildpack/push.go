package buildpack

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"runtime"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/slipway-paas/slipway/internal/builder"
)

// Labels of a slug's image. The commit is not among them: the same tree is the
// same image, whichever commits it belongs to.
const (
	LabelApp       = "io.slipway.app"
	LabelProcesses = "io.slipway.process-types" // JSON object: type to command
	LabelStack     = "io.slipway.stack"
)

// push uploads what the registry does not have yet and returns
// repository@digest.
func (b *Builder) push(ctx context.Context, r builder.Request, layer slug, processes map[string]string) (string, error) {
	image, err := assemble(r.App, layer, processes)
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
	err = remote.Write(ref, image,
		remote.WithContext(ctx),
		remote.WithTransport(b.transport),
		remote.WithAuth(&authn.Basic{Username: b.options.RegistryUser, Password: b.options.RegistryPassword}))
	return r.App + "@" + digest.String(), err
}

// assemble makes the image: an empty base and the slug.
func assemble(app string, layer slug, processes map[string]string) (v1.Image, error) {
	declared, err := json.Marshal(processes)
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(base, fileLayer{layer})
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{
		Entrypoint: []string{"/slipway/launch"},
		WorkingDir: "/app",
		Env:        []string{"HOME=/app", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Labels:     map[string]string{LabelApp: app, LabelProcesses: string(declared), LabelStack: stack},
	}
	return mutate.ConfigFile(image, file)
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
