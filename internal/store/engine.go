package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"

	"github.com/slipway-paas/slipway/internal/platform"
)

// engine is where SQLite and PostgreSQL differ.
type engine interface {
	// name is what errors call the database: its path, or host and name. Never
	// a password.
	name() string
	dialect() goose.Dialect
	// folder is where the engine's own migrations are.
	folder() string
	// open returns a pool that has answered once.
	open(ctx context.Context) (*sql.DB, error)
	// lock keeps other processes from migrating until unlock is called.
	lock(ctx context.Context, db *sql.DB) (unlock func(), err error)
	// bind turns portable SQL, with ? for arguments and COLLATE BINARY, into
	// the engine's own.
	bind(query string) string
	// scrub makes what rows held before they were changed go from the database's
	// files, as far as the engine can.
	scrub(ctx context.Context, db *sql.DB) error
	readIsolation() sql.IsolationLevel
	// fault says what kind of failure err is.
	fault(err error) fault
}

// fault is a database's error in words both engines share.
type fault struct {
	kind faultKind
	// constraint is <table>_<column> of a faultClash.
	constraint string
}

type faultKind int

const (
	faultOther  faultKind = iota // a bug, or not the database's at all
	faultLost                    // against another transaction: try again
	faultClash                   // not unique
	faultOrphan                  // names a row that is not there
	faultFull
	faultCorrupt
	faultGone // no answer
	faultCut  // its context ended
)

// explain words the failures that have a cure outside of Slipway, and leaves
// all others as they are.
func (s *Store) explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	switch s.engine.fault(err).kind {
	case faultLost:
		return fmt.Errorf("database %s is held by another process: %w: %w", s.engine.name(), platform.ErrBusy, err)
	case faultFull:
		return fmt.Errorf("database %s: the disk is full: free some space: %w: %w", s.engine.name(), platform.ErrUnavailable, err)
	case faultCorrupt:
		return fmt.Errorf("database %s is damaged: stop slipway and put back a backup of it: %w: %w", s.engine.name(), platform.ErrUnavailable, err)
	case faultGone:
		return fmt.Errorf("database %s does not answer: %w: %w", s.engine.name(), platform.ErrUnavailable, err)
	case faultOrphan:
		return fmt.Errorf("a row names what was deleted or is still named: %w: %w", platform.ErrConflict, err)
	default:
		return err
	}
}

// clash words a broken uniqueness for the user; nil when err is not one.
func (tx *Tx) clash(err error) error {
	fault := tx.engine.fault(err)
	if fault.kind != faultClash {
		return nil
	}
	switch fault.constraint {
	case "users_username":
		return platform.Invalid("username", "A user with that username already exists.")
	case "apps_id":
		return platform.Invalid("id", "Application with this id already exists.")
	case "domains_domain":
		return platform.Invalid("domain", "Domain is already in use by another application")
	case "keys_id":
		return platform.Invalid("id", "SSH Key with this id already exists.")
	case "certificates_name":
		return platform.Invalid("name", "certificate with this name already exists.")
	case "config_groups_name":
		return platform.Invalid("name", "Group with this name already exists.")
	case "ports_listen":
		return platform.Invalid("listen", "This port is given to an app already.")
	case "ports_of_process", "ports_port":
		return platform.Invalid("port", "A port of the edge leads there already.")
	case "tokens_name":
		return platform.Invalid("name", "Token with this name already exists.")
	case "keys_sha256":
		return platform.Invalid("public", "Public Key is already in use")
	}
	return fmt.Errorf("%s is not unique: %w: %w", fault.constraint, platform.ErrConflict, err)
}
