package registry

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Remove takes an app's repositories away, but for what other apps deployed
// from them, which nobody lists any more. The blobs go with the next
// collection. Idempotent; the app must be gone from what Named answers.
func (r *Registry) Remove(ctx context.Context, app string) error {
	r.collecting.Lock()
	defer r.collecting.Unlock()
	named, err := r.named(ctx)
	if err != nil || named.has(app) {
		return err
	}
	c := &collection{Registry: r, named: named, before: time.Now().Add(time.Hour), linked: make(map[string]bool)}
	for repo, err := range r.store.repositories(app) {
		if err != nil {
			return err
		}
		if err := c.forgetTags(repo); err != nil {
			return err
		}
		if err := c.repository(repo); err != nil {
			return err
		}
	}
	return nil
}

// forgetTags takes all tags of a repository away.
func (c *collection) forgetTags(repo string) error {
	lock := c.repos.of(repo)
	lock.Lock()
	defer lock.Unlock()
	return os.RemoveAll(filepath.Join(c.store.repo(repo), tagsDir))
}

// Rename makes what the repositories of one app hold those of another as well;
// Remove takes the old ones away. Blobs are not copied. Idempotent.
func (r *Registry) Rename(old, id string) error {
	defer r.quotas.forget(id)
	for repo, err := range r.store.repositories(old) {
		if err != nil {
			return err
		}
		to := id + strings.TrimPrefix(repo, old)
		// A manifest comes after its layers, and a tag after its manifest.
		for _, part := range []string{"_layers", referrersDir, "_manifests/revisions", "_manifests/tags"} {
			if err := r.copyLinks(filepath.Join(r.store.repo(repo), part), filepath.Join(r.store.repo(to), part), to); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyLinks copies a directory of small files; what is there stays.
func (r *Registry) copyLinks(from, to, repo string) error {
	defer r.repos.share(repo)()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if exists(target) {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return write(target, text)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
