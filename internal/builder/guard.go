package builder

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Limits bound one build. Zero values mean what is said in brackets.
type Limits struct {
	// Timeout ends a build [15 min].
	Timeout time.Duration
	// Silence ends a build that prints nothing for so long [10 min].
	Silence time.Duration
	// Heartbeat is how often a silent build shows the user that it lives [10 s].
	Heartbeat time.Duration
	// MemoryBytes and Processes bound all of a build together [2 GiB, 1024].
	MemoryBytes, Processes int64
	// DiskBytes bounds what one build has on disk, its cache included [4 GiB].
	DiskBytes int64
	// MinFreeBytes is what a build must leave free on the disk [512 MiB].
	MinFreeBytes int64
}

// WithDefaults fills in what is zero.
func (l Limits) WithDefaults() Limits {
	l.Timeout = orElse(l.Timeout, 15*time.Minute)
	l.Silence = orElse(l.Silence, 10*time.Minute)
	l.Heartbeat = orElse(l.Heartbeat, 10*time.Second)
	l.MemoryBytes = orElse(l.MemoryBytes, 2<<30)
	l.Processes = orElse(l.Processes, 1024)
	l.DiskBytes = orElse(l.DiskBytes, 4<<30)
	l.MinFreeBytes = orElse(l.MinFreeBytes, 512<<20)
	return l
}

func orElse[T int64 | time.Duration](value, fallback T) T {
	if value == 0 {
		return fallback
	}
	return value
}

// Guard runs a step of app's build under the limits of time, silence and
// disk: the context it gives to step ends, with the cause, when a limit is
// passed. dirs are what the build fills. It returns the step's error, or the
// cause, a *platform.UserError, where there is one.
func (l Limits) Guard(ctx context.Context, app string, out *Output, dirs []string, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, l.Timeout, l.TooLong(app))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	watched := make(chan struct{})
	go func() {
		defer close(watched)
		l.watch(ctx, stop, app, out, dirs)
	}()
	err := step(ctx)
	cause := context.Cause(ctx)
	stop(nil)
	<-watched
	out.Flush()
	if cause != nil {
		return cause
	}
	return err
}

// watch watches a build until ctx ends: it shows the user that it lives, and
// stops it with the cause when it is silent or takes too much of the disk.
func (l Limits) watch(ctx context.Context, stop context.CancelCauseFunc, app string, out *Output, dirs []string) {
	ticker := time.NewTicker(min(time.Second, l.Heartbeat, l.Silence))
	defer ticker.Stop()
	var next time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			out.Heartbeat(l.Heartbeat)
			if out.Silent() >= l.Silence {
				stop(l.tooSilent(app))
				return
			}
			if err := l.checkFree(app, dirs[0]); err != nil {
				stop(err)
				return
			}
			if now.Before(next) {
				continue
			}
			if err := l.CheckUsage(app, dirs); err != nil {
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

func (l Limits) checkFree(app, dir string) error {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return nil
	}
	free := int64(disk.Bavail) * disk.Bsize
	few := disk.Files > 0 && disk.Ffree < minFreeFiles
	if free >= l.MinFreeBytes && !few {
		return nil
	}
	if few {
		return &platform.UserError{
			Kind:    platform.ErrUnavailable,
			Message: fmt.Sprintf("build of %s stopped: the platform's disk has room for %d more files only", app, disk.Ffree),
			Cure:    "Make the build write fewer files, or remove files on the platform's machine, then push again.",
		}
	}
	return &platform.UserError{
		Kind:    platform.ErrUnavailable,
		Message: fmt.Sprintf("build of %s stopped: the platform's disk has %s left, builds must leave %s", app, SizeText(free), SizeText(l.MinFreeBytes)),
		Cure:    "Free space on the platform's machine (slipway doctor shows where), then push again.",
	}
}

// CheckUsage reports that dirs together take more of the disk than a build may.
func (l Limits) CheckUsage(app string, dirs []string) error {
	var used int64
	for _, dir := range dirs {
		used += Usage(dir)
	}
	if used <= l.DiskBytes {
		return nil
	}
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("build of %s stopped: it uses %s of disk with its cache, %s are allowed", app, SizeText(used), SizeText(l.DiskBytes)),
		Cure:    "Make the build write less, or set SLIPWAY_DISABLE_CACHE=1 once to start with an empty cache, then push again.",
	}
}

// Usage is the disk space below dir in bytes. What vanishes meanwhile counts nothing.
func Usage(dir string) int64 {
	var blocks int64
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
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

// TooLong is the error of a build that took more than its time.
func (l Limits) TooLong(app string) error {
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("build of %s stopped: it took longer than %s", app, l.Timeout),
		Cure:    "Make the build do less, or ask the platform's operator for a longer build timeout, then push again.",
	}
}

func (l Limits) tooSilent(app string) error {
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("build of %s stopped: it printed nothing for %s", app, l.Silence),
		Cure:    "It may wait for input or for a host that does not answer: look at the last lines above, or make a long step print its progress, then push again.",
	}
}

// OutOfMemory is the error of a build that the kernel ended for its memory.
func (l Limits) OutOfMemory(app string) error {
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("build of %s stopped: it used more than %s of memory", app, SizeText(l.MemoryBytes)),
		Cure:    "Make the build use less memory (fewer parallel jobs), or ask the platform's operator for a higher limit, then push again.",
	}
}

// CacheDisabled reports whether a build shall find nothing of earlier ones.
func CacheDisabled(r Request) bool {
	for _, key := range []string{"DEIS_DISABLE_CACHE", "SLIPWAY_DISABLE_CACHE"} {
		if _, disabled := r.Env[key]; disabled {
			return true
		}
	}
	return false
}

// SizeText is a number of bytes for people: "12.3M".
func SizeText(bytes int64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1fG", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1fM", float64(bytes)/(1<<20))
	default:
		return fmt.Sprintf("%.1fK", float64(bytes)/(1<<10))
	}
}
