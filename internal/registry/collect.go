package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Collected is what a collection removed, or would have.
type Collected = platform.CollectedImages

// Collect removes what nothing needs and nobody touched for the grace period;
// with dryRun it only counts. Pushes go on beside it.
//
// Needed is what the platform names, what a tag of an app names, what refers to
// a needed subject, what an index that is needed lists, and the layers of all
// of these. The order of removal is manifests, layers, blobs, so that wherever
// it ends no manifest is left without its layers.
func (r *Registry) Collect(ctx context.Context, dryRun bool) (Collected, error) {
	r.collecting.Lock()
	defer r.collecting.Unlock()
	named, err := r.named(ctx)
	if err != nil {
		return Collected{}, err
	}
	c := &collection{Registry: r, named: named, before: time.Now().Add(-r.options.Grace), dryRun: dryRun, linked: make(map[string]bool)}
	for repo, err := range r.store.repositories("") {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = c.repository(repo)
		}
		if err != nil {
			return c.CollectedImages, err
		}
	}
	err = c.blobs(ctx)
	if err == nil && !dryRun {
		err = r.forgetContents()
	}
	return c.CollectedImages, err
}

// named asks the platform; without one every repository is an app's.
func (r *Registry) named(ctx context.Context) (*namedSet, error) {
	if r.options.Named == nil {
		return &namedSet{all: true}, nil
	}
	named, err := r.options.Named(ctx)
	if err != nil {
		return nil, err
	}
	set := &namedSet{apps: make(map[string]bool), images: make(map[string][]string)}
	for _, app := range named.Apps {
		set.apps[app] = true
	}
	for _, image := range named.Images {
		if repo, digest, ok := strings.Cut(image, "@"); ok && isDigest(digest) {
			set.images[repo] = append(set.images[repo], digest)
		}
	}
	return set, nil
}

type namedSet struct {
	all    bool
	apps   map[string]bool
	images map[string][]string
}

func (n *namedSet) has(repo string) bool {
	return n.all || n.apps[app(repo)] || isPlatforms(repo)
}

// collection is one run.
type collection struct {
	*Registry
	platform.CollectedImages
	named  *namedSet
	before time.Time // what was touched since stays
	dryRun bool
	linked map[string]bool // digests some repository still has
}

// repository sweeps one repository.
func (c *collection) repository(repo string) error {
	kept, err := c.mark(repo)
	if err != nil {
		return err
	}
	err = errors.Join(c.sweepManifests(repo, kept), c.sweepTags(repo), c.sweepLayers(repo, kept), c.sweepUploads(repo))
	if err != nil {
		return err
	}
	c.quotas.forget(app(repo))
	return c.sweepRepository(repo)
}

// mark is every digest the repository needs.
func (c *collection) mark(repo string) (map[string]bool, error) {
	revisions, err := c.store.revisions(repo)
	if err != nil {
		return nil, err
	}
	waiting, attached, err := c.roots(repo)
	if err != nil {
		return nil, err
	}
	for _, digest := range revisions {
		if !older(c.store.revision(repo, digest), c.before) {
			waiting = append(waiting, digest)
		}
	}
	kept := make(map[string]bool)
	for len(waiting) > 0 {
		digest := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		if kept[digest] {
			continue
		}
		kept[digest] = true
		more, err := c.follow(repo, digest, kept)
		if err != nil {
			return nil, err
		}
		waiting = append(append(waiting, more...), attached[digest]...)
	}
	return kept, nil
}

// roots are the digests that are needed for themselves, and those that tags
// attach to a subject.
func (c *collection) roots(repo string) (roots []string, attached map[string][]string, err error) {
	roots, attached = slices.Clone(c.named.images[repo]), make(map[string][]string)
	tags, err := c.store.tags(repo)
	if err != nil || !c.named.has(repo) {
		return roots, attached, err
	}
	for _, tag := range tags {
		digest, err := c.store.tagged(repo, tag)
		if err != nil {
			return nil, nil, err
		}
		subject := subjectOf(tag)
		switch {
		case digest == "":
		case subject == "" || !older(c.store.tag(repo, tag), c.before):
			roots = append(roots, digest)
		default:
			attached[subject] = append(attached[subject], digest)
		}
	}
	return roots, attached, nil
}

// follow marks a manifest's blobs and returns the manifests that come with it.
func (c *collection) follow(repo, digest string, kept map[string]bool) ([]string, error) {
	if !exists(c.store.revision(repo, digest)) {
		return nil, nil
	}
	d, _, err := c.store.read(digest)
	if isMissing(err) {
		return nil, nil // it was deleted since
	}
	if err != nil {
		return nil, err
	}
	for _, blob := range d.blobs() {
		kept[blob] = true
	}
	more := d.children()
	referring, err := c.store.referrers(repo, digest)
	for _, r := range referring {
		more = append(more, r.Digest)
	}
	return more, err
}

func (c *collection) sweepManifests(repo string, kept map[string]bool) error {
	revisions, err := c.store.revisions(repo)
	if err != nil {
		return err
	}
	for _, digest := range revisions {
		link := c.store.revision(repo, digest)
		gone, err := c.sweep(digest, link, kept[digest], func() error {
			d, _, err := c.store.read(digest)
			if err == nil && d.Subject != nil && isDigest(d.Subject.Digest) {
				defer func() { _ = os.Remove(filepath.Join(c.store.subject(repo, d.Subject.Digest), hexOf(digest))) }() // passed over without its manifest
			}
			return os.RemoveAll(filepath.Dir(link))
		})
		if err != nil {
			return err
		}
		if gone {
			c.Manifests++
		}
	}
	return nil
}

func (c *collection) sweepLayers(repo string, kept map[string]bool) error {
	layers, err := c.store.layers(repo)
	if err != nil {
		return err
	}
	for _, digest := range layers {
		link := c.store.layer(repo, digest)
		gone, err := c.sweep(digest, link, kept[digest], func() error { return os.RemoveAll(filepath.Dir(link)) })
		if err != nil {
			return err
		}
		if gone {
			c.Layers++
		}
	}
	return nil
}

// sweep removes what is linked at path unless it is needed or young, which is
// looked at again under the lock of its digest.
func (c *collection) sweep(digest, link string, needed bool, remove func() error) (bool, error) {
	if needed || !older(link, c.before) {
		c.linked[digest] = true
		return false, nil
	}
	gone := false
	free, err := c.digests.try(digest, func() error {
		if !older(link, c.before) {
			return nil
		}
		gone = true
		if c.dryRun {
			return nil
		}
		return remove()
	})
	if !free {
		c.Skipped++
	}
	if !gone {
		c.linked[digest] = true
	}
	return gone, err
}

// sweepTags removes tags whose manifest has gone: those of an app that has
// gone, and those that were attached to a subject that has.
func (c *collection) sweepTags(repo string) error {
	if c.dryRun {
		return nil
	}
	tags, err := c.store.tags(repo)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		_, err := c.repos.try(repo, func() error {
			digest, err := c.store.tagged(repo, tag)
			if err != nil || digest == "" || exists(c.store.revision(repo, digest)) {
				return err
			}
			return os.RemoveAll(filepath.Join(c.store.repo(repo), tagsDir, tag))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sweepUploads removes uploads to which nothing was added for the grace period.
func (c *collection) sweepUploads(repo string) error {
	ids, err := names(filepath.Join(c.store.repo(repo), uploadsDir))
	if err != nil {
		return err
	}
	for _, id := range ids {
		release, free := c.busy.take(repo + " " + id)
		if !free {
			c.Skipped++
			continue
		}
		err := c.sweepUpload(c.store.upload(repo, id))
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) sweepUpload(dir string) error {
	for _, file := range []string{"data", "startedat", ""} {
		path := filepath.Join(dir, file)
		if exists(path) && !older(path, c.before) {
			return nil
		}
	}
	c.Uploads++
	c.Bytes += sizeOf(filepath.Join(dir, "data"))
	if c.dryRun {
		return nil
	}
	return os.RemoveAll(dir)
}

// sweepRepository removes a repository of no app once it is empty.
func (c *collection) sweepRepository(repo string) error {
	if c.named.has(repo) || c.dryRun {
		return nil
	}
	_, err := c.repos.try(repo, func() error {
		layers, err := c.store.layers(repo)
		revisions, err2 := c.store.revisions(repo)
		uploads, err3 := names(filepath.Join(c.store.repo(repo), uploadsDir))
		if err := errors.Join(err, err2, err3); err != nil || len(layers)+len(revisions)+len(uploads) > 0 {
			return err
		}
		c.Repositories++
		for _, entry := range []string{"_manifests", referrersDir, "_layers", uploadsDir} {
			if err := os.RemoveAll(filepath.Join(c.store.repo(repo), entry)); err != nil {
				return err
			}
		}
		c.store.prune(c.store.repo(repo))
		return nil
	})
	return err
}

// prune removes empty directories up to that of all repositories.
func (s storage) prune(dir string) {
	for dir != s.repos() && os.Remove(dir) == nil { // fails on one that is not empty
		dir = filepath.Dir(dir)
	}
}

// blobs sweeps the blobs that no repository has any more. A link made since the
// repositories were looked at made its blob young.
func (c *collection) blobs(ctx context.Context) error {
	dir := filepath.Join(c.store.root(), "blobs/sha256")
	shards, err := names(dir)
	if err != nil {
		return err
	}
	for _, shard := range shards {
		hexes, err := names(filepath.Join(dir, shard))
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		for _, hex := range hexes {
			if err := c.sweepBlob("sha256:" + hex); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *collection) sweepBlob(digest string) error {
	if !isDigest(digest) || c.linked[digest] || !older(c.store.blob(digest), c.before) {
		return nil
	}
	free, err := c.digests.try(digest, func() error {
		if !older(c.store.blob(digest), c.before) {
			return nil
		}
		c.Blobs++
		c.Bytes += sizeOf(c.store.blob(digest))
		if c.dryRun {
			return nil
		}
		return os.RemoveAll(c.store.blobDir(digest))
	})
	if !free {
		c.Skipped++
	}
	return err
}
