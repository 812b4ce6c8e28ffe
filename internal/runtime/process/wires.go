package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// wires join a process with whoever asked for it, through pipes or a terminal.
type wires struct {
	stream platform.IO
	pipes  sandbox.Pipes
	master *os.File // nil without a terminal
	copied sync.WaitGroup
}

// connect sets the process's files, which the caller closes once it is started.
func (w *wires) connect(p *sandbox.Process) error {
	if w.stream.Terminal == nil {
		return w.pipes.Connect(p, sandbox.Streams{Stdin: w.stream.Stdin, Stdout: w.stream.Stdout, Stderr: w.stream.Stderr})
	}
	master, slave, err := pty.Open()
	if err != nil {
		return fmt.Errorf("open a terminal: %w", err)
	}
	w.master = master
	p.Stdin, p.Stdout, p.Stderr, p.Terminal = slave, slave, slave, true
	if os.Geteuid() == 0 {
		// Programs that reopen their terminal by name do it as the app.
		if err := slave.Chown(p.UID, p.UID); err != nil {
			return fmt.Errorf("give the terminal away: %w", err)
		}
	}
	return w.resize(w.stream.Terminal.Size)
}

func (w *wires) resize(size platform.WindowSize) error {
	if size.Rows == 0 || size.Cols == 0 {
		return nil
	}
	if err := pty.Setsize(w.master, &pty.Winsize{Rows: size.Rows, Cols: size.Cols}); err != nil {
		return fmt.Errorf("resize the terminal: %w", err)
	}
	return nil
}

// attend carries bytes, signals and sizes until the process has ended, and
// returns its exit code once all it printed is written.
func (w *wires) attend(ctx context.Context, c *sandbox.Confined) (int, error) {
	if w.master == nil {
		w.pipes.Started()
	} else {
		w.copyTerminal()
	}
	life, end := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	helpers.Go(func() { w.forward(life, c) })
	exit, err := c.Wait(ctx)
	end()
	helpers.Wait()
	w.drain(c)
	if err != nil {
		return 0, err
	}
	return exit.Code, nil
}

// forward hands signals and window sizes on until ctx ends.
func (w *wires) forward(ctx context.Context, c *sandbox.Confined) {
	signals := w.stream.Signals
	var sizes <-chan platform.WindowSize
	if w.stream.Terminal != nil {
		sizes = w.stream.Terminal.Resize
	}
	for {
		select {
		case <-ctx.Done():
			return
		case name, open := <-signals:
			if !open {
				signals = nil
			} else if sig := unix.SignalNum("SIG" + name); sig != 0 {
				c.Signal(ctx, syscall.Signal(sig))
			}
		case size, open := <-sizes:
			if !open {
				sizes = nil
			} else {
				_ = w.resize(size) // the terminal may have gone already
			}
		}
	}
}

// endOfFile is what ^D types.
const endOfFile = 4

func (w *wires) copyTerminal() {
	if stdin := w.stream.Stdin; stdin != nil {
		// Not waited for: a reader may block long after the process has gone.
		go func() {
			if _, err := io.Copy(w.master, stdin); err == nil {
				_, _ = w.master.Write([]byte{endOfFile})
			}
		}()
	}
	stdout := w.stream.Stdout
	if stdout == nil {
		stdout = io.Discard
	}
	w.copied.Go(func() {
		// Ends with EIO once nobody has the other side open.
		if _, err := io.Copy(stdout, w.master); err != nil && !errors.Is(err, syscall.EIO) {
			_, _ = io.Copy(io.Discard, w.master)
		}
	})
}

// drainPatience bounds the wait for output that only a process which escaped
// a machine without namespaces can hold back.
const drainPatience = 5 * time.Second

func (w *wires) drain(c *sandbox.Confined) {
	if !c.Whole() {
		late := time.AfterFunc(drainPatience, w.close)
		defer late.Stop()
	}
	w.copied.Wait()
	w.pipes.Drain()
}

func (w *wires) close() {
	w.pipes.Close()
	if w.master != nil {
		w.master.Close()
	}
}
