package cnb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
)

// image is a builder image, unpacked, and the run image that goes with it.
type image struct {
	root       string // where it is unpacked
	env        []string
	uid, gid   int
	home       string // of uid, inside
	api        string // version of the platform API
	run        string // the run image: repository@digest
	runName    string // what it is called elsewhere
	runMirrors []string
}

// pins are what the images' names meant when they were first needed. They are
// asked again when an option names another.
type pins struct {
	Builder string `json:"builder"`
	Image   string `json:"image"` // repository@digest
	Run     string `json:"run"`
	RunAt   string `json:"run_image"` // repository@digest
}

// Where the two images are in the registry. No app has such a name.
const (
	builderRepository = "slipway/cnb-builder"
	runRepository     = "slipway/cnb-run"
)

func pinsFile(dir string) string { return filepath.Join(dir, "pins.json") }

func readPins(dir string) pins {
	var p pins
	if text, err := os.ReadFile(pinsFile(dir)); err == nil && json.Unmarshal(text, &p) != nil {
		return pins{} // asked again
	}
	return p
}

func (b *Builder) writePins(p pins) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	path := pinsFile(b.options.Dir)
	return errors.Join(os.WriteFile(path+".new", text, 0o600), os.Rename(path+".new", path))
}

// Pinned are the images in the registry that builds of the Builder of a
// directory need: repository@digest. Whoever collects garbage leaves them.
func Pinned(dir string) []string {
	var images []string
	p := readPins(dir)
	for _, one := range []string{p.Image, p.RunAt} {
		if one != "" {
			images = append(images, one)
		}
	}
	return images
}

// prepare returns the builder image, having fetched, unpacked and examined it
// where that was not done before.
func (b *Builder) prepare(ctx context.Context, out *builder.Output) (*image, error) {
	b.preparing.Lock()
	defer b.preparing.Unlock()
	if b.image == nil {
		image, err := b.unpacked(ctx, out)
		if err != nil {
			return nil, unusable(b.options.BuilderImage, err)
		}
		b.image = image
	}
	// It can go from the registry at any time.
	if run, err := b.ensureRun(ctx, b.image.runName, out); err != nil {
		return nil, unusable(b.options.BuilderImage, err)
	} else if run != b.image.run {
		changed := *b.image
		changed.run = run
		b.image = &changed
	}
	return b.image, nil
}

// unusable says that it is the operator's to mend.
func unusable(reference string, err error) error {
	if user := (*platform.UserError)(nil); errors.As(err, &user) || errors.Is(err, context.Canceled) {
		return err
	}
	return &platform.UserError{
		Kind:    platform.ErrUnavailable,
		Message: fmt.Sprintf("the builder image %s cannot be used: %v", reference, err),
		Cure:    "Ask the platform's operator to name another with --cnb-builder, or unset " + Chooser + " to build with the bundled buildpacks.",
	}
}

func (b *Builder) unpacked(ctx context.Context, out *builder.Output) (*image, error) {
	p := readPins(b.options.Dir)
	if p.Builder != b.options.BuilderImage {
		p = pins{Builder: b.options.BuilderImage}
	}
	at, err := b.ensure(ctx, p.Builder, p.Image, builderRepository, out)
	if err != nil {
		return nil, err
	}
	if at != p.Image {
		p.Image = at
		if err := b.writePins(p); err != nil {
			return nil, err
		}
	}
	packed, err := b.fetch(ctx, at)
	if err != nil {
		return nil, err
	}
	file, err := packed.ConfigFile()
	if err != nil {
		return nil, err
	}
	i := &image{env: file.Config.Env}
	if i.uid, err = number(i.env, "CNB_USER_ID"); err == nil {
		i.gid, err = number(i.env, "CNB_GROUP_ID")
	}
	if err != nil {
		return nil, err
	}
	if i.root, err = b.unpack(ctx, at, packed, out); err != nil {
		return nil, err
	}
	if err := i.examine(); err != nil {
		return nil, err
	}
	if b.options.RunImage != "" {
		i.runName, i.runMirrors = b.options.RunImage, nil
	}
	if i.runName == "" {
		return nil, errors.New("it names no run image, in /cnb/run.toml or /cnb/stack.toml: name one with --cnb-run-image")
	}
	return i, nil
}

// number is a user or group of the builder image's environment.
func number(env []string, key string) (int, error) {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, key+"="); ok {
			n, err := strconv.Atoi(value)
			if err != nil || n <= 0 || n > 1<<30 {
				return 0, fmt.Errorf("its environment has %s=%.20q, which is no user: builds never run as root", key, value)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("its environment has no %s: is it a builder image?", key)
}

// ensureRun is where the run image is in the registry.
func (b *Builder) ensureRun(ctx context.Context, reference string, out *builder.Output) (string, error) {
	p := readPins(b.options.Dir)
	if p.Run != reference {
		p.Run, p.RunAt = reference, ""
	}
	at, err := b.ensure(ctx, reference, p.RunAt, runRepository, out)
	if err != nil || at == p.RunAt {
		return at, err
	}
	p.RunAt = at
	return at, b.writePins(p)
}

// ensure pulls what is not there, or not any more.
func (b *Builder) ensure(ctx context.Context, reference, pinned, into string, out *builder.Output) (string, error) {
	if pinned != "" {
		ref, err := b.reference(pinned)
		if err != nil {
			return "", err
		}
		if _, err := remote.Head(ref, b.remote(ctx)...); err == nil {
			return pinned, nil
		}
	}
	out.Headline("Fetching " + reference)
	at, err := b.options.Pull(ctx, reference, into, out)
	out.Flush()
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", reference, err)
	}
	return at, nil
}

// fetch reads repository@digest of the registry. What is read of it is
// verified.
func (b *Builder) fetch(ctx context.Context, at string) (v1.Image, error) {
	ref, err := b.reference(at)
	if err != nil {
		return nil, err
	}
	return remote.Image(ref, b.remote(ctx)...)
}

func (b *Builder) reference(at string) (name.Digest, error) {
	return name.NewDigest(b.options.RegistryAddr+"/"+at, name.Insecure)
}

func (b *Builder) remote(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithTransport(b.transport),
		remote.WithAuth(&authn.Basic{Username: b.options.RegistryUser, Password: b.options.RegistryPassword}),
	}
}
