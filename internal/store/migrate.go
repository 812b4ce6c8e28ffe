package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/slipway-paas/slipway/internal/platform"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to this version's. It is one step a file, each
// in its own transaction: a crash leaves whole steps, and the next Open goes on.
func (s *Store) migrate(ctx context.Context) error {
	unlock, err := s.engine.lock(ctx, s.db)
	if err != nil {
		return err
	}
	defer unlock()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(s.engine.dialect(), s.db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	have, know, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("database %s: read the schema version: %w", s.engine.name(), err)
	}
	if have > know {
		return &platform.UserError{
			Kind:    platform.ErrConflict,
			Message: fmt.Sprintf("database %s has schema version %d and this slipway knows versions up to %d", s.engine.name(), have, know),
			Cure:    "Start the newer slipway that migrated it, or put back the backup from before that upgrade.",
		}
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("database %s: migrate from schema version %d to %d: %w", s.engine.name(), have, know, err)
	}
	if len(results) > 0 {
		s.log.Info("database migrated", "from", have, "to", know)
	}
	return nil
}
