package server_test

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
)

func (m *memoryDesk) StoredImages(ctx context.Context, caller platform.Caller, app string) (platform.StoredImages, error) {
	if err := m.May(ctx, caller, app, platform.RoleViewer); err != nil {
		return platform.StoredImages{}, err
	}
	return platform.StoredImages{Used: 10, Images: []platform.StoredImage{memoryImage}}, nil
}

var memoryImage = platform.StoredImage{
	Ref: "blog@sha256:00", Kind: platform.ImageSlug, Size: 10, Wasted: -1, Releases: []int{2},
	Layers: []platform.StoredLayer{{Digest: "sha256:01", Size: 10}}, Attached: []platform.Attachment{{Digest: "sha256:02", Type: "a/b"}},
}

func (m *memoryDesk) StoredImage(ctx context.Context, caller platform.Caller, app, digest string) (platform.StoredImage, error) {
	if err := m.May(ctx, caller, app, platform.RoleViewer); err != nil {
		return platform.StoredImage{}, err
	}
	if digest != "sha256:00" {
		return platform.StoredImage{}, platform.ErrNotFound
	}
	return memoryImage, nil
}

func (m *memoryDesk) CollectImages(_ context.Context, caller platform.Caller, _ bool) (platform.CollectedImages, error) {
	if !caller.Admin || caller.Scope.Bounded() {
		return platform.CollectedImages{}, platform.ErrForbidden
	}
	return platform.CollectedImages{Blobs: 1}, nil
}

func (m *memoryDesk) SetImageQuota(ctx context.Context, caller platform.Caller, app string, _ *int64) error {
	if !caller.Admin || caller.Scope.Bounded() {
		return platform.ErrForbidden
	}
	return m.May(ctx, caller, app, platform.RoleViewer)
}
