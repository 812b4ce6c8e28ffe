package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// postStartLimit bounds the command that runs beside an instance after its start.
const postStartLimit = time.Minute

// hookState is how far a copy's hook came.
type hookState int

const (
	hookOver hookState = iota // it ended, or there is none
	hookDue
	hookCut // an earlier node began it, or may have
)

// The marks of a copy. They are on the disk before what they tell of begins.
const (
	markStarted = "started" // its PostStart has not ended
	markStopped = "stopped" // its PreStop has
)

// marks are files that tell the next node how far the hooks of an instance
// came: a PostStart that was cut off makes the copy a failed start, a PreStop
// that ended is not run again.
type marks struct {
	log *slog.Logger
	dir string
}

func (m marks) path(id, what string) string { return filepath.Join(m.dir, id+"."+what) }

func (m marks) set(id, what string) {
	err := os.MkdirAll(m.dir, 0o700)
	if err == nil {
		err = os.WriteFile(m.path(id, what), nil, 0o600)
	}
	if err != nil {
		m.log.Warn("progress of a hook could not be kept", "instance", id, "err", err)
	}
}

func (m marks) has(id, what string) bool {
	_, err := os.Stat(m.path(id, what))
	return err == nil
}

func (m marks) unset(id, what string) {
	if err := os.Remove(m.path(id, what)); err != nil && !errors.Is(err, os.ErrNotExist) {
		m.log.Warn("progress of a hook could not be kept", "instance", id, "err", err)
	}
}

// clear forgets a copy that is gone.
func (m marks) clear(id string) {
	m.unset(id, markStarted)
	m.unset(id, markStopped)
}

// tidy forgets the copies that nobody knows.
func (m marks) tidy(known func(id string) bool) {
	files, _ := os.ReadDir(m.dir)
	for _, file := range files {
		id, _, _ := strings.Cut(file.Name(), ".")
		if !known(id) {
			_ = os.Remove(filepath.Join(m.dir, file.Name())) // tried again at the next start
		}
	}
}

// expectHooks readies the hooks of a copy that is about to begin.
func (i *instance) expectHooks() {
	i.startHook, i.stopHook = hookOver, hookOver
	i.marks.clear(i.spec.ID)
	if i.spec.Spec.PreStop != "" {
		i.stopHook = hookDue
	}
	if i.spec.Spec.PostStart != "" {
		i.startHook = hookDue
		i.marks.set(i.spec.ID, markStarted)
	}
}

// hooks is how far both came; resetHooks takes expectHooks back.
type hooks struct{ start, stop hookState }

func (i *instance) resetHooks(h hooks) {
	i.startHook, i.stopHook = h.start, h.stop
	if h.start == hookOver {
		i.marks.unset(i.spec.ID, markStarted)
	}
	if h.stop == hookOver && i.spec.Spec.PreStop != "" {
		i.marks.set(i.spec.ID, markStopped)
	}
}

// recall finds out how far the hooks of an adopted copy came.
func (i *instance) recall() {
	if i.marks.has(i.spec.ID, markStarted) {
		i.startHook = hookCut
	}
	if i.spec.Spec.PreStop != "" && !i.marks.has(i.spec.ID, markStopped) {
		i.stopHook = hookDue
	}
}

// postStart runs the command that belongs beside a copy after its start, and
// reports whether the copy may be looked at now. A copy whose command fails is
// ended, and its start has failed, as on Kubernetes.
func (i *instance) postStart(ctx context.Context) (well bool) {
	switch i.startHook {
	case hookOver:
		return true
	case hookCut:
		i.putDown(ctx, "its post-start command was interrupted")
		return false
	case hookDue: // below
	}
	i.startHook = hookCut
	i.note(func(s *platform.Instance) { s.Message = "its post-start command runs" })
	var running sync.WaitGroup
	defer running.Wait()
	bounded, cancel := context.WithTimeout(ctx, postStartLimit)
	defer cancel()
	failed := make(chan error, 1)
	running.Go(func() { failed <- i.hook(bounded, "post-start", i.spec.Spec.PostStart, postStartLimit) })
	select {
	case exit := <-i.exits:
		i.hearExit(exit)
		return false
	case <-i.removed:
		return false
	case err := <-failed:
		return i.postStarted(ctx, err)
	}
}

// postStarted takes note of how it ended.
func (i *instance) postStarted(ctx context.Context, err error) (well bool) {
	if ctx.Err() != nil {
		return false
	}
	if err == nil {
		i.startHook = hookOver
		i.marks.unset(i.spec.ID, markStarted)
		i.note(func(s *platform.Instance) { s.Message = "" })
		return true
	}
	if exit, ended := i.endedWith(err); ended {
		i.hearExit(exit)
		return false
	}
	i.putDown(ctx, err.Error())
	return false
}

// exitHeard is how much later than what it killed an instance's end may be heard
// of. Where a command was killed by something else, its failure is told so late.
const exitHeard = 10 * time.Second

// endedWith tells the failure of a command from the end of the instance it ran
// in, which kills it or makes it fail.
func (i *instance) endedWith(err error) (runtime.Exit, bool) {
	patience := time.Duration(0)
	if errors.Is(err, errKilled) || errors.Is(err, platform.ErrNotFound) {
		patience = exitHeard
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case exit := <-i.exits:
		return exit, true
	case <-late.C:
		return runtime.Exit{}, false
	}
}

// preStop runs the command that belongs before a copy's SIGTERM, once, and
// returns what is left of the grace. It returns early when ctx ends.
func (i *instance) preStop(ctx context.Context) (grace time.Duration) {
	grace = i.spec.Spec.Grace
	if i.stopHook != hookDue || i.current() == nil || grace <= 0 {
		return grace
	}
	begun := time.Now()
	bounded, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	err := i.hook(bounded, "pre-stop", i.spec.Spec.PreStop, grace)
	if ctx.Err() != nil {
		return 0
	}
	if err != nil && !errors.Is(err, platform.ErrNotFound) {
		i.logs.say(i.spec, i.short()+" "+err.Error())
	}
	i.stopHook = hookOver
	i.marks.set(i.spec.ID, markStopped)
	return max(0, grace-time.Since(begun))
}

var errKilled = errors.New("it was killed")

// hook runs a command line beside the instance. When it fails, what it said
// last goes to the app's log, and the error says the rest in words.
func (i *instance) hook(ctx context.Context, name, line string, limit time.Duration) error {
	var said lastWords
	code, err := i.runtime.Shell(ctx, i.spec.ID, line, platform.IO{Stdout: &said, Stderr: &said})
	switch {
	case err == nil && code == 0:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil:
		err = fmt.Errorf("%s command was killed: it ran for %s", name, words(limit))
	case err != nil:
		return fmt.Errorf("%s command could not run: %w", name, err)
	case code == 128+9 || code < 0:
		err = fmt.Errorf("%s command failed: %w", name, errKilled)
	default:
		err = fmt.Errorf("%s command exited with code %d", name, code)
	}
	for text := range said.lines() {
		i.logs.say(i.spec, fmt.Sprintf("%s %s: %s", i.short(), name, text))
	}
	return err
}

// maxWordsKept bounds what is kept of a hook's output, in bytes.
const maxWordsKept = 8 << 10

// lastWords keeps the end of what is written to it.
type lastWords struct {
	mu   sync.Mutex
	kept []byte
	cut  bool
}

func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, p...)
	if over := len(w.kept) - maxWordsKept; over > 0 {
		w.kept, w.cut = append([]byte(nil), w.kept[over:]...), true
	}
	return len(p), nil
}

// lines yields the whole lines that were kept.
func (w *lastWords) lines() func(yield func(string) bool) {
	return func(yield func(string) bool) {
		w.mu.Lock()
		kept := w.kept
		if w.cut {
			_, kept, _ = bytes.Cut(kept, []byte("\n"))
		}
		w.mu.Unlock()
		for line := range bytes.Lines(kept) {
			if !yield(string(bytes.TrimRight(line, "\r\n"))) {
				return
			}
		}
	}
}
