package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

const (
	// keptImages are the last images of an app that stay for a rollback, used or not.
	keptImages = 3
	// pullPatience bounds one pull; the caller's context bounds the wait for it.
	pullPatience = 10 * time.Minute
	// maxImageBytes bounds the layers of one image, compressed.
	maxImageBytes = 16 << 30
	maxLayers     = 500

	labelApp  = "io.slipway.app"
	labelUsed = "io.slipway.used" // when an instance was last started with it
)

// image is one that is in containerd, unpacked.
type image struct {
	name   string // of the image object: app/repository@digest
	digest string
	chain  string // its top snapshot
	config ocispec.ImageConfig
}

// isSlug: command lines are the launcher's business.
func (i image) isSlug() bool {
	_, labelled := i.config.Labels[platform.LabelSlug]
	return labelled || len(i.config.Entrypoint) > 0 && i.config.Entrypoint[0] == launcher
}

const launcher = "/slipway/launch"

// store keeps the images of this machine's apps in containerd, pulling each once.
type store struct {
	log    *slog.Logger
	engine *engine

	mu       sync.Mutex
	registry registry
	pulls    map[string]*pull
	known    map[string]image // unpacked, as seen in this life
	used     map[string]int   // by name
	stop     context.CancelFunc
	life     context.Context
	owned    sync.WaitGroup
}

// pull is one under way, which any number wait for.
type pull struct {
	done  chan struct{}
	image image
	err   error
}

func newStore(log *slog.Logger, e *engine) *store {
	s := &store{log: log, engine: e, pulls: make(map[string]*pull), known: make(map[string]image), used: make(map[string]int)}
	s.life, s.stop = context.WithCancel(context.Background())
	return s
}

// close ends the pulls under way and waits for them.
func (s *store) close() {
	s.stop()
	s.owned.Wait()
}

func (s *store) setRegistry(host, user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry = registry{host: host, user: user, password: password}
}

// nameOf is what an app's image is called in containerd, checked.
func nameOf(app, ref string) (string, error) {
	repository, sum, ok := strings.Cut(ref, "@")
	if _, err := digest.Parse(sum); !ok || err != nil || repository == "" || !strings.HasPrefix(sum, "sha256:") {
		return "", platform.Invalid("image", "%q is not repository@sha256:digest", ref)
	}
	return app + "/" + ref, nil
}

// use returns the image, pulled if need be, and keeps it until release.
func (s *store) use(ctx context.Context, app, ref string) (image, error) {
	name, err := nameOf(app, ref)
	if err != nil {
		return image{}, err
	}
	s.keep(name)
	img, err := s.get(ctx, app, name, ref)
	if err != nil {
		s.release(name)
		return image{}, fmt.Errorf("image %s: %w", ref, err)
	}
	return img, nil
}

func (s *store) keep(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[name]++
}

func (s *store) release(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[name]--; s.used[name] == 0 {
		delete(s.used, name)
	}
}

func (s *store) get(ctx context.Context, app, name, ref string) (image, error) {
	s.mu.Lock()
	if img, known := s.known[name]; known {
		s.mu.Unlock()
		return img, nil
	}
	p := s.pulls[name]
	if p == nil {
		p = &pull{done: make(chan struct{})}
		s.pulls[name] = p
		from := s.registry
		s.owned.Go(func() { s.fetch(p, from, app, name, ref) })
	}
	s.mu.Unlock()
	select {
	case <-p.done:
		return p.image, p.err
	case <-ctx.Done():
		return image{}, ctx.Err()
	}
}

// fetch pulls for everybody who waits.
func (s *store) fetch(p *pull, from registry, app, name, ref string) {
	ctx, cancel := context.WithTimeout(s.life, pullPatience)
	defer cancel()
	p.image, p.err = s.find(ctx, name)
	if p.err != nil {
		began := time.Now()
		if p.image, p.err = s.pull(ctx, from, app, name, ref); p.err != nil && s.dropCut(ctx, began) {
			p.image, p.err = s.pull(ctx, from, app, name, ref)
		}
		if p.err == nil {
			s.log.Info("image was pulled", "app", app, "image", ref, "duration", time.Since(began))
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		p.err = fmt.Errorf("its pull took longer than %s: %w", pullPatience, ctx.Err())
	}
	s.mu.Lock()
	delete(s.pulls, name)
	if p.err == nil {
		s.known[name] = p.image
	}
	s.mu.Unlock()
	close(p.done)
	if p.err == nil {
		s.touch(ctx, name)
		s.prune(ctx, app)
	}
}

// find is an image that was pulled in an earlier life.
func (s *store) find(ctx context.Context, name string) (image, error) {
	found, err := s.engine.client.GetImage(ctx, name)
	if err != nil {
		return image{}, err
	}
	whole, err := found.IsUnpacked(ctx, snapshotter)
	if err == nil && !whole {
		err = found.Unpack(ctx, snapshotter)
	}
	if err != nil {
		return image{}, err
	}
	return s.describe(ctx, found)
}

// describe reads what the image says of itself.
func (s *store) describe(ctx context.Context, found client.Image) (image, error) {
	config, err := found.Config(ctx)
	if err != nil {
		return image{}, err
	}
	var said ocispec.Image
	text, err := content.ReadBlob(ctx, found.ContentStore(), config)
	if err == nil {
		err = json.Unmarshal(text, &said)
	}
	if err != nil {
		return image{}, platform.Invalid("image", "its configuration cannot be read: %v", err)
	}
	if !platforms.Default().Match(platforms.Normalize(said.Platform)) {
		return image{}, platform.Invalid("image", "it is for %s, not for this machine (%s): build it for that, or as a multi-platform image", platforms.Format(said.Platform), platforms.DefaultString())
	}
	return image{
		name: found.Name(), digest: found.Target().Digest.String(),
		chain: identity.ChainID(said.RootFS.DiffIDs).String(), config: said.Config,
	}, nil
}

// pull brings the image here. It is an object in containerd only once it is
// whole; what a cut pull left is collected by containerd.
func (s *store) pull(ctx context.Context, from registry, app, name, ref string) (image, error) {
	if from.host == "" {
		return image{}, fmt.Errorf("no registry is known yet: %w", platform.ErrUnavailable)
	}
	resolver, done := from.resolver()
	defer done()
	ctx, release, err := s.engine.lease(ctx)
	if err != nil {
		return image{}, err
	}
	defer release()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := s.watchDisk(ctx, cancel)
	defer watched.Wait()
	defer cancel(nil)
	pulled, err := s.engine.client.Pull(ctx, registryName+"/"+ref,
		client.WithResolver(named{resolver, name}),
		client.WithPullUnpack, client.WithPullSnapshotter(snapshotter),
		client.WithPlatformMatcher(platforms.Default()),
		client.WithMaxConcurrentDownloads(3),
		client.WithImageHandlerWrapper(bounded),
		client.WithPullLabels(map[string]string{labelApp: app, labelUsed: time.Now().UTC().Format(time.RFC3339Nano)}),
	)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		return image{}, said(err)
	}
	return s.describe(ctx, pulled)
}

// dropCut forgets downloads that were cut in an earlier life: not every registry
// lets one go on with them. It reports whether there were any.
func (s *store) dropCut(ctx context.Context, before time.Time) (any bool) {
	parts, err := s.engine.client.ContentStore().ListStatuses(ctx)
	if err != nil {
		return false
	}
	for _, part := range parts {
		if part.StartedAt.Before(before) && s.engine.client.ContentStore().Abort(ctx, part.Ref) == nil {
			any = true
		}
	}
	return any
}

// said puts what users meet into words.
func said(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "no match for platform"):
		return platform.Invalid("image", "it is not for this machine (%s): build it for that, or as a multi-platform image", platforms.DefaultString())
	case errdefs.IsNotFound(err):
		return fmt.Errorf("the registry does not have all of it: %w: %w", platform.ErrNotFound, err)
	}
	return err
}

// bounded refuses an image for another machine and one that is too large
// before any layer of it is asked for.
func bounded(next images.Handler) images.Handler {
	return images.HandlerFunc(func(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		const small = 8 << 20
		if (images.IsManifestType(d.MediaType) || images.IsIndexType(d.MediaType) || images.IsConfigType(d.MediaType)) && d.Size > small {
			return nil, platform.Invalid("image", "%s of it has %d bytes", d.MediaType, d.Size)
		}
		children, err := next.Handle(ctx, d)
		if err != nil || !images.IsManifestType(d.MediaType) {
			return children, err
		}
		var total int64
		for _, child := range children {
			total += child.Size
		}
		if total > maxImageBytes || total < 0 || len(children) > maxLayers {
			return nil, platform.Invalid("image", "it has %d parts of %s: at most %d of %s", len(children), runtime.Size(total), maxLayers, runtime.Size(maxImageBytes))
		}
		return children, nil
	})
}

// touch notes that an image is used, for prune.
func (s *store) touch(ctx context.Context, name string) {
	img := images.Image{Name: name, Labels: map[string]string{labelUsed: time.Now().UTC().Format(time.RFC3339Nano)}}
	if _, err := s.engine.client.ImageService().Update(ctx, img, "labels."+labelUsed); err != nil && ctx.Err() == nil {
		s.log.Warn("image could not be marked", "image", name, "err", err)
	}
}

// prune removes an app's images but the last few and the used ones; their
// content goes with them unless others share it.
func (s *store) prune(ctx context.Context, app string) {
	all, err := s.engine.client.ImageService().List(ctx, fmt.Sprintf("labels.%q==%s", labelApp, app))
	if err != nil {
		return
	}
	slices.SortFunc(all, func(a, b images.Image) int { return strings.Compare(b.Labels[labelUsed], a.Labels[labelUsed]) })
	for _, old := range all[min(keptImages, len(all)):] {
		s.mu.Lock()
		busy := s.used[old.Name] > 0 || s.pulls[old.Name] != nil
		if !busy {
			delete(s.known, old.Name)
		}
		s.mu.Unlock()
		if busy {
			continue
		}
		if err := s.engine.client.ImageService().Delete(ctx, old.Name); err != nil && !errdefs.IsNotFound(err) {
			s.log.Warn("image could not be removed", "image", old.Name, "err", err)
		}
	}
}
