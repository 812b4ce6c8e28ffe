package containerd

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/runtime"
)

// follow owns the goroutine that waits for an instance's end.
func (r *Runtime) follow(i *instance) {
	r.owned.Go(func() {
		status, ok := r.awaitExit(i)
		if ok {
			r.ended(i, status)
		}
	})
}

// awaitExit blocks until the container's own process has ended. The kernel is
// asked, not containerd: that may be killed and come back meanwhile, and its
// answer is lost with the shim. It returns false when the runtime was closed
// first.
func (r *Runtime) awaitExit(i *instance) (client.ExitStatus, bool) {
	if !awaitEnd(r.life, int(i.task.Pid())) {
		return client.ExitStatus{}, false
	}
	var reaped time.Time
	for pause := time.Millisecond; r.life.Err() == nil; pause = min(2*pause, 100*time.Millisecond) {
		status, err := i.task.Status(r.life)
		switch {
		case err == nil && status.Status == client.Stopped:
			return *client.NewExitStatus(status.ExitStatus, status.ExitTime, nil), true
		case err == nil && reaped.IsZero():
			reaped = time.Now()
		case errdefs.IsNotFound(err), err == nil && time.Since(reaped) > shimPatience:
			// Its shim died; containerd kills what a dead shim held.
			return *client.NewExitStatus(128+uint32(unix.SIGKILL), time.Now(), nil), true
		case err != nil:
			_ = r.engine.serving(r.life) // whoever guards it starts it again
		}
		wait(r.life, pause)
	}
	return client.ExitStatus{}, false
}

// shimPatience is how long a shim may take to notice an end.
const shimPatience = 10 * time.Second

// codeOf is the exit code to tell.
func (i *instance) codeOf(status client.ExitStatus) int {
	code, _, err := status.Result()
	if err != nil {
		return -1
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended != 0 && code == 128+uint32(unix.SIGKILL) {
		return 128 + i.ended
	}
	return int(code)
}

// ended cleans up and tells the watcher. Before anybody hears of the end, the
// files are gone and the id is free to be started again.
func (r *Runtime) ended(i *instance, status client.ExitStatus) {
	limits := i.record.Spec.Spec.Limits
	full := limits.MemoryBytes > 0 && outOfMemory(r.group(i.record.Container))
	if !r.scrapped(i) {
		return // the next life finds it
	}
	at := status.ExitTime()
	if at.IsZero() {
		at = time.Now()
	}
	code := i.codeOf(status)
	i.exit = runtime.Exit{ID: i.id, At: at, Code: code, Reason: runtime.Reason(code, full, limits)}
	if i.oneOff {
		if err := os.RemoveAll(i.dir); err != nil {
			r.log.Warn("files of an ended run are left", "instance", i.id, "err", err)
		}
	}
	r.log.Info("instance ended", "app", i.record.Spec.App, "instance", i.id, "reason", i.exit.Reason)
	r.forget(i)
	if !i.oneOff {
		r.exits.Add(i.exit)
	}
}

// abandon takes away what a start that failed has made.
func (r *Runtime) abandon(i *instance) {
	if i.record.Container == "" {
		r.forget(i)
		return
	}
	i.task = nil
	r.mu.Lock()
	closed := r.closed
	r.mu.Unlock()
	if closed {
		r.forget(i)
		return
	}
	// Not waited for when containerd is away: the id is free then.
	if !r.scrapOnce(i) {
		container, shim := i.record.Container, i.record.Shim
		r.owned.Go(func() { r.scrapLater(container, shim) })
	}
	if i.oneOff {
		_ = os.RemoveAll(i.dir)
	}
	r.forget(i)
}

const scrapPatience = 30 * time.Second

func (r *Runtime) scrapOnce(i *instance) bool {
	ctx, cancel := context.WithTimeout(r.life, scrapPatience)
	defer cancel()
	err := r.scrap(ctx, i.record.Container, i.record.Shim, nil)
	if err == nil {
		err = os.RemoveAll(filepath.Join(i.dir, i.record.Container))
	}
	if err != nil {
		r.log.Warn("container is left for later", "instance", i.id, "err", err)
	}
	return err == nil
}

func (r *Runtime) scrapLater(container, shim string) {
	for pause := 100 * time.Millisecond; r.life.Err() == nil; pause = min(2*pause, 10*time.Second) {
		wait(r.life, pause)
		if r.scrap(r.life, container, shim, nil) == nil {
			return
		}
	}
}

// scrapped removes an ended instance's container, however often containerd
// goes away meanwhile. It returns false when the runtime was closed first.
func (r *Runtime) scrapped(i *instance) bool {
	for pause := 50 * time.Millisecond; r.life.Err() == nil; pause = min(2*pause, 5*time.Second) {
		ctx, cancel := context.WithTimeout(r.life, scrapPatience)
		err := r.scrap(ctx, i.record.Container, i.record.Shim, i.task)
		cancel()
		if err == nil {
			err = os.RemoveAll(filepath.Join(i.dir, i.record.Container))
		}
		if err == nil {
			return true
		}
		if r.life.Err() == nil {
			r.log.Warn("container could not be removed yet", "instance", i.id, "err", err)
		}
		wait(r.life, pause)
	}
	return false
}

// scrap takes a container away with all it has: processes, shim, mounts,
// control group, snapshot. What is gone already is no error. All that was
// printed is written when it returns.
func (r *Runtime) scrap(ctx context.Context, id, shim string, task client.Task) error {
	container, err := r.engine.client.LoadContainer(ctx, id)
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	if err == nil {
		if task == nil {
			if task, err = container.Task(ctx, nil); err != nil && !errdefs.IsNotFound(err) {
				return err
			}
		}
		err = r.outOfShim(shim, id, func() error {
			if task == nil {
				return nil
			}
			_, err := task.Delete(ctx, client.WithProcessKill)
			return err
		})
		if err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("end its processes: %w", err)
		}
		if err := container.Delete(ctx); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove its container: %w", err)
		}
	}
	if err := r.engine.client.SnapshotService(snapshotter).Remove(ctx, id); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove its files: %w", err)
	}
	for _, pid := range members(r.group(id)) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	removeGroup(r.group(id))
	r.leaveShim(shim, id)
	return os.RemoveAll(r.specDir(id))
}

// Stop implements runtime.Runtime.
func (r *Runtime) Stop(ctx context.Context, id string, grace time.Duration) error {
	r.mu.Lock()
	i := r.live[id]
	r.mu.Unlock()
	if i == nil {
		return nil
	}
	select {
	case <-i.started:
	case <-ctx.Done():
		// Its start is bounded by its own context; then it can be killed.
		<-i.started
	}
	if i.task != nil {
		patience, cancel := context.WithTimeout(ctx, grace)
		r.terminate(patience, i)
		cancel()
	}
	select {
	case <-i.gone:
	case <-r.life.Done():
	}
	return nil
}

// terminate asks an instance to end, and kills it when ctx ends.
func (r *Runtime) terminate(ctx context.Context, i *instance) {
	if ctx.Err() == nil {
		r.signal(ctx, i, i.stopSignal())
		select {
		case <-i.gone:
			return
		case <-ctx.Done():
		}
	}
	r.kill(i)
}

// stopSignal is the image's STOPSIGNAL, or SIGTERM.
func (i *instance) stopSignal() unix.Signal {
	name := strings.ToUpper(i.stop)
	if number := 0; name != "" {
		if _, err := fmt.Sscanf(name, "%d", &number); err == nil && number > 0 && number <= 64 {
			return unix.Signal(number)
		}
	}
	if signal := unix.SignalNum(name); signal != 0 {
		return signal
	}
	if signal := unix.SignalNum("SIG" + name); signal != 0 {
		return signal
	}
	return unix.SIGTERM
}

// kill ends every process of an instance. It needs no containerd.
func (r *Runtime) kill(i *instance) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		pids := members(r.group(i.record.Container))
		if len(pids) == 0 || isClosed(i.gone) {
			return
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// signal signals an instance as its image expects it. The process that a
// Dockerfile starts looks after its own children; a command line has nobody
// who does, so all of its processes are signalled. The first process of a
// container does not get signals that it does not catch: where the default is
// to end, it is ended once the others are.
func (r *Runtime) signal(ctx context.Context, i *instance, signal unix.Signal) {
	first := int(i.task.Pid())
	does := disposition(first, signal)
	if does == catches && !i.slug {
		_ = unix.Kill(first, signal)
		return
	}
	for _, pid := range members(r.group(i.record.Container)) {
		_ = unix.Kill(pid, signal)
	}
	if does == byDefault && !slices.Contains(harmless, signal) {
		r.endFirst(ctx, i, first, signal)
	}
}

// harmless signals do nothing by default, or stop a process for a time.
var harmless = []unix.Signal{unix.SIGCHLD, unix.SIGCONT, unix.SIGURG, unix.SIGWINCH, unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU}

// afterwards is how long a first process has to end after its children did.
const afterwards = 100 * time.Millisecond

func (r *Runtime) endFirst(ctx context.Context, i *instance, first int, signal unix.Signal) {
	var alone time.Time
	for !isClosed(i.gone) && ctx.Err() == nil {
		pids := members(r.group(i.record.Container))
		switch {
		case len(pids) == 0:
			return
		case len(pids) > 1:
			alone = time.Time{}
		case alone.IsZero():
			alone = time.Now()
		case time.Since(alone) > afterwards:
			i.mu.Lock()
			i.ended = int(signal)
			i.mu.Unlock()
			_ = unix.Kill(first, unix.SIGKILL)
			return
		}
		wait(ctx, 5*time.Millisecond)
	}
}

// Watch implements runtime.Runtime.
func (r *Runtime) Watch(ctx context.Context) iter.Seq[runtime.Exit] {
	return r.exits.Watch(ctx, r.told)
}

// told notes on disk that the end was reported, so that it is not after the
// next start of the platform, unless the id runs again.
func (r *Runtime) told(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, again := r.live[id]; again {
		return
	}
	rec, _, err := r.readRecord(r.dir(id), id)
	if err != nil {
		return // forgotten already
	}
	rec.Ended, rec.Spec.Spec.Env = true, nil
	if err := r.writeRecord(r.dir(id), rec); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.log.Warn("end of an instance was not recorded", "instance", id, "err", err)
	}
}
