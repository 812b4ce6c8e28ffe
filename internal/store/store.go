// Package store keeps what must survive a restart, in SQLite or PostgreSQL. It
// is handed rows of platform's types inside a transaction, checks what only the
// database can know (what exists, what is unique), and hands the rows back. One
// file a noun; all SQL of Slipway is here.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

// Store is an open database. Safe for concurrent use.
type Store struct {
	log    *slog.Logger
	db     *sql.DB
	engine engine
	ring   *secret.Ring
	// turn holds one token: the writers of this process go one at a time, so
	// that they wait in order instead of failing each other.
	turn chan struct{}
}

// Open opens the database at url and migrates it to this version's schema:
// a path or sqlite://path for SQLite, made when it is not there, or
// postgres://user:password@host/database for PostgreSQL. Two processes may open
// the same database at once: one of them migrates.
//
// Columns that hold secrets are sealed under the newest key of the ring. Rows
// from before that, and those under older keys, are sealed anew now; one whose
// key is not in the ring stays as it is and fails the reads of it alone.
//
// A database that a newer Slipway migrated is refused with an error that
// matches platform.ErrConflict and names both schema versions; a damaged file,
// with one that names the file and the cure. Close the Store in the end.
func Open(ctx context.Context, log *slog.Logger, url string, ring *secret.Ring) (*Store, error) {
	s, err := open(ctx, log, url, ring)
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(s.explain(err), s.Close())
	}
	if _, err := s.Reseal(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenAsIs opens a database that a slipway of this version has migrated, may
// be runs on, and changes nothing in it. Any other schema is refused with an
// error that matches platform.ErrConflict.
func OpenAsIs(ctx context.Context, log *slog.Logger, url string, ring *secret.Ring) (*Store, error) {
	s, err := open(ctx, log, url, ring)
	if err != nil {
		return nil, err
	}
	if err := s.migrated(ctx); err != nil {
		return nil, errors.Join(s.explain(err), s.Close())
	}
	return s, nil
}

func open(ctx context.Context, log *slog.Logger, url string, ring *secret.Ring) (*Store, error) {
	engine, err := engineFor(url)
	if err != nil {
		return nil, err
	}
	db, err := engine.open(ctx)
	if err != nil {
		return nil, err
	}
	return &Store{log: log, db: db, engine: engine, ring: ring, turn: make(chan struct{}, 1)}, nil
}

// engineFor reads the scheme of a database url. Its errors never repeat the
// url, which may hold a password.
func engineFor(url string) (engine, error) {
	scheme, rest, found := strings.Cut(url, "://")
	switch {
	case url == "":
		return nil, fmt.Errorf("the database url is empty: write a path or postgres://user@host/name: %w", platform.ErrInvalid)
	case !found:
		return &sqlite{path: url}, nil
	case scheme == "sqlite" && rest != "":
		return &sqlite{path: rest}, nil
	case scheme == "postgres" || scheme == "postgresql":
		return newPostgres(url)
	}
	return nil, fmt.Errorf("no database speaks %q: write a path or postgres://user@host/name: %w", scheme, platform.ErrInvalid)
}

// Close waits for running transactions and closes the database. Calls after it
// fail with an error that matches platform.ErrUnavailable.
func (s *Store) Close() error { return s.db.Close() }

// Ping returns nil when the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.Read(ctx, func(tx *Tx) error {
		var one int
		return tx.row("SELECT 1").Scan(&one)
	})
}

// Read runs fn in one read-only transaction, which sees one state of the
// database from its first query to its last. It never waits for a writer.
func (s *Store) Read(ctx context.Context, fn func(*Tx) error) error {
	return s.explain(s.ended(ctx, s.try(ctx, sql.TxOptions{Isolation: s.engine.readIsolation(), ReadOnly: true}, fn)))
}

// Write runs fn in one serialisable transaction and commits when it returns
// nil; else nothing of it stays and Write returns fn's error. Once Write has
// returned nil a power cut does not undo it.
//
// fn may run several times: a transaction that lost against another process is
// run again, for as long as attemptFor. So fn must be free of side effects but
// those on tx, set its results anew each time, and be quick, for writers go one
// at a time. After a method of tx has failed, fn must return; calling Write
// inside fn waits for ever.
func (s *Store) Write(ctx context.Context, fn func(*Tx) error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.explain(s.ended(ctx, s.persist(ctx, fn)))
}

// ended words the error of a statement that its context cut off as the
// context's own: callers tell a deadline from a failure by it. database/sql
// rolls the transaction back meanwhile, which the next statement may be told.
func (s *Store) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, sql.ErrTxDone) || s.engine.fault(err).kind == faultCut) {
		return ctx.Err()
	}
	return err
}

// attemptFor bounds how long a Write is tried against writers of other processes.
const attemptFor = 30 * time.Second

// persist tries fn until it commits, fails for good, or the time is up. The
// pause between two tries grows and is random, so that two losers part.
func (s *Store) persist(ctx context.Context, fn func(*Tx) error) error {
	deadline := time.Now().Add(attemptFor)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := s.try(ctx, sql.TxOptions{Isolation: sql.LevelSerializable}, fn)
		if err == nil || s.engine.fault(err).kind != faultLost || time.Now().After(deadline) {
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// try runs fn once.
func (s *Store) try(ctx context.Context, options sql.TxOptions, fn func(*Tx) error) error {
	tx, err := s.db.BeginTx(ctx, &options)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing left to roll back
	if err := fn(&Tx{ctx: ctx, tx: tx, engine: s.engine, readOnly: options.ReadOnly, ring: s.ring, log: s.log}); err != nil {
		return err
	}
	if options.ReadOnly {
		return nil
	}
	return tx.Commit()
}
