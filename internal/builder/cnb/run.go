package cnb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/builder/cnb/phase"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// build is one build under way.
type build struct {
	*Builder
	request   builder.Request
	workspace *workspace
	image     *image
	gate      *gate
	out       *builder.Output
	types     map[string]string // of the tree's Procfile
	rebased   string            // the digest to rebase; empty: this is a build
}

// phases runs the phases, one after the other. Nothing of one runs any more
// when the next begins.
func (b *build) phases(ctx context.Context) error {
	for _, step := range []struct{ phase, headline string }{
		{phase.Analyze, ""},
		{phase.Detect, "Detecting Cloud Native Buildpacks"},
		{phase.Restore, "Restoring cache..."},
		{phase.Build, "Building with Cloud Native Buildpacks"},
		{phase.Export, "Exporting the image"},
	} {
		if step.headline != "" {
			b.out.Headline(step.headline)
		}
		if err := b.phase(ctx, step.phase); err != nil {
			return err
		}
	}
	// What was written between two looks counts too.
	return b.options.Limits.CheckUsage(b.request.App, b.workspace.measured())
}

func (b *build) phase(ctx context.Context, kind string) error {
	p, err := b.process(kind)
	if err != nil {
		return err
	}
	exit, err := b.sandbox.RunRecorded(ctx, b.workspace.dir, p, sandbox.Streams{Stdout: b.out, Stderr: b.out})
	b.out.Flush()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%s phase of %s: %w", kind, b.request.App, err)
	case exit.OutOfMemory:
		return b.options.Limits.OutOfMemory(b.request.App)
	case exit.Code != 0:
		return b.failure(kind, exit.Code)
	}
	return nil
}

func (b *build) process(kind string) (sandbox.Process, error) {
	argv, err := phase.Order{
		Phase: kind, API: b.image.api, Repository: b.request.App, Previous: cmp.Or(b.rebased, b.workspace.previous()),
		RunImage: b.image.run, RunImageName: b.image.runName, RunImageMirrors: b.image.runMirrors,
		UID: b.image.uid, GID: b.image.gid, Types: b.types, Orders: orderFile,
	}.Command()
	if err != nil {
		return sandbox.Process{}, err
	}
	buildpacks := kind == phase.Detect || kind == phase.Build
	if buildpacks {
		if err := os.Mkdir(b.workspace.scratch(kind), 0o700); err != nil {
			return sandbox.Process{}, err
		}
	}
	limits := b.options.Limits
	return sandbox.Process{
		Name:   "build-" + filepath.Base(b.workspace.dir),
		Argv:   append([]string{sandbox.Self}, argv...),
		Env:    b.environment(buildpacks),
		Dir:    phase.Workspace,
		UID:    b.image.uid,
		GID:    b.image.gid,
		Root:   b.image.root,
		Mounts: b.workspace.mounts(kind, b.gate),
		Limits: platform.Limits{MemoryBytes: limits.MemoryBytes, Processes: limits.Processes},
		// No single file can be larger than all together may be.
		MaxFileBytes: limits.DiskBytes,
		Idle:         true,
		OwnNetwork:   !buildpacks,
	}, nil
}

// environment is the builder image's own, and for buildpacks this machine's
// proxies. The lifecycle decides what of it a buildpack gets.
func (b *build) environment(buildpacks bool) []string {
	env := make(map[string]string)
	for _, entry := range b.image.env {
		if name, value, ok := strings.Cut(entry, "="); ok {
			env[name] = value
		}
	}
	if buildpacks {
		maps.Copy(env, b.options.Env)
	}
	env["CNB_PLATFORM_API"], env["HOME"], env["TMPDIR"] = b.image.api, b.image.home, "/tmp"
	if env["PATH"] == "" {
		env["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// failure words why a phase gave up.
func (b *build) failure(kind string, code int) error {
	failed := func(kind error, message, cure string) error {
		return &platform.UserError{Kind: kind, Message: message, Cure: cure}
	}
	const again = "Fix what it printed above, commit, and push again."
	switch code {
	case phase.CodeNothingDetected, phase.CodeNothingDetectedErrored:
		message := "no buildpack of the builder image " + b.options.BuilderImage + " is for this tree"
		if code == phase.CodeNothingDetectedErrored {
			message += ", and one failed while it looked"
		}
		if asked(b.request) {
			return failed(platform.ErrInvalid, message, "Look at what each buildpack said above, or unset "+Chooser+" to build with the bundled buildpacks, then push again.")
		}
		b.out.Detail(message)
		return failed(errors.Join(platform.ErrInvalid, builder.ErrUndetected), message, again)
	case phase.CodeBuildpackFailed:
		return failed(platform.ErrInvalid, "A buildpack failed while it built.", again)
	case phase.CodeIncompatibleBuildpack:
		return failed(platform.ErrInvalid, "A buildpack of the builder image "+b.options.BuilderImage+" speaks a buildpack API this platform does not.",
			"Ask the platform's operator for a builder image that fits.")
	}
	if kind == phase.Export && strings.Contains(b.out.LastWords(), "file too large") {
		return failed(platform.ErrInvalid, fmt.Sprintf("build of %s stopped: it makes a layer larger than %s", b.request.App, builder.SizeText(b.options.Limits.DiskBytes)),
			"Make the build leave less, then push again.")
	}
	return failed(platform.ErrInvalid, fmt.Sprintf("The %s phase of the buildpacks failed with exit code %d.", kind, code), again)
}
