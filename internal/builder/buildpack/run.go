package buildpack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// stack names what a build may rely on; it changes when the bundle's promises do.
const stack = "slipway-1"

// run runs the driver in its sandbox and returns what it found. Nothing of the
// build runs any more when it returns.
func (b *Builder) run(ctx context.Context, w *workspace, r builder.Request, packs []pack, out *output) (findings, error) {
	limits := b.options.limits()
	var exit sandbox.Exit
	err := limits.Guard(ctx, r.App, out.Output, []string{w.dir, w.tree, w.cache}, func(ctx context.Context) (err error) {
		exit, err = b.sandbox.RunRecorded(ctx, w.dir, b.process(w, r, packs), sandbox.Streams{Stdout: out, Stderr: out})
		return err
	})
	var user *platform.UserError
	switch {
	case errors.As(err, &user), ctx.Err() != nil:
		return findings{}, err
	case err != nil:
		return findings{}, fmt.Errorf("build of %s: %w", r.App, err)
	case exit.OutOfMemory:
		return findings{}, limits.OutOfMemory(r.App)
	case exit.Code != 0:
		return findings{}, b.failure(w, packs, exit, out)
	}
	return readFindings(w)
}

func (b *Builder) process(w *workspace, r builder.Request, packs []pack) sandbox.Process {
	return sandbox.Process{
		Name:   "build-" + filepath.Base(w.dir),
		Argv:   append([]string{"/bin/bash", insideBundle + "/driver.sh", insideTree, insideCache, insideIn, insideOut, insideTmp, insideBundle}, bundled...),
		Env:    b.environment(r),
		Dir:    insideTree,
		UID:    b.options.UID,
		Mounts: w.mounts(b.bundle, packs),
		Limits: platform.Limits{MemoryBytes: b.options.MemoryBytes, Processes: b.options.Processes},
		// No single file can be larger than all together may be.
		MaxFileBytes: b.options.DiskBytes,
		Idle:         true,
	}
}

func (b *Builder) environment(r builder.Request) []string {
	env := maps.Clone(b.options.Env)
	if env == nil {
		env = make(map[string]string)
	}
	maps.Copy(env, map[string]string{
		"HOME":           insideHome,
		"LANG":           "C.UTF-8",
		"PATH":           "/usr/local/sbin:/usr/local/bin:/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"CI":             "1",
		"STACK":          stack,
		"SOURCE_VERSION": r.Source.Commit[:min(8, len(r.Source.Commit))],
		"REQUEST_ID":     r.Build,
		"TMPDIR":         insideTmp,
	})
	var list []string
	for _, key := range slices.Sorted(maps.Keys(env)) {
		list = append(list, key+"="+env[key])
	}
	return list
}

// failure words why the driver gave up. Scripts look for the line it prints.
func (b *Builder) failure(w *workspace, packs []pack, exit sandbox.Exit, out *output) error {
	text, err := readSmall(w.out, "failure")
	if err != nil {
		return err
	}
	if strings.HasPrefix(text, "undetected\n") {
		out.headline(errNotDetected.Message)
	}
	out.print(fmt.Sprintf("Build pod exited with code %d, stopping build.", exit.Code))
	fields := append(strings.Split(text, "\n"), "", "", "")
	kind, name, code := fields[0], fields[1], fields[2]
	chosen := func() string {
		if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < len(packs) {
			return packs[n].String()
		}
		return name
	}
	failed := func(message, cure string) error {
		return &platform.UserError{Kind: platform.ErrInvalid, Message: message, Cure: cure}
	}
	switch kind {
	case "undetected":
		return errNotDetected
	case "fetch":
		return failed(fmt.Sprintf("buildpack %s cannot be fetched: %s", chosen(), gitError(out, packs)),
			"Check the URL and the #ref; a private repository needs SSH_KEY. Or unset BUILDPACK_URL to have the buildpack detected.")
	case "incomplete":
		return failed(fmt.Sprintf("%s is no buildpack: it has no %s", chosen(), code),
			"Name a repository with bin/detect and bin/compile, or unset BUILDPACK_URL to have the buildpack detected.")
	case "refused":
		return failed(fmt.Sprintf("Unable to select a buildpack: %s is not for this tree (bin/detect failed)", chosen()),
			"Name another buildpack, or unset BUILDPACK_URL to have it detected.")
	case "compile", "release", "hook":
		what := name
		if kind != "hook" {
			what = "The " + name + " buildpack"
		}
		return failed(fmt.Sprintf("%s failed with exit code %s.", what, code),
			"Fix what it printed above, commit, and push again.")
	}
	return failed(fmt.Sprintf("The build failed with exit code %d.", exit.Code),
		"Fix what it printed above, commit, and push again.")
}

// gitError is what git gave as the cause, in the user's terms.
func gitError(out *output, packs []pack) string {
	cause := "git did not say why"
	for line := range strings.Lines(out.lastWords()) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "fatal:") || strings.HasPrefix(line, "error:") {
			cause = line
			break
		}
	}
	for n, p := range packs {
		if p.bundled != "" {
			continue
		}
		cause = strings.ReplaceAll(cause, insideLocal(n), p.local)
		cause = strings.ReplaceAll(cause, p.url, p.String())
	}
	return cause
}
