package images

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-paas/slipway/internal/platform"
)

// blobJobs is how many blobs of one image are copied at once.
const blobJobs = 3

// take finds the image in a source and copies it into the repository of the
// platform's registry. Blobs it has already stay; the manifest comes last, so
// that what cannot be had whole leaves blobs that nothing names.
func (p *Puller) take(ctx context.Context, from *remote, which, into string, out io.Writer) (platform.Image, error) {
	var d *document
	err := again(ctx, p.options.pause, func() (err error) {
		d, err = resolve(ctx, from, which, p.machine())
		return err
	})
	if err != nil {
		return platform.Image{}, err
	}
	image, text, err := p.inspect(ctx, from, d)
	if err != nil {
		return platform.Image{}, err
	}
	how := tell(out, from.host, d, p.options.Every)
	err = p.copyParts(ctx, from, d, text, into, how)
	how.end()
	if err == nil {
		err = p.shelf.putManifest(ctx, into, d)
	}
	image.Ref = into + "@" + d.digest
	return image, err
}

func (p *Puller) machine() system { return system{OS: "linux", Architecture: p.options.Architecture} }

// inspect checks the manifest and reads the config.
func (p *Puller) inspect(ctx context.Context, from source, d *document) (platform.Image, []byte, error) {
	if err := d.check(p.options.MaxBytes); err != nil {
		return platform.Image{}, nil, err
	}
	var text []byte
	err := again(ctx, p.options.pause, func() (err error) {
		text, err = from.small(ctx, *d.Config, maxConfig)
		return err
	})
	if err != nil {
		return platform.Image{}, nil, err
	}
	image, err := readConfig(text, d, p.machine())
	return image, text, err
}

// copyParts copies the layers, then the config.
func (p *Puller) copyParts(ctx context.Context, from *remote, d *document, config []byte, into string, how *story) error {
	work, all := errgroup.WithContext(ctx)
	work.SetLimit(blobJobs)
	for _, layer := range unique(d.Layers) {
		work.Go(func() error {
			defer how.done.Add(1)
			return p.copyLayer(all, from, layer, into, how)
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	if has, err := p.shelf.has(ctx, into, d.Config.Digest); has || err != nil {
		return err
	}
	return p.shelf.put(ctx, into, *d.Config, bytes.NewReader(config))
}

// unique are layers, each once.
func unique(layers []descriptor) []descriptor {
	seen := make(map[string]bool)
	var once []descriptor
	for _, layer := range layers {
		if !seen[layer.Digest] {
			seen[layer.Digest] = true
			once = append(once, layer)
		}
	}
	return once
}

func (p *Puller) copyLayer(ctx context.Context, from *remote, layer descriptor, into string, how *story) error {
	if has, err := p.shelf.has(ctx, into, layer.Digest); has || err != nil {
		how.bytes.Add(layer.Size)
		return err
	}
	return again(ctx, p.options.pause, func() error {
		answer, err := from.open(ctx, blobPath(layer.Digest))
		if err != nil {
			return from.lost(err, layer)
		}
		defer answer.Body.Close()
		content := &proven{content: answer.Body, left: layer.Size, want: layer.Digest, sum: sha256.New(), from: from}
		var counts io.Reader = counted{content, &how.bytes}
		if err := p.shelf.put(ctx, into, layer, counts); err != nil {
			how.bytes.Add(-(layer.Size - content.left))
			return from.failed(ctx, err)
		}
		return nil
	})
}

// lost says that a registry lacks a layer of an image that it has: it is not
// the image that is missing.
func (r *remote) lost(err error, layer descriptor) error {
	var f *fault
	if errors.As(err, &f) && f.why == missing {
		return r.garbled("lacks the layer %s of it", shorten(layer.Digest))
	}
	return err
}

// proven is what a registry hands out for a blob, up to its size. It ends well
// only if it is the blob.
type proven struct {
	content io.Reader
	left    int64
	want    string
	sum     hash.Hash
	from    *remote
}

func (v *proven) Read(p []byte) (int, error) {
	if v.left == 0 {
		return 0, v.verdict()
	}
	n, err := v.content.Read(p[:min(int64(len(p)), v.left)])
	v.left -= int64(n)
	v.sum.Write(p[:n])
	switch {
	case err == io.EOF && v.left > 0: //nolint:errorlint // as io.Reader has it
		err = &fault{why: broken, host: v.from.host, text: "ended in the middle of the layer " + shorten(v.want), passing: true}
	case err == io.EOF || err == nil && v.left == 0: //nolint:errorlint // as above
		err = v.verdict()
	case err != nil && cutOff(err):
		err = &fault{why: broken, host: v.from.host, text: "broke off in the middle of the layer " + shorten(v.want), passing: true}
	}
	return n, err
}

// verdict is io.EOF for the blob, and an error for anything else.
func (v *proven) verdict() error {
	if "sha256:"+hex.EncodeToString(v.sum.Sum(nil)) != v.want {
		return v.from.garbled("hands out something else for the layer %s", shorten(v.want))
	}
	return io.EOF
}
