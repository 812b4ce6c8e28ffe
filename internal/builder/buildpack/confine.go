package buildpack

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/slipway-paas/slipway/internal/builder"
)

// endLeftovers ends builds that an earlier process left running and removes
// their workspaces.
func (b *Builder) endLeftovers() error {
	entries, err := os.ReadDir(b.workDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if b.sandbox.EndRecorded(filepath.Join(b.workDir(), entry.Name())) {
			b.log.Info("build of an earlier process was ended", "build", entry.Name())
		}
	}
	if err := builder.RemoveAll(b.workDir()); err != nil {
		return err
	}
	return os.MkdirAll(b.workDir(), 0o711)
}
