package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// sqlite is one file beside its write-ahead log.
type sqlite struct{ path string }

func (e *sqlite) name() string                      { return e.path }
func (e *sqlite) dialect() goose.Dialect            { return goose.DialectSQLite3 }
func (e *sqlite) folder() string                    { return "sqlite" }
func (e *sqlite) bind(query string) string          { return query }
func (e *sqlite) readIsolation() sql.IsolationLevel { return sql.LevelDefault }

// open makes the file when it is not there, readable by its owner alone since
// it holds config values, and checks it whole.
func (e *sqlite) open(ctx context.Context) (*sql.DB, error) {
	file, err := os.OpenFile(e.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", e.path, err)
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(e.path)
	if err != nil {
		return nil, err
	}
	pragmas := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(5000)",
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(ON)",
		"secure_delete(ON)",           // what was changed or removed is overwritten
		"cache_size(-512)",            // KiB a connection
		"journal_size_limit(4194304)", // after a burst the log shrinks to 4 MiB
	}}
	connector, err := driver.NewConnector((&url.URL{Scheme: "file", Path: path, RawQuery: pragmas.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(reusing{connector})
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(2)
	if err := e.settle(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// settle checks until no other process is in the way: while one makes the
// write-ahead log, SQLite refuses a second one at once, whatever busy_timeout says.
func (e *sqlite) settle(ctx context.Context, db *sql.DB) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := e.check(ctx, db)
		if err == nil || e.fault(err).kind != faultLost || time.Now().After(deadline) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("check database %s: %w", e.path, ctx.Err())
		}
	}
}

// check reads every page once: damage is better found now than in a deploy.
func (e *sqlite) check(ctx context.Context, db *sql.DB) error {
	var found string
	err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found)
	switch {
	case err == nil && found == "ok":
		return nil
	case err == nil:
		err = errors.New(found)
	case ctx.Err() != nil: // whoever asked has left: that says nothing of the file
		return fmt.Errorf("check database %s: %w", e.path, ctx.Err())
	}
	switch e.fault(err).kind {
	case faultOther, faultCorrupt:
		return fmt.Errorf("database %s is damaged or no database: put back a backup, or move the file away to begin anew: %w", e.path, err)
	default:
		return fmt.Errorf("database %s: %w", e.path, err)
	}
}

// lock holds a lock file beside the database. It stays behind when unlocked,
// for removing it would let two processes hold two files of one name.
func (e *sqlite) lock(ctx context.Context, _ *sql.DB) (func(), error) {
	file, err := os.OpenFile(e.path+".migrate", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil // closing is unlocking
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", file.Name(), err), file.Close())
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for another process that migrates %s: %w", e.path, ctx.Err()), file.Close())
		}
	}
}

// scrub writes the file anew without its free pages, and empties the log.
func (e *sqlite) scrub(ctx context.Context, db *sql.DB) error {
	for _, statement := range []string{"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (e *sqlite) fault(err error) fault {
	var failure *driver.Error
	if !errors.As(err, &failure) {
		if errors.Is(err, sql.ErrConnDone) || isClosed(err) {
			return fault{kind: faultGone}
		}
		return fault{}
	}
	switch code := failure.Code(); code {
	case codes.SQLITE_CONSTRAINT_UNIQUE, codes.SQLITE_CONSTRAINT_PRIMARYKEY:
		return fault{kind: faultClash, constraint: clashOf(failure.Error())}
	case codes.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fault{kind: faultOrphan}
	default:
		switch code & 0xff { // the primary code under an extended one
		case codes.SQLITE_INTERRUPT:
			return fault{kind: faultCut}
		case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
			return fault{kind: faultLost}
		case codes.SQLITE_FULL:
			return fault{kind: faultFull}
		case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
			return fault{kind: faultCorrupt}
		case codes.SQLITE_IOERR, codes.SQLITE_CANTOPEN, codes.SQLITE_READONLY:
			return fault{kind: faultGone}
		}
	}
	return fault{}
}

// clashOf reads "… UNIQUE constraint failed: keys.id (2067)", the only place
// where SQLite names the columns: keys_id. Of several columns the last counts.
func clashOf(message string) string {
	_, columns, _ := strings.Cut(message, "constraint failed: ")
	columns, _, _ = strings.Cut(columns, " (")
	last := columns[strings.LastIndex(columns, " ")+1:]
	return strings.Replace(last, ".", "_", 1)
}

// isClosed recognises the one error of database/sql that has no name.
func isClosed(err error) bool {
	return err != nil && strings.HasSuffix(err.Error(), "sql: database is closed")
}
