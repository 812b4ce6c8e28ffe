package sandbox

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Streams connects a process with readers and writers of the platform.
type Streams struct {
	Stdin          io.Reader // nil: empty
	Stdout, Stderr io.Writer // nil: thrown away; the same writer twice is merged in order
}

// Run runs p to its end, with its files taken from streams, and returns how it
// ended once all it printed is written. When ctx ends, all of it is killed and
// ctx's error returned. p.Status may be empty.
func (s *Sandbox) Run(ctx context.Context, p Process, streams Streams) (Exit, error) {
	if p.Status == "" {
		dir, err := os.MkdirTemp("", "slipway-run-")
		if err != nil {
			return Exit{}, err
		}
		defer os.RemoveAll(dir)
		p.Status = filepath.Join(dir, "status")
	}
	var pipes Pipes
	defer pipes.Close()
	if err := pipes.Connect(&p, streams); err != nil {
		return Exit{}, err
	}
	c, err := s.Start(p, nil)
	pipes.Started()
	if err != nil {
		pipes.Drain() // what the sandbox itself complained about
		return Exit{}, errors.Join(err, ctx.Err())
	}
	exit, err := c.Wait(ctx)
	pipes.Drain()
	return exit, err
}

// Pipes carry what a process reads and prints. The zero value is ready.
type Pipes struct {
	theirs  []*os.File // ends for the process, closed once it has them
	ours    []*os.File
	copying sync.WaitGroup // of output
	start   []func()
}

// Connect sets p's files to pipes for the streams.
func (p *Pipes) Connect(process *Process, streams Streams) error {
	var err error
	if streams.Stdin != nil {
		var in *os.File
		if process.Stdin, in, err = p.pipe(false); err != nil {
			return err
		}
		// Not waited for: a reader may block long after the process has gone.
		p.start = append(p.start, func() {
			go func() {
				_, _ = io.Copy(in, streams.Stdin)
				in.Close()
			}()
		})
	}
	if process.Stdout, err = p.output(streams.Stdout); err != nil {
		return err
	}
	if same(streams.Stdout, streams.Stderr) {
		process.Stderr = process.Stdout
		return nil
	}
	process.Stderr, err = p.output(streams.Stderr)
	return err
}

// same reports whether two writers are one; comparing may not be possible.
func same(a, b io.Writer) (is bool) {
	defer func() { _ = recover() }()
	return a != nil && a == b
}

func (p *Pipes) output(to io.Writer) (*os.File, error) {
	if to == nil {
		return nil, nil
	}
	theirs, ours, err := p.pipe(true)
	if err != nil {
		return nil, err
	}
	p.start = append(p.start, func() {
		p.copying.Go(func() {
			if _, err := io.Copy(to, ours); err != nil {
				_, _ = io.Copy(io.Discard, ours) // a process must not block on a reader that left
			}
		})
	})
	return theirs, nil
}

func (p *Pipes) pipe(output bool) (theirs, ours *os.File, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	theirs, ours = r, w
	if output {
		theirs, ours = w, r
	}
	p.theirs, p.ours = append(p.theirs, theirs), append(p.ours, ours)
	return theirs, ours, nil
}

// Started closes the process's ends here and begins to copy.
func (p *Pipes) Started() {
	for _, f := range p.theirs {
		f.Close()
	}
	p.theirs = nil
	for _, start := range p.start {
		start()
	}
	p.start = nil
}

// Drain returns when everything printed is written. The process must have ended.
func (p *Pipes) Drain() { p.copying.Wait() }

// Close closes what is open. It may be called at any time, more than once.
func (p *Pipes) Close() {
	for _, f := range append(p.theirs, p.ours...) {
		f.Close()
	}
}
