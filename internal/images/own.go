package images

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Own is an image of the platform's own registry, by tag or digest of a
// repository of it, pinned in the repository into, where it is put if that is
// another: without a copy, for both have the same blobs. Who may read the one
// and write the other is for the caller to know. ErrNotFound when there is
// none; ErrInvalid when it is none that could run.
func (p *Puller) Own(ctx context.Context, repository, which, into string) (platform.Image, error) {
	ref := Reference{Short: repository, Repository: repository, Tag: which}
	if digestForm.MatchString(which) {
		ref.Tag, ref.Digest = "", which
	} else if !tagForm.MatchString(which) || !repositoryForm.MatchString(repository) {
		return platform.Image{}, platform.Invalid("image", "The given image is invalid")
	}
	ctx, end := context.WithTimeoutCause(ctx, p.options.Timeout, errTooSlow)
	defer end()
	image, err := p.adopt(ctx, p.shelf.own(repository), which, into)
	var f *fault
	switch {
	case err == nil:
		return image, nil
	case !errors.As(err, &f):
		return platform.Image{}, p.word(ref, err)
	case f.why == missing:
		return platform.Image{}, fmt.Errorf("image %s: %w", ref, platform.ErrNotFound)
	}
	return platform.Image{}, fmt.Errorf("image %s: %w: %w", ref, f, platform.ErrUnavailable)
}

func (p *Puller) adopt(ctx context.Context, from *remote, which, into string) (platform.Image, error) {
	d, err := resolve(ctx, from, which, p.machine())
	if err != nil {
		return platform.Image{}, err
	}
	image, _, err := p.inspect(ctx, from, d)
	if err != nil {
		return platform.Image{}, err
	}
	if into != from.repository {
		if err := p.mountParts(ctx, from, d, into); err != nil {
			return platform.Image{}, err
		}
	}
	image.Ref = into + "@" + d.digest
	return image, nil
}

// mountParts makes the image one of another repository.
func (p *Puller) mountParts(ctx context.Context, from *remote, d *document, into string) error {
	work, all := errgroup.WithContext(ctx)
	work.SetLimit(blobJobs)
	for _, blob := range unique(append([]descriptor{*d.Config}, d.Layers...)) {
		work.Go(func() error {
			done, err := p.shelf.has(all, into, blob.Digest)
			if done || err != nil {
				return err
			}
			if done, err = p.shelf.mount(all, into, blob.Digest, from.repository); done || err != nil {
				return err
			}
			return p.copyLayer(all, from, blob, into, &story{out: io.Discard})
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	return p.shelf.putManifest(ctx, into, d)
}
