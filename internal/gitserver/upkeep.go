package gitserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	upkeepEvery   = time.Hour        // at most so often for one app
	upkeepTimeout = 30 * time.Minute // for one repack
)

// upkeep remembers when each repository was looked after, and ends what runs.
type upkeep struct {
	mu     sync.Mutex
	last   map[string]time.Time
	cancel map[string]context.CancelFunc
	closed bool
}

// begin returns a context for looking after an app's repository, or false when
// it is not due.
func (u *upkeep) begin(ctx context.Context, app string) (context.Context, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last, u.cancel = make(map[string]time.Time), make(map[string]context.CancelFunc)
	}
	last, known := u.last[app]
	if u.closed || u.cancel[app] != nil || known && time.Since(last) < upkeepEvery {
		return nil, false
	}
	u.last[app] = time.Now()
	ctx, u.cancel[app] = context.WithTimeout(context.WithoutCancel(ctx), upkeepTimeout)
	return ctx, true
}

func (u *upkeep) end(app string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cancel[app]()
	delete(u.cancel, app)
}

func (u *upkeep) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for _, cancel := range u.cancel {
		cancel()
	}
}

// startUpkeep repacks a repository in the background when it is due and git
// finds it worthwhile. Pushes and fetches go on meanwhile.
func (s *Server) startUpkeep(ctx context.Context, app, repo string) {
	ctx, due := s.upkeep.begin(ctx, app)
	if !due {
		return
	}
	s.work.Go(func() {
		defer s.upkeep.end(app)
		guard, err := lockFile(filepath.Join(repo, upkeepLock))
		if err != nil {
			return // a repack of a dead server still runs
		}
		defer guard.Close() // nothing was written
		cmd := s.git.command(ctx, repo, "-c", "gc.auto=1000", "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet")
		if err := runQuietly(cmd, guard); err != nil && ctx.Err() == nil {
			s.log.Warn("git repository was not repacked", "app", app, "err", err)
		}
	})
}

// runQuietly runs cmd behind everything else on the machine.
func runQuietly(cmd *exec.Cmd, guard *os.File) error {
	var complaints strings.Builder
	cmd.Stderr = &complaints
	cmd.ExtraFiles = []*os.File{guard}
	if err := cmd.Start(); err != nil {
		return err
	}
	syscall.Setpriority(syscall.PRIO_PGRP, cmd.Process.Pid, 19) //nolint:errcheck // only a courtesy
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("git gc: %w: %s", err, strings.TrimSpace(complaints.String()))
	}
	return nil
}
