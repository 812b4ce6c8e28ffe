package registry

import (
	"context"
	"net/http"
	"os"
	"sync"

	"github.com/slipway-paas/slipway/internal/platform"
)

// quotas knows how much the repositories of each app hold: every blob and
// manifest once, compressed as it is.
type quotas struct {
	mu      sync.Mutex
	apps    map[string]*usage
	measure func(app string) (map[string]int64, error)
}

// usage is of one app. Who adds to it under a quota holds mu across the look
// and the writing, so that it is exact.
type usage struct {
	mu    sync.Mutex
	sizes map[string]int64 // by digest; nil: to be measured
	total int64
}

func (u *quotas) of(app string) *usage {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.apps == nil {
		u.apps = make(map[string]*usage)
	}
	if u.apps[app] == nil {
		u.apps[app] = &usage{}
	}
	return u.apps[app]
}

// forget has the app measured anew before it matters.
func (u *quotas) forget(app string) {
	use := u.of(app)
	use.mu.Lock()
	defer use.mu.Unlock()
	use.sizes = nil
}

// load measures unless that was done. The caller holds use.mu.
func (u *quotas) load(app string, use *usage) error {
	if use.sizes != nil {
		return nil
	}
	sizes, err := u.measure(app)
	if err != nil {
		return err
	}
	use.sizes, use.total = sizes, 0
	for _, size := range sizes {
		use.total += size
	}
	return nil
}

// measure reads the links of the app's repositories.
func (r *Registry) measure(app string) (map[string]int64, error) {
	sizes := make(map[string]int64)
	for repo, err := range r.store.repositories(app) {
		if err != nil {
			return nil, err
		}
		layers, err := r.store.layers(repo)
		if err != nil {
			return nil, err
		}
		revisions, err := r.store.revisions(repo)
		if err != nil {
			return nil, err
		}
		for _, digest := range append(layers, revisions...) {
			size, err := r.store.size(digest)
			if err != nil && !isMissing(err) {
				return nil, err
			}
			sizes[digest] = size
		}
	}
	return sizes, nil
}

// Used is how many bytes the app's repositories hold.
func (r *Registry) Used(app string) (int64, error) {
	sizes, err := r.measure(app)
	var total int64
	for _, size := range sizes {
		total += size
	}
	return total, err
}

// quota is the app's bound in bytes; 0: none.
func (r *Registry) quota(ctx context.Context, app string) (int64, error) {
	if r.options.Quota == nil || isPlatforms(app) {
		return 0, nil
	}
	return r.options.Quota(ctx, app)
}

// admit runs add, which reports whether it added the blob to the repository,
// if the app's quota has room for it.
func (r *Registry) admit(ctx context.Context, repo, digest string, size int64, add func() (bool, error)) error {
	id := app(repo)
	limit, err := r.quota(ctx, id)
	if err != nil {
		return err
	}
	use := r.quotas.of(id)
	if limit == 0 {
		if _, err = add(); err != nil {
			return err
		}
		use.mu.Lock()
		defer use.mu.Unlock()
		use.sizes = nil
		return nil
	}
	use.mu.Lock()
	defer use.mu.Unlock()
	if err := r.quotas.load(id, use); err != nil {
		return err
	}
	if _, has := use.sizes[digest]; !has && use.total+size > limit {
		return overQuota(id, use.total, limit)
	}
	added, err := add()
	if _, has := use.sizes[digest]; added && !has {
		use.sizes[digest] = size
		use.total += size
	}
	return err
}

// overQuota says what is full, and the cure.
func overQuota(app string, used, limit int64) error {
	f := denied("%s", platform.OverQuota(app, used, limit))
	f.detail = map[string]any{"app": app, "used": used, "limit": limit}
	return f
}

// bounded is the request's body, which ends where no upload of the app could
// fit any more.
func (r *Registry) bounded(q *http.Request, p place, data string) (*limited, error) {
	body := &limited{ReadCloser: q.Body}
	id := app(p.repo)
	limit, err := r.quota(q.Context(), id)
	if err != nil || limit == 0 {
		return body, err
	}
	use := r.quotas.of(id)
	use.mu.Lock()
	defer use.mu.Unlock()
	if err := r.quotas.load(id, use); err != nil {
		return nil, err
	}
	// What the app has may be sent again, so that the whole quota is the bound.
	used := use.total
	body.left = limit - sizeOf(data)
	body.why = func() error { return overQuota(id, used, limit) }
	return body, nil
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
