package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/builder/cnb"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/registry"
	"github.com/slipway-paas/slipway/internal/store"
)

// registryUser is the user name of the platform's own credential.
const registryUser = "slipway"

// openRegistry opens the registry with what it asks of the platform, whose
// controller there is once the doors are open.
func (o *options) openRegistry(log *slog.Logger, db *store.Store, users *auth.Auth, password string, p *plane) (*registry.Registry, error) {
	return registry.New(log, registry.Options{
		Dir: o.path("registry"), User: registryUser, Password: password, Grace: o.ImageGrace,
		Login: users.BySecret,
		May: func(ctx context.Context, caller platform.Caller, app string, need platform.Role) error {
			return p.controller.May(ctx, caller, app, need)
		},
		Quota: func(ctx context.Context, app string) (int64, error) { return p.controller.ImageQuota(ctx, app) },
		Release: func(ctx context.Context, app string, version int) (image string, err error) {
			err = db.Read(ctx, func(tx *store.Tx) error {
				image = ""
				release, err := tx.Release(app, version)
				if err != nil || release.Build == "" {
					return err
				}
				build, err := tx.Build(app, release.Build)
				image = build.Image
				return err
			})
			return image, err
		},
		Named: func(ctx context.Context) (named registry.Named, err error) {
			err = db.Read(ctx, func(tx *store.Tx) (err error) {
				if named.Apps, err = tx.AllAppIDs(); err != nil {
					return err
				}
				if named.Images, err = tx.ImagesInUse(o.KeepReleases); err != nil {
					return err
				}
				stacks, err := tx.Stacks()
				for _, stack := range stacks {
					named.Images = append(named.Images, stack.Image)
				}
				return err
			})
			named.Images = append(named.Images, cnb.Pinned(o.path(cnbRoom))...)
			return named, err
		},
	})
}

// collectImages collects garbage from time to time until the end of close.
func collectImages(log *slog.Logger, images *registry.Registry, every time.Duration) (closeIt func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			found, err := images.Collect(ctx, false)
			if err != nil && !errors.Is(err, context.Canceled) {
				log.Warn("images not collected", "err", err)
				continue
			}
			if found.Manifests+found.Blobs+found.Uploads > 0 {
				log.Info("images collected", "manifests", found.Manifests, "blobs", found.Blobs, "uploads", found.Uploads, "bytes", found.Bytes)
			}
		}
	})
	return func() error {
		cancel()
		running.Wait()
		return nil
	}
}

// collectEvery is how often: often enough that garbage stays little longer than
// its grace, and no more.
func (o *options) collectEvery() time.Duration {
	return min(max(o.ImageGrace/4, time.Minute), 6*time.Hour)
}
