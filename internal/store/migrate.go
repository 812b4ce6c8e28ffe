package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/slipway-paas/slipway/internal/platform"
)

// The steps of the schema. Those in a folder of an engine are where the two
// have no words in common; every engine has a file for such a step.
//
//go:embed migrations
var migrations embed.FS

// migrate brings the schema up to this version's. It is one step a file, each
// in its own transaction: a crash leaves whole steps, and the next Open goes on.
func (s *Store) migrate(ctx context.Context) error {
	unlock, err := s.engine.lock(ctx, s.db)
	if err != nil {
		return err
	}
	defer unlock()
	provider, have, know, err := s.versions(ctx)
	if err != nil {
		return err
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

// migrated is nil for a schema of this version.
func (s *Store) migrated(ctx context.Context) error {
	_, have, know, err := s.versions(ctx)
	if err == nil && have < know {
		err = &platform.UserError{
			Kind:    platform.ErrConflict,
			Message: fmt.Sprintf("database %s has schema version %d and this slipway needs version %d", s.engine.name(), have, know),
			Cure:    "Start `slipway serve` of this version once: it migrates the database.",
		}
	}
	return err
}

// versions are those of the database's schema and of this slipway's. A
// database that is newer than this slipway is refused.
func (s *Store) versions(ctx context.Context) (provider *goose.Provider, have, know int64, err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, 0, 0, err
	}
	own, err := ownSteps(files, s.engine.folder())
	if err != nil {
		return nil, 0, 0, err
	}
	provider, err = goose.NewProvider(s.engine.dialect(), s.db, files, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(own...))
	if err != nil {
		return nil, 0, 0, err
	}
	have, know, err = provider.GetVersions(ctx)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("database %s: read the schema version: %w", s.engine.name(), err)
	}
	if have > know {
		return nil, 0, 0, &platform.UserError{
			Kind:    platform.ErrConflict,
			Message: fmt.Sprintf("database %s has schema version %d and this slipway knows versions up to %d", s.engine.name(), have, know),
			Cure:    "Start the newer slipway that migrated it, or put back the backup from before that upgrade.",
		}
	}
	return provider, have, know, nil
}

// ownSteps are the files of an engine's folder, NNNNN_name.sql each.
func ownSteps(files fs.FS, folder string) ([]*goose.Migration, error) {
	names, err := fs.Glob(files, folder+"/*.sql")
	if err != nil {
		return nil, err
	}
	var steps []*goose.Migration
	for _, name := range names {
		number, _, _ := strings.Cut(path.Base(name), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		run := func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, string(text))
			return err
		}
		steps = append(steps, goose.NewGoMigration(version, &goose.GoFunc{RunTx: run}, nil))
	}
	return steps, nil
}
