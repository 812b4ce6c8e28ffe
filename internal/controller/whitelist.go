package controller

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Whitelist lists the addresses and networks the app is served to; empty: all.
func (c *Controller) Whitelist(ctx context.Context, caller platform.Caller, app string) ([]string, error) {
	return nil, errUnbuilt
}

// AddWhitelist adds addresses and returns all. ErrConflict when all are there.
func (c *Controller) AddWhitelist(ctx context.Context, caller platform.Caller, app string, addresses []string) ([]string, error) {
	return nil, errUnbuilt
}

// RemoveWhitelist removes addresses. ErrUnprocessable when one is not there.
func (c *Controller) RemoveWhitelist(ctx context.Context, caller platform.Caller, app string, addresses []string) error {
	return errUnbuilt
}
