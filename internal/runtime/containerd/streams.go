package containerd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// Run implements runtime.Runtime.
func (r *Runtime) Run(ctx context.Context, spec platform.InstanceSpec, stream platform.IO) (int, error) {
	spec = withTerm(spec, stream.Terminal)
	w := newWires(stream)
	i, err := r.begin(ctx, spec, true, connection{
		merged: w.merged(), terminal: stream.Terminal,
		creator: func(i *instance) cio.Creator { return w.creator(filepath.Join(i.dir, i.record.Container)) },
	})
	if err != nil {
		return 0, err
	}
	life, end := context.WithCancel(r.life)
	defer end()
	go w.forward(life, i.task, func(signal unix.Signal) { r.signal(life, i, signal) })
	select {
	case <-i.gone:
	case <-ctx.Done():
		r.kill(i)
		select {
		case <-i.gone:
		case <-r.life.Done():
		}
		return 0, ctx.Err()
	case <-r.life.Done():
		return 0, fmt.Errorf("run %s: the node ends: %w", spec.ID, platform.ErrUnavailable)
	}
	return i.exit.Code, nil
}

// withTerm adds TERM, as a login would.
func withTerm(spec platform.InstanceSpec, terminal *platform.Terminal) platform.InstanceSpec {
	if terminal == nil || terminal.Term == "" {
		return spec
	}
	env := map[string]string{"TERM": terminal.Term}
	maps.Copy(env, spec.Spec.Env)
	spec.Spec.Env = env
	return spec
}

// Exec implements runtime.Runtime.
func (r *Runtime) Exec(ctx context.Context, id string, argv []string, stream platform.IO) (int, error) {
	i, err := r.runningOne(id)
	if err != nil {
		return 0, err
	}
	if len(argv) == 0 {
		return 0, platform.Invalid("command", "no command for %s", id)
	}
	return r.enter(r.in(ctx), i, argv, i.environ(), stream)
}

// Shell implements runtime.Runtime. A slug's launcher makes the environment
// anew: that of the instance's own may be under way still.
func (r *Runtime) Shell(ctx context.Context, id, line string, stream platform.IO) (int, error) {
	i, err := r.runningOne(id)
	if err != nil {
		return 0, err
	}
	if i.slug {
		return r.enter(r.in(ctx), i, []string{launcher, line}, i.process.Env, stream)
	}
	shell, ok := i.shells.shell("/bin/sh")
	if !ok {
		return 0, errNoShell
	}
	return r.enter(r.in(ctx), i, []string{shell, "-c", line}, i.process.Env, stream)
}

func (r *Runtime) runningOne(id string) (*instance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.live[id]
	if i == nil || !i.running() || i.process == nil {
		return nil, fmt.Errorf("exec: %w", &platform.NotFoundError{Kind: "Instance", ID: id})
	}
	return i, nil
}

// environ is the environment of the instance's first process: what a slug's
// launcher added to it is only there, once it has.
func (i *instance) environ() []string {
	if !i.slug && i.process.Env != nil {
		return i.process.Env
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", i.task.Pid()))
	if err != nil || len(text) == 0 {
		return i.process.Env
	}
	return runtime.Completed(i.process.Env, strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"))
}

// execPatience bounds the start of a command in a machine however busy.
const execPatience = 30 * time.Second

// enter runs a command inside an instance until it ends.
func (r *Runtime) enter(ctx context.Context, i *instance, argv, env []string, stream platform.IO) (int, error) {
	if err := r.engine.serving(ctx); err != nil { // or soon again
		return 0, err
	}
	w := newWires(stream)
	process := *i.process
	process.Args, process.Env, process.Terminal, process.ConsoleSize = argv, env, stream.Terminal != nil, nil
	if t := stream.Terminal; t != nil {
		if t.Term != "" {
			process.Env = append(slices.Clone(env), "TERM="+t.Term)
		}
		if t.Size.Rows != 0 && t.Size.Cols != 0 {
			process.ConsoleSize = &specs.Box{Height: uint(t.Size.Rows), Width: uint(t.Size.Cols)}
		}
	}
	name := "e" + strings.ToLower(rand.Text())
	if w.merged() {
		name += "-m"
	}
	dir := filepath.Join(i.dir, i.record.Container, name)
	defer os.RemoveAll(dir)
	inside, err := i.task.Exec(ctx, name, &process, w.creator(dir))
	if err != nil {
		return 0, i.unentered(err)
	}
	keep := context.WithoutCancel(ctx)
	exited, err := inside.Wait(keep)
	if err == nil {
		// A start that is cut off in the middle leaves what runs to nobody: it is
		// finished, and ended by attend.
		starting, cancel := context.WithTimeout(keep, execPatience)
		err = inside.Start(starting)
		cancel()
	}
	if err != nil {
		_, _ = inside.Delete(keep, client.WithProcessKill)
		return w.notStarted(i, err)
	}
	return r.attend(ctx, i, inside, exited, w)
}

// attend carries bytes, signals and sizes until the process has ended.
func (r *Runtime) attend(ctx context.Context, i *instance, inside client.Process, exited <-chan client.ExitStatus, w *wires) (int, error) {
	life, end := context.WithCancel(ctx)
	defer end()
	go w.forward(life, inside, func(signal unix.Signal) { _ = unix.Kill(int(inside.Pid()), signal) })
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var status client.ExitStatus
	select {
	case status = <-exited:
	case <-i.gone: // and containerd may never answer
		inside.IO().Cancel()
		return 128 + int(unix.SIGKILL), nil
	case <-ctx.Done():
		killTree(int(inside.Pid()))
		select {
		case <-exited:
		case <-keep.Done():
		}
		_, _ = inside.Delete(keep, client.WithProcessKill)
		return 0, ctx.Err()
	}
	code, _, err := status.Result()
	w.finish(inside)
	deleting, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	_, _ = inside.Delete(deleting) // gone with its instance, or with containerd
	if err != nil {
		return 0, i.unentered(err)
	}
	return int(code), nil
}

// finish waits for what is still printed. A process left behind in the
// instance may hold the output open.
func (w *wires) finish(inside client.Process) {
	done := make(chan struct{})
	go func() { inside.IO().Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainPatience):
		inside.IO().Cancel()
		inside.IO().Close()
	}
}

const drainPatience = 5 * time.Second

func (i *instance) unentered(err error) error {
	if isClosed(i.gone) || strings.Contains(err.Error(), "not found") || strings.Contains(err.Error(), "stopped") {
		return fmt.Errorf("exec: %w", &platform.NotFoundError{Kind: "Instance", ID: i.id})
	}
	return fmt.Errorf("exec in %s: %w", i.id, err)
}

// notStarted tells what a shell would of a program that is not there.
func (w *wires) notStarted(i *instance, err error) (int, error) {
	if what, code := notRun(err); code != 0 {
		_, _ = fmt.Fprintln(w.stderr, what)
		return code, nil
	}
	return 0, i.unentered(err)
}

// killTree kills a process and all below it.
func killTree(pid int) {
	all := []int{pid}
	for next := 0; next < len(all); next++ {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[next]))
		_ = unix.Kill(all[next], unix.SIGSTOP) // it has no more of them
		for _, list := range lists {
			text, _ := os.ReadFile(list)
			for field := range strings.FieldsSeq(string(text)) {
				if child, err := strconv.Atoi(field); err == nil {
					all = append(all, child)
				}
			}
		}
	}
	for _, pid := range all {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// wires join a process with whoever asked for it.
type wires struct {
	stream         platform.IO
	stdin          *input // nil: empty
	stdout, stderr io.Writer
}

func newWires(stream platform.IO) *wires {
	w := &wires{stream: stream, stdout: &output{to: stream.Stdout}, stderr: &output{to: stream.Stderr}}
	if w.merged() {
		w.stderr = w.stdout
	}
	if stream.Stdin != nil {
		w.stdin = &input{from: stream.Stdin, terminal: stream.Terminal != nil, ended: make(chan struct{})}
	}
	return w
}

func (w *wires) merged() bool { return w.stream.Merged && w.stream.Terminal == nil }

// creator makes the pipes in a folder of the process's own.
func (w *wires) creator(dir string) cio.Creator {
	var stdin io.Reader
	if w.stdin != nil {
		stdin = w.stdin
	}
	options := []cio.Opt{cio.WithStreams(stdin, w.stdout, w.stderr), cio.WithFIFODir(dir)}
	if w.stream.Terminal != nil {
		options = append(options, cio.WithTerminal)
	}
	return cio.NewCreator(options...)
}

// process is a task or an exec.
type process interface {
	Resize(ctx context.Context, w, h uint32) error
	CloseIO(ctx context.Context, opts ...client.IOCloserOpts) error
}

// forward hands signals, window sizes and the end of the input on until ctx ends.
func (w *wires) forward(ctx context.Context, p process, signal func(unix.Signal)) {
	signals := w.stream.Signals
	var sizes <-chan platform.WindowSize
	if w.stream.Terminal != nil {
		sizes = w.stream.Terminal.Resize
	}
	var ended <-chan struct{}
	if w.stdin != nil && w.stream.Terminal == nil {
		ended = w.stdin.ended
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
			_ = p.CloseIO(ctx, client.WithStdinCloser)
			ended = nil
		case name, open := <-signals:
			if !open {
				signals = nil
			} else if number := unix.SignalNum("SIG" + name); number != 0 {
				signal(number)
			}
		case size, open := <-sizes:
			if !open {
				sizes = nil
			} else if size.Rows != 0 && size.Cols != 0 {
				_ = p.Resize(ctx, uint32(size.Cols), uint32(size.Rows)) // the terminal may have gone already
			}
		}
	}
}

// input tells of its end, once all before it is written, and types ^D then at
// a terminal.
type input struct {
	from     io.Reader
	terminal bool
	typed    bool
	err      error
	once     sync.Once
	ended    chan struct{}
}

const endOfFile = 4

func (in *input) Read(p []byte) (int, error) {
	if in.err == nil {
		n, err := in.from.Read(p)
		in.err = err
		if n > 0 {
			return n, nil
		}
		if err == nil {
			return 0, nil
		}
	}
	if in.terminal && !in.typed && len(p) > 0 && errors.Is(in.err, io.EOF) {
		in.typed, p[0] = true, endOfFile
		return 1, nil
	}
	in.once.Do(func() { close(in.ended) })
	return 0, in.err
}

// output goes on when nobody reads any more, so that the process does.
type output struct {
	to io.Writer // nil: nobody does

	mu     sync.Mutex
	failed bool
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.to != nil && !o.failed {
		_, err := o.to.Write(p)
		o.failed = err != nil
	}
	return len(p), nil
}

// own marks a one-off as attached to this process.
func (i *instance) own() (err error) {
	i.owner, err = runtime.Own(i.dir)
	return err
}
