package cnb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/builder/cnb/phase"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Rebase puts an image that a Builder made, repository@digest of the app, on
// the run image that builds are put on now, without a build, and returns the
// result as repository@digest: the same where nothing changes. The story goes
// to story.
func (b *Builder) Rebase(ctx context.Context, app, image string, story io.Writer) (string, error) {
	repository, at, _ := strings.Cut(image, "@")
	if err := platform.ValidAppID(app); err != nil || repository != app || !digest.MatchString(at) {
		return "", fmt.Errorf("rebase %q of %s: not an image of it", image, app)
	}
	if err := b.able(); err != nil {
		return "", err
	}
	out := builder.NewOutput(story)
	with, err := b.prepare(ctx, out)
	if err != nil {
		return "", err
	}
	// A workspace has a tree; this one's is empty.
	tree, err := os.MkdirTemp(b.workDir(), "rebase-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tree)
	w, err := b.workspace(filepath.Clean(tree), builder.Request{App: app}, with)
	if err != nil {
		return "", fmt.Errorf("rebase %s: %w", image, err)
	}
	defer w.remove(b.log)
	gate, err := b.openGate(app, with)
	if err != nil {
		return "", fmt.Errorf("rebase %s: %w", image, err)
	}
	defer gate.close()
	run := &build{Builder: b, request: builder.Request{App: app}, workspace: w, image: with, gate: gate, out: out, rebased: at}
	err = b.options.Limits.Guard(ctx, app, out, w.measured(), func(ctx context.Context) error { return run.phase(ctx, phase.Rebase) })
	if err != nil {
		return "", err
	}
	made, err := w.readNote(phase.DigestNote)
	if err == nil && !digest.MatchString(made) {
		err = errors.New("it left no digest")
	}
	if err != nil {
		return "", fmt.Errorf("rebase %s: %w", image, err)
	}
	return app + "@" + made, nil
}
