package process

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// instance is one that is being started, runs, or is just ending.
type instance struct {
	id, dir string
	image   string // its folder is in use
	oneOff  bool
	wish    platform.Spec // what it was started as
	owner   *os.File      // of a one-off that runs: see own
	// started is closed when the start is over, for better or worse; gone
	// when nothing of it is left.
	started, gone chan struct{}
	// Valid after started; confined is nil when the start failed.
	confined *sandbox.Confined
	record   record
}

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, spec platform.InstanceSpec) (runtime.Running, error) {
	i, err := r.begin(ctx, spec, false, func(dir string, p *sandbox.Process) error {
		output, err := openOutput(dir)
		p.Stdout, p.Stderr = output, output
		return err
	})
	if err != nil {
		return runtime.Running{}, err
	}
	r.log.Info("instance was started", "app", spec.App, "release", spec.Release, "instance", spec.ID)
	return i.record.running(i.dir, r.sandbox.Offer().Isolation), nil
}

// openOutput opens the file an instance prints to. Appending makes each write
// land whole at the end, whoever else wrote.
func openOutput(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, outputFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// begin starts an instance with the files that connect sets and begin closes.
func (r *Runtime) begin(ctx context.Context, spec platform.InstanceSpec, oneOff bool, connect func(dir string, p *sandbox.Process) error) (*instance, error) {
	if err := checkSpec(spec); err != nil {
		return nil, err
	}
	i, err := r.reserve(spec, oneOff)
	if err != nil {
		return nil, err
	}
	err = r.launch(ctx, i, spec, connect)
	close(i.started)
	if err != nil {
		err = errors.Join(err, clean(i.dir))
		r.forget(i)
		return nil, fmt.Errorf("start %s: %w", spec.ID, err)
	}
	return i, nil
}

// reserve makes the id ours until forget.
func (r *Runtime) reserve(spec platform.InstanceSpec, oneOff bool) (*instance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, fmt.Errorf("start %s: the runtime is closed: %w", spec.ID, platform.ErrUnavailable)
	}
	if _, runs := r.live[spec.ID]; runs {
		return nil, fmt.Errorf("instance %s runs already: %w", spec.ID, platform.ErrConflict)
	}
	i := &instance{
		id: spec.ID, dir: r.dir(spec.ID), oneOff: oneOff, wish: spec.Spec,
		started: make(chan struct{}), gone: make(chan struct{}),
	}
	r.live[spec.ID] = i
	return i, nil
}

// forget frees the id, the port and the image of an instance that is gone.
func (r *Runtime) forget(i *instance) {
	if i.image != "" {
		r.images.release(i.image)
	}
	for _, port := range i.record.taken() {
		r.ports.giveBack(port)
	}
	closeFiles(i.owner)
	r.mu.Lock()
	delete(r.live, i.id)
	r.mu.Unlock()
	close(i.gone)
}

func (r *Runtime) launch(ctx context.Context, i *instance, spec platform.InstanceSpec, connect func(string, *sandbox.Process) error) error {
	uid, err := r.uids.Of(spec.App)
	if err != nil {
		return err
	}
	image, err := r.images.use(ctx, spec.App, spec.Spec.Image, uid)
	if err != nil {
		return err
	}
	i.image = image.dir
	i.record = record{Spec: spec, OneOff: i.oneOff, UID: uid}
	if err := r.takePorts(i, spec.Spec); err != nil {
		return err
	}
	if err := makeInstanceDir(i.dir, uid); err != nil {
		return err
	}
	if i.oneOff {
		if err := i.own(); err != nil {
			return err
		}
	}
	volumes, err := r.volumes(i, spec, uid)
	if err != nil {
		return err
	}
	i.record.env = environment(spec.Spec, image.Env, i.record.Port, i.record.Ports)
	p := sandbox.Process{
		Name: i.id, Argv: append(r.entrypoint(image), spec.Spec.Args...), Env: i.record.env, Dir: image.workingDir(),
		UID: uid, Limits: spec.Spec.Limits, Status: filepath.Join(i.dir, statusFile), Mounts: append(mounts(image, i.dir), volumes...),
	}
	err = connect(i.dir, &p)
	defer closeFiles(p.Stdin, p.Stdout, p.Stderr)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	i.record.Started = time.Now()
	confined, err := r.sandbox.Start(p, func(handle sandbox.Handle) error {
		i.record.Handle = handle
		return r.writeRecord(i.dir, i.record)
	})
	if err != nil {
		return err
	}
	r.follow(i, confined)
	return nil
}

// mounts are what an instance sees besides the machine's programs.
func mounts(image image, dir string) []sandbox.Mount {
	return []sandbox.Mount{
		{Source: filepath.Join(image.dir, "tree", "app"), Target: "/app", Scratch: filepath.Join(dir, scratchDir)},
		{Source: filepath.Join(image.dir, "tree", "slipway"), Target: "/slipway"},
		{Source: filepath.Join(dir, tmpDir), Target: "/tmp", Writable: true},
	}
}

// makeInstanceDir makes the folders of a fresh copy; only the output and the
// record of an earlier one stay.
func makeInstanceDir(dir string, uid int) error {
	if err := makeDir(dir, 0o711); err != nil {
		return err
	}
	if err := clean(dir); err != nil {
		return err
	}
	for _, own := range []string{scratchDir, tmpDir} {
		path := filepath.Join(dir, own)
		if err := makeDir(path, 0o700); err != nil {
			return err
		}
		if os.Geteuid() == 0 {
			if err := os.Chown(path, uid, uid); err != nil {
				return err
			}
		}
	}
	return nil
}

func closeFiles(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// follow owns the goroutine that waits for an instance's end.
func (r *Runtime) follow(i *instance, confined *sandbox.Confined) {
	r.mu.Lock()
	i.confined = confined
	r.mu.Unlock()
	r.owned.Go(func() {
		<-confined.Left()
		select {
		case <-confined.Done():
			r.ended(i, confined.Exit())
		default: // the runtime was closed, the instance runs on
		}
	})
}

// ended cleans up and tells the watcher. Before anybody hears of the end, the
// files are gone and the id is free to be started again.
func (r *Runtime) ended(i *instance, exit sandbox.Exit) {
	if err := clean(i.dir); err != nil {
		r.log.Warn("files of an ended instance are left", "instance", i.id, "err", err)
	}
	if i.oneOff {
		if err := os.RemoveAll(i.dir); err != nil {
			r.log.Warn("files of an ended run are left", "instance", i.id, "err", err)
		}
	}
	told := runtime.Exit{ID: i.id, At: exit.At, Code: exit.Code, Reason: runtime.Reason(exit.Code, exit.OutOfMemory, i.record.Spec.Spec.Limits)}
	r.log.Info("instance ended", "app", i.record.Spec.App, "instance", i.id, "reason", told.Reason)
	r.forget(i)
	if !i.oneOff {
		r.exits.Add(told)
	}
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
	if i.confined != nil {
		patience, cancel := context.WithTimeout(ctx, grace)
		i.confined.Terminate(patience)
		cancel()
	}
	select {
	case <-i.gone:
	case <-r.done:
	}
	return nil
}

// Adopt implements runtime.Runtime.
func (r *Runtime) Adopt(ctx context.Context) ([]runtime.Running, error) {
	entries, err := os.ReadDir(filepath.Join(r.options.Dir, "instances"))
	if err != nil {
		return nil, fmt.Errorf("adopt instances: %w", err)
	}
	var adopted []runtime.Running
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return adopted, err
		}
		if running, ok := r.adopt(entry.Name()); ok {
			adopted = append(adopted, running)
		}
	}
	r.images.tidy()
	return adopted, nil
}

func (r *Runtime) adopt(id string) (runtime.Running, bool) {
	dir := r.dir(id)
	rec, stale, err := r.readRecord(dir, id)
	switch {
	case runtime.Owned(dir): // a one-off, which may have no record yet
		r.images.keep(rec.Spec.App, rec.Spec.Spec.Image)
		return runtime.Running{}, false
	case err != nil:
		// No record: it never began. Damaged by a power cut: nothing runs since.
		r.log.Warn("instance without a record was cleaned", "instance", id, "err", err)
		r.cleanCut(id)
		return runtime.Running{}, false
	case rec.Ended:
		r.cleanCut(id) // a restart may have been cut before its record
		return runtime.Running{}, false
	}
	if stale {
		if err := r.writeRecord(dir, rec); err != nil {
			r.log.Warn("secrets of an instance stay as they were sealed", "instance", id, "err", err)
		}
	}
	if rec.shut != nil {
		r.log.Error("environment of an instance could not be opened; it runs on, and is not restarted without it", "instance", id, "err", rec.shut)
	}
	i := &instance{
		id: id, dir: dir, oneOff: rec.OneOff, record: rec, wish: rec.Spec.Spec,
		started: make(chan struct{}), gone: make(chan struct{}),
	}
	close(i.started)
	confined, exit, err := r.sandbox.Adopt(rec.Handle)
	i.image = r.images.keep(rec.Spec.App, rec.Spec.Spec.Image)
	if image, err := r.images.read(i.image); err == nil && rec.shut == nil {
		i.record.env = environment(rec.Spec.Spec, image.Env, rec.Port, rec.Ports)
	}
	for _, port := range rec.taken() {
		r.ports.keep(port)
	}
	r.mu.Lock()
	r.live[id] = i
	r.mu.Unlock()
	if err != nil {
		r.ended(i, exit)
		return runtime.Running{}, false
	}
	r.follow(i, confined)
	if rec.OneOff {
		confined.Kill() // whoever was attached to it has gone
		<-i.gone
		return runtime.Running{}, false
	}
	return rec.running(dir, r.sandbox.Offer().Isolation), true
}

// cleanCut removes what a start that was cut in the middle left.
func (r *Runtime) cleanCut(id string) {
	r.sandbox.Clear(id)
	if err := clean(r.dir(id)); err != nil {
		r.log.Warn("files of an ended instance are left", "instance", id, "err", err)
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
	if err := r.writeRecord(r.dir(id), rec); err != nil {
		r.log.Warn("end of an instance was not recorded", "instance", id, "err", err)
	}
}

// Forget implements runtime.Outputs.
func (r *Runtime) Forget(id string) error {
	if !validID.MatchString(id) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, runs := r.live[id]; runs {
		return fmt.Errorf("forget %s: it runs: %w", id, platform.ErrConflict)
	}
	if err := os.RemoveAll(r.dir(id)); err != nil {
		return fmt.Errorf("forget %s: %w", id, err)
	}
	return nil
}
