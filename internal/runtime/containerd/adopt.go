package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/runtime"
)

// Adopt implements runtime.Runtime.
func (r *Runtime) Adopt(ctx context.Context) ([]runtime.Running, error) {
	ctx = r.in(ctx)
	entries, err := os.ReadDir(filepath.Join(r.options.Dir, "instances"))
	if err != nil {
		return nil, fmt.Errorf("adopt instances: %w", err)
	}
	var found []*instance
	for _, entry := range entries {
		if i := r.remember(entry.Name()); i != nil {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return nil, nil // containerd is begun when it is needed
	}
	if err := r.ready(ctx); err != nil {
		return nil, fmt.Errorf("adopt instances: %w", err)
	}
	var adopted []runtime.Running
	for _, i := range found {
		runs, err := r.adopt(ctx, i)
		if err != nil {
			return adopted, fmt.Errorf("adopt %s: %w", i.id, err)
		}
		if runs {
			adopted = append(adopted, i.record.runningAs(i.dir))
		}
	}
	return adopted, nil
}

// remember makes an instance of a record, unless its end was told.
func (r *Runtime) remember(id string) *instance {
	dir := r.dir(id)
	rec, stale, err := r.readRecord(dir, id)
	owned := runtime.Owned(dir) // a one-off, which may have no record yet
	if rec.Network.IsValid() && !rec.Ended {
		r.network.keep(rec.Network)
	}
	if rec.Image != "" && !rec.Ended {
		r.images.keep(rec.Image)
	}
	switch {
	case owned:
		return nil
	case err != nil:
		// No record: it never began. Damaged by a power cut: nothing runs since.
		r.log.Warn("instance without a record was cleaned", "instance", id, "err", err)
		r.cleanCopies(dir, "")
		return nil
	case rec.Ended:
		r.cleanCopies(dir, "")
		return nil
	}
	if stale {
		if err := r.writeRecord(dir, rec); err != nil {
			r.log.Warn("secrets of an instance stay as they were sealed", "instance", id, "err", err)
		}
	}
	if rec.shut != nil {
		r.log.Error("environment of an instance could not be opened; it runs on, and is not restarted without it", "instance", id, "err", rec.shut)
	}
	r.cleanCopies(dir, rec.Container)
	i := &instance{
		id: id, dir: dir, oneOff: rec.OneOff, wish: rec.Spec.Spec, record: rec,
		started: make(chan struct{}), gone: make(chan struct{}),
	}
	close(i.started)
	r.mu.Lock()
	r.live[id] = i
	r.mu.Unlock()
	r.keepShim(rec.Shim, rec.Spec.App, rec.Container)
	return i
}

// cleanCopies removes what copies but one left in an instance's folder.
func (r *Runtime) cleanCopies(dir, but string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if !entry.IsDir() || entry.Name() == but {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			r.log.Warn("files of an ended instance are left", "path", dir, "err", err)
		}
	}
}

// adopt compares a record with what containerd has, and reports whether the
// instance runs.
func (r *Runtime) adopt(ctx context.Context, i *instance) (bool, error) {
	container, err := r.engine.client.LoadContainer(ctx, i.record.Container)
	var status client.Status
	if err == nil {
		if i.task, err = container.Task(ctx, nil); err == nil {
			status, err = i.task.Status(ctx)
		}
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return false, err
	}
	switch {
	case err != nil:
		i.task = nil
		r.ended(i, *client.NewExitStatus(client.UnknownExitStatus, time.Now(), errGone))
		return false, nil
	case status.Status == client.Created:
		r.abandon(i) // its start was cut before it began
		return false, nil
	case status.Status == client.Stopped:
		r.ended(i, *client.NewExitStatus(status.ExitStatus, status.ExitTime, nil))
		return false, nil
	}
	if err := r.restore(ctx, i, container); err != nil {
		return false, err
	}
	r.follow(i)
	if i.oneOff {
		r.kill(i) // whoever was attached to it has gone
		<-i.gone
		return false, nil
	}
	return true, nil
}

// restore learns again what an exec needs.
func (r *Runtime) restore(ctx context.Context, i *instance, container client.Container) error {
	s, err := container.Spec(ctx)
	if err != nil {
		return err
	}
	i.process = s.Process
	img, err := r.images.find(ctx, i.record.Image)
	if err != nil {
		r.log.Warn("image of an instance is gone", "instance", i.id, "err", err)
		return nil
	}
	i.slug, i.stop = img.isSlug(), img.config.StopSignal
	if i.shells, err = r.insides(ctx, i.record.Container, img); err != nil {
		return err
	}
	if i.record.shut == nil {
		i.process.Env = environment(i.record.Spec.Spec, img, i.shells)
	}
	return nil
}

// sweep takes away the containers of no instance: those whose start was cut,
// and those of instances that were forgotten meanwhile.
func (r *Runtime) sweep(ctx context.Context) error {
	if err := r.engine.dropLeases(ctx); err != nil {
		return err
	}
	all, err := r.endStrayGroups(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	var ours []string
	for _, i := range r.live {
		ours = append(ours, i.record.Container)
	}
	r.mu.Unlock()
	for _, container := range all {
		info, err := container.Info(ctx, client.WithoutRefreshedMetadata)
		if err != nil {
			continue // gone meanwhile
		}
		id := info.Labels[labelInstance]
		if slices.Contains(ours, container.ID()) || id != "" && runtime.Owned(r.dir(id)) {
			continue
		}
		if err := r.scrap(ctx, container.ID(), info.Labels[labelShim], nil); err != nil {
			return errors.Join(fmt.Errorf("take %s away: %w", container.ID(), err))
		}
		r.log.Info("container of no instance was removed", "container", container.ID())
	}
	return nil
}

// endStrayGroups kills what is in control groups of no container: containerd
// was killed over it. It returns the containers there are.
func (r *Runtime) endStrayGroups(ctx context.Context) ([]client.Container, error) {
	groups := subgroups("/" + r.namespace())
	all, err := r.engine.client.Containers(ctx)
	if err != nil {
		return nil, err
	}
	for _, container := range all {
		groups = slices.DeleteFunc(groups, func(group string) bool { return group == container.ID() })
	}
	for _, group := range groups {
		for _, pid := range members(r.group(group)) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		removeGroup(r.group(group))
	}
	return all, nil
}

// sweepPause is the time after which what containerd still did for a dead node
// is done, and between two looks at a shim that holds nothing.
const sweepPause = 30 * time.Second

// sweepLate takes away what came after sweep, and ends shims that containerd
// was killed over before it knew them: they hold nothing, and nobody ends them.
func (r *Runtime) sweepLate() {
	wait(r.life, sweepPause)
	if r.life.Err() != nil {
		return
	}
	if _, err := r.endStrayGroups(r.life); err != nil {
		r.log.Warn("containers of no instance may be left", "err", err)
	}
	before := r.idleShims()
	wait(r.life, sweepPause)
	if r.life.Err() != nil {
		return
	}
	for _, pid := range r.idleShims() {
		if slices.Contains(before, pid) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// idleShims are the shims of ours without a child.
func (r *Runtime) idleShims() (idle []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		words := strings.Split(string(line), "\x00")
		if filepath.Base(words[0]) != "containerd-shim-runc-v2" || !slices.Contains(words, r.namespace()) {
			continue
		}
		var children []byte
		lists, _ := filepath.Glob(filepath.Join("/proc", entry.Name(), "task", "*", "children"))
		for _, list := range lists {
			text, _ := os.ReadFile(list)
			children = append(children, text...)
		}
		if len(children) == 0 {
			idle = append(idle, pid)
		}
	}
	return idle
}
