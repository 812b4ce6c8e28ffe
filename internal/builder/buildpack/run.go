package buildpack

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// stack names what a build may rely on; it changes when the bundle's promises do.
const stack = "slipway-1"

// run runs the driver in its sandbox and returns what it found. Nothing of the
// build runs any more when it returns.
func (b *Builder) run(ctx context.Context, w *workspace, r builder.Request, packs []pack, out *output) (findings, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.options.Timeout, b.tooLong(r))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	watched := make(chan struct{})
	go func() {
		defer close(watched)
		b.guard(ctx, stop, w, r, out)
	}()
	exit, err := b.confine(ctx, w, b.process(w, r, packs), out)
	cause := context.Cause(ctx)
	stop(nil)
	<-watched
	out.flush()
	switch {
	case cause != nil:
		return findings{}, cause
	case err != nil:
		return findings{}, fmt.Errorf("build of %s: %w", r.App, err)
	case exit.OutOfMemory:
		return findings{}, b.outOfMemory(r)
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
		Status:       filepath.Join(w.dir, statusFile),
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

// guard watches a build until ctx ends: it shows the user that it lives, and
// stops it with the cause when it is silent or takes too much of the disk.
func (b *Builder) guard(ctx context.Context, stop context.CancelCauseFunc, w *workspace, r builder.Request, out *output) {
	ticker := time.NewTicker(min(time.Second, b.options.Heartbeat, b.options.Silence))
	defer ticker.Stop()
	var next time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			out.heartbeat(b.options.Heartbeat)
			if out.silent() >= b.options.Silence {
				stop(b.tooSilent(r))
				return
			}
			if err := b.checkFree(w, r); err != nil {
				stop(err)
				return
			}
			if now.Before(next) {
				continue
			}
			if err := b.checkUsage(w, r); err != nil {
				stop(err)
				return
			}
			// Looking at a large tree shall not cost more than a tenth of a core.
			next = now.Add(10 * time.Since(now))
		}
	}
}

// minFreeFiles is how many files a build must leave room for.
const minFreeFiles = 10_000

func (b *Builder) checkFree(w *workspace, r builder.Request) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(w.dir, &fs); err != nil {
		return nil
	}
	free := int64(fs.Bavail) * fs.Bsize
	few := fs.Files > 0 && fs.Ffree < minFreeFiles
	if free >= b.options.MinFreeBytes && !few {
		return nil
	}
	if few {
		return &platform.UserError{
			Kind:    platform.ErrUnavailable,
			Message: fmt.Sprintf("build of %s stopped: the platform's disk has room for %d more files only", r.App, fs.Ffree),
			Cure:    "Make the build write fewer files, or remove files on the platform's machine, then push again.",
		}
	}
	return &platform.UserError{
		Kind:    platform.ErrUnavailable,
		Message: fmt.Sprintf("build of %s stopped: the platform's disk has %s left, builds must leave %s", r.App, sizeText(free), sizeText(b.options.MinFreeBytes)),
		Cure:    "Free space on the platform's machine (slipway doctor shows where), then push again.",
	}
}

func (b *Builder) checkUsage(w *workspace, r builder.Request) error {
	used := usage(w.tree) + usage(w.dir) + usage(w.cache)
	if used <= b.options.DiskBytes {
		return nil
	}
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("build of %s stopped: it uses %s of disk with its cache, %s are allowed", r.App, sizeText(used), sizeText(b.options.DiskBytes)),
		Cure:    "Make the build write less, or set SLIPWAY_DISABLE_CACHE=1 once to start with an empty cache, then push again.",
	}
}

// usage is the disk space below dir in bytes. What vanishes meanwhile counts nothing.
func usage(dir string) int64 {
	var blocks int64
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		var stat unix.Stat_t
		if unix.Lstat(path, &stat) == nil {
			blocks += stat.Blocks / max(1, int64(stat.Nlink))
		}
		return nil
	})
	return blocks * 512
}

func (b *Builder) tooLong(r builder.Request) error {
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("build of %s stopped: it took longer than %s", r.App, b.options.Timeout),
		Cure:    "Make the build do less, or ask the platform's operator for a longer build timeout, then push again.",
	}
}

func (b *Builder) tooSilent(r builder.Request) error {
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("build of %s stopped: it printed nothing for %s", r.App, b.options.Silence),
		Cure:    "It may wait for input or for a host that does not answer: look at the last lines above, or make a long step print its progress, then push again.",
	}
}

func (b *Builder) outOfMemory(r builder.Request) error {
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("build of %s stopped: it used more than %s of memory", r.App, sizeText(b.options.MemoryBytes)),
		Cure:    "Make the build use less memory (fewer parallel jobs), or ask the platform's operator for a higher limit, then push again.",
	}
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
