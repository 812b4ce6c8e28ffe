package buildpack

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// Files of a workspace that let a later process find its sandbox.
const (
	statusFile = "status"
	handleFile = "handle.json"
)

// confine runs p to its end and returns when nothing of it runs. Its handle is
// on disk before it begins, so that the next process ends what a crash of this
// one leaves running.
func (b *Builder) confine(ctx context.Context, w *workspace, p sandbox.Process, out *output) (sandbox.Exit, error) {
	var pipes sandbox.Pipes
	defer pipes.Close()
	if err := pipes.Connect(&p, sandbox.Streams{Stdout: out, Stderr: out}); err != nil {
		return sandbox.Exit{}, err
	}
	confined, err := b.sandbox.Start(p, func(h sandbox.Handle) error {
		text, err := json.Marshal(h)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(w.dir, handleFile), text, 0o600)
	})
	pipes.Started()
	if err != nil {
		pipes.Drain()
		return sandbox.Exit{}, err
	}
	exit, err := confined.Wait(ctx)
	pipes.Drain()
	return exit, err
}

// endLeftovers ends builds that an earlier process left running and removes
// their workspaces.
func (b *Builder) endLeftovers() error {
	entries, err := os.ReadDir(b.workDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		dir := filepath.Join(b.workDir(), entry.Name())
		text, err := os.ReadFile(filepath.Join(dir, handleFile))
		if err != nil {
			continue // its sandbox was never let go
		}
		var handle sandbox.Handle
		if err := json.Unmarshal(text, &handle); err != nil {
			continue
		}
		if confined, _, err := b.sandbox.Adopt(handle); err == nil {
			b.log.Info("build of an earlier process was ended", "build", entry.Name())
			confined.Kill()
		}
	}
	if err := builder.RemoveAll(b.workDir()); err != nil {
		return err
	}
	return os.MkdirAll(b.workDir(), 0o711)
}
