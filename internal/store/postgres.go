package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// postgres is a database on a server.
type postgres struct{ config *pgx.ConnConfig }

func newPostgres(url string) (*postgres, error) {
	config, err := pgx.ParseConfig(url) // its error hides the password
	if err != nil {
		return nil, err
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	return &postgres{config: config}, nil
}

func (e *postgres) name() string {
	return fmt.Sprintf("%s on %s", e.config.Database, net.JoinHostPort(e.config.Host, strconv.Itoa(int(e.config.Port))))
}
func (e *postgres) dialect() goose.Dialect            { return goose.DialectPostgres }
func (e *postgres) folder() string                    { return "postgres" }
func (e *postgres) readIsolation() sql.IsolationLevel { return sql.LevelRepeatableRead }

func (e *postgres) open(ctx context.Context) (*sql.DB, error) {
	db := stdlib.OpenDB(*e.config)
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(2)
	db.SetConnMaxLifetime(time.Hour)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", e.name(), err), db.Close())
	}
	return db, nil
}

// scrub writes the tables anew. The server's log and its backups keep what
// they have.
func (e *postgres) scrub(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, "VACUUM FULL configs")
	return err
}

// migrationLock is the number of the advisory lock that migrations hold.
const migrationLock = 5_711_437_091

// lock waits on the server. The lock belongs to its connection: a process that
// dies gives it up.
func (e *postgres) lock(ctx context.Context, db *sql.DB) (func(), error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for another process that migrates %s: %w", e.name(), err), conn.Close())
	}
	return func() {
		// Unlocked even when ctx has ended: the connection goes back to the pool.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(migrationLock))
		_ = conn.Close()
	}, nil
}

// bind numbers the arguments and names the collation that sorts by bytes, as
// SQLite does. No statement of this package has a ? in a literal.
func (e *postgres) bind(query string) string {
	query = strings.ReplaceAll(query, "COLLATE BINARY", `COLLATE "C"`)
	var bound strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		bound.WriteString(before)
		if !found {
			return bound.String()
		}
		bound.WriteString("$" + strconv.Itoa(n))
		query = after
	}
}

func (e *postgres) fault(err error) fault {
	var failure *pgconn.PgError
	if !errors.As(err, &failure) {
		var connect *pgconn.ConnectError
		var network net.Error
		if errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, sql.ErrConnDone) || isClosed(err) {
			return fault{kind: faultGone}
		}
		return fault{}
	}
	switch failure.Code { // https://www.postgresql.org/docs/current/errcodes-appendix.html
	case "40001", "40P01", "55P03":
		return fault{kind: faultLost}
	case "23505":
		if failure.ConstraintName == "releases_version" || failure.ConstraintName == "events_pkey" {
			// Numbered after a snapshot that another process has overtaken.
			return fault{kind: faultLost}
		}
		return fault{kind: faultClash, constraint: failure.ConstraintName}
	case "23503":
		return fault{kind: faultOrphan}
	case "53100":
		return fault{kind: faultFull}
	case "XX001", "XX002":
		return fault{kind: faultCorrupt}
	}
	if strings.HasPrefix(failure.Code, "08") || strings.HasPrefix(failure.Code, "57P") || strings.HasPrefix(failure.Code, "53") {
		return fault{kind: faultGone}
	}
	return fault{}
}
