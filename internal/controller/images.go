package controller

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
)

// NewBuild is an image that somebody names.
type NewBuild struct {
	Image, SHA, Dockerfile string
	Procfile               map[string]string
}

// CreateBuild deploys an image as a new release and returns both once it serves.
func (c *Controller) CreateBuild(ctx context.Context, caller platform.Caller, app string, build NewBuild) (platform.Build, platform.Release, error) {
	return platform.Build{}, platform.Release{}, errUnbuilt
}
