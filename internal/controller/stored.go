package controller

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// Shelf is what the controller asks of the platform's registry; *registry.Registry
// is one, and its comments are the contract.
type Shelf interface {
	Inspect(ctx context.Context, images []string, deep bool) ([]platform.StoredImage, error)
	Used(app string) (int64, error)
	Collect(ctx context.Context, dryRun bool) (platform.CollectedImages, error)
}

var errNoShelf = &platform.UserError{Kind: platform.ErrConflict, Message: "this platform has no registry of its own"}

// StoredImages lists the images of the app's builds, newest first, as the
// registry has them. What is wasted is told of those that StoredImage was
// asked for before.
func (c *Controller) StoredImages(ctx context.Context, caller platform.Caller, app string) (platform.StoredImages, error) {
	var found platform.StoredImages
	if c.shelf == nil {
		return found, errNoShelf
	}
	used, err := read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) (_ []platform.StoredImage, err error) {
		if found.Quota, err = c.imageQuota(tx, app); err != nil {
			return nil, err
		}
		return imagesOf(tx, app)
	})
	if err != nil {
		return found, err
	}
	if found.Images, err = c.inspect(ctx, used, false); err != nil {
		return found, err
	}
	found.Used, err = c.shelf.Used(app)
	return found, err
}

// StoredImage is one of them, by its digest, and what of it is wasted: that
// reads its layers, unless they were read before.
func (c *Controller) StoredImage(ctx context.Context, caller platform.Caller, app, digest string) (platform.StoredImage, error) {
	if c.shelf == nil {
		return platform.StoredImage{}, errNoShelf
	}
	used, err := read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) ([]platform.StoredImage, error) {
		return imagesOf(tx, app)
	})
	if err != nil {
		return platform.StoredImage{}, err
	}
	used = slices.DeleteFunc(used, func(i platform.StoredImage) bool { return digestPart(i.Ref) != digest })
	if len(used) == 0 {
		return platform.StoredImage{}, &platform.NotFoundError{Kind: "Image", ID: digest}
	}
	found, err := c.inspect(ctx, used[:1], true)
	if err != nil {
		return platform.StoredImage{}, err
	}
	return found[0], nil
}

func digestPart(ref string) string {
	_, digest, _ := strings.Cut(ref, "@")
	return digest
}

// imagesOf are the images of the app's builds with what uses them.
func imagesOf(tx *store.Tx, app string) ([]platform.StoredImage, error) {
	var found []platform.StoredImage
	at, of := make(map[string]int), make(map[string]int) // by image, by build
	err := pages(func(page platform.Page) ([]platform.Build, int, error) { return tx.Builds(app, page) }, func(b platform.Build) bool {
		i, known := at[b.Image]
		if !known {
			i = len(found)
			at[b.Image] = i
			found = append(found, platform.StoredImage{Ref: b.Image, Kind: b.Kind, Source: b.Source})
		}
		found[i].Builds = append(found[i].Builds, b.UUID)
		of[b.UUID] = i
		return true
	})
	if err != nil {
		return nil, err
	}
	err = pages(func(page platform.Page) ([]platform.Release, int, error) { return tx.Releases(app, page) }, func(r platform.Release) bool {
		if i, known := of[r.Build]; known {
			found[i].Releases = append(found[i].Releases, r.Version)
		}
		return true
	})
	for i := range found {
		slices.Sort(found[i].Releases)
	}
	return found, err
}

// inspect adds what the registry knows.
func (c *Controller) inspect(ctx context.Context, used []platform.StoredImage, deep bool) ([]platform.StoredImage, error) {
	refs := make([]string, len(used))
	for i, image := range used {
		refs[i] = image.Ref
	}
	stored, err := c.shelf.Inspect(ctx, refs, deep)
	for i := range stored {
		u := used[i]
		stored[i].Builds, stored[i].Releases, stored[i].Kind, stored[i].Source = u.Builds, u.Releases, u.Kind, u.Source
	}
	return stored, err
}

// CollectImages removes from the registry what nothing needs, or tells what
// that would be. For superusers.
func (c *Controller) CollectImages(ctx context.Context, caller platform.Caller, dryRun bool) (platform.CollectedImages, error) {
	if err := administers(caller, "collecting images"); err != nil {
		return platform.CollectedImages{}, err
	}
	if c.shelf == nil {
		return platform.CollectedImages{}, errNoShelf
	}
	found, err := c.shelf.Collect(ctx, dryRun)
	if err != nil || dryRun {
		return found, err
	}
	return found, c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		attrs := map[string]string{"manifests": strconv.Itoa(found.Manifests), "blobs": strconv.Itoa(found.Blobs), "bytes": strconv.FormatInt(found.Bytes, 10)}
		return tx.InsertEvent(event(caller, "images.collected", "", attrs))
	})
}

// imageQuota is how many bytes the app's images may hold; 0: any number.
func (c *Controller) imageQuota(tx *store.Tx, app string) (int64, error) {
	bytes, said, err := tx.ImageQuota(app)
	if err == nil && !said {
		bytes = c.options.ImageQuota
	}
	return bytes, err
}

// ImageQuota is that for the registry, which asks at each push. An app that is
// not there may hold what the default allows.
func (c *Controller) ImageQuota(ctx context.Context, app string) (bytes int64, err error) {
	err = c.store.Read(ctx, func(tx *store.Tx) (err error) {
		bytes, err = c.imageQuota(tx, app)
		return err
	})
	return bytes, err
}

// SetImageQuota bounds what the app's images may hold, in bytes; 0 is any
// number, and nil what the platform's options say. For superusers.
func (c *Controller) SetImageQuota(ctx context.Context, caller platform.Caller, app string, bytes *int64) error {
	if bytes != nil && (*bytes < 0 || *bytes > 1<<50) {
		return platform.Invalid("mib", "A quota is a number of MiB, or 0 for none.")
	}
	return c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if err := administers(caller, "the image quota"); err != nil {
			return err
		}
		if _, err := tx.App(app); err != nil {
			return err
		}
		if err := tx.SetImageQuota(app, bytes); err != nil {
			return err
		}
		value := "default"
		if bytes != nil {
			value = strconv.FormatInt(*bytes, 10)
		}
		return tx.InsertEvent(event(caller, "quota.changed", app, map[string]string{"images": value}))
	})
}
