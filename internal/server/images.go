package server

import (
	"context"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Images is what this door needs of *controller.Controller for what the
// registry holds.
type Images interface {
	StoredImages(ctx context.Context, caller platform.Caller, app string) (platform.StoredImages, error)
	StoredImage(ctx context.Context, caller platform.Caller, app, digest string) (platform.StoredImage, error)
	CollectImages(ctx context.Context, caller platform.Caller, dryRun bool) (platform.CollectedImages, error)
	SetImageQuota(ctx context.Context, caller platform.Caller, app string, bytes *int64) error
}

func (s *server) listImages(c *call) (answer, error) {
	found, err := s.desk.StoredImages(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	wire := api.Images{Images: make([]api.Image, 0, len(found.Images)), Used: found.Used, Quota: found.Quota}
	for _, image := range found.Images {
		wire.Images = append(wire.Images, wireImage(image))
	}
	return ok(wire)
}

func (s *server) getImage(c *call) (answer, error) {
	image, err := s.desk.StoredImage(c.ctx(), c.caller, c.app(), c.path["digest"])
	if err != nil {
		return answer{}, err
	}
	return ok(wireImage(image))
}

func (s *server) collectImages(c *call) (answer, error) {
	dry := c.body.boolean("dry_run")
	if err := c.body.err(); err != nil {
		return answer{}, err
	}
	dryRun := dry != nil && *dry
	found, err := s.desk.CollectImages(c.ctx(), c.caller, dryRun)
	if err != nil {
		return answer{}, err
	}
	return ok(api.CollectedImages{
		DryRun: dryRun, Manifests: found.Manifests, Layers: found.Layers, Uploads: found.Uploads, Blobs: found.Blobs,
		Repositories: found.Repositories, Bytes: found.Bytes, Skipped: found.Skipped,
	})
}

func (s *server) setImageQuota(c *call) (answer, error) {
	f := c.body
	var bytes *int64
	if f.given("mib") {
		mib, err := strconv.ParseInt(f.optional("mib"), 10, 31)
		if err != nil || mib < 0 {
			f.reject("mib", "Write a number of MiB, or 0 for none.")
		}
		mib <<= 20
		bytes = &mib
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	if err := s.desk.SetImageQuota(c.ctx(), c.caller, c.app(), bytes); err != nil {
		return answer{}, err
	}
	return noContent()
}

func wireImage(i platform.StoredImage) api.Image {
	_, digest, _ := strings.Cut(i.Ref, "@")
	wire := api.Image{
		Image: i.Ref, Digest: digest, Kind: string(i.Kind), Source: i.Source, Missing: i.Missing, Size: i.Size,
		Layers: make([]api.ImageLayer, 0, len(i.Layers)), Attached: make([]api.Attached, 0, len(i.Attached)),
		Builds: append([]string{}, i.Builds...), Releases: append([]int{}, i.Releases...),
	}
	if i.Wasted >= 0 {
		wire.Wasted = &i.Wasted
	}
	for _, layer := range i.Layers {
		wire.Layers = append(wire.Layers, api.ImageLayer{Digest: layer.Digest, Size: layer.Size, Shared: layer.Shared})
	}
	for _, a := range i.Attached {
		wire.Attached = append(wire.Attached, api.Attached{Digest: a.Digest, Type: a.Type, Size: a.Size})
	}
	return wire
}
