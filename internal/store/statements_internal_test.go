package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
)

func openSQLite(t *testing.T) *sql.DB {
	t.Helper()
	db, err := (&sqlite{path: filepath.Join(t.TempDir(), "slipway.db")}).open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE numbers (n INTEGER); INSERT INTO numbers VALUES (1), (2), (3)"); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestAStatementThatRunsIsNotRunASecondTimeAtOnce(t *testing.T) {
	db := openSQLite(t)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	const query = "SELECT n FROM numbers WHERE n > ? ORDER BY n"
	sum := 0
	var walk func(above int)
	walk = func(above int) {
		rows, err := tx.QueryContext(t.Context(), query, above)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var n int
			if err := rows.Scan(&n); err != nil {
				t.Fatal(err)
			}
			sum += n
			walk(n)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // prepared, then reused
		sum = 0
		walk(0)
		if want := 1 + 2 + 3 + 2 + 3 + 3 + 3; sum != want {
			t.Errorf("got %d, want %d", sum, want)
		}
	}
}

func TestAReusedStatementSeesTheSchemaOfNow(t *testing.T) {
	db := openSQLite(t)
	columns := func() int {
		rows, err := db.QueryContext(t.Context(), "SELECT * FROM numbers")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		names, err := rows.Columns()
		if err != nil || !rows.Next() {
			t.Fatal(err, rows.Err())
		}
		return len(names)
	}
	if n := columns(); n != 1 {
		t.Fatal(n)
	}
	if _, err := db.ExecContext(t.Context(), "ALTER TABLE numbers ADD COLUMN name TEXT"); err != nil {
		t.Fatal(err)
	}
	if n := columns(); n != 2 {
		t.Errorf("got %d columns, want 2", n)
	}
}

func TestStatementsAreKeptWithinBounds(t *testing.T) {
	db := openSQLite(t)
	for n := range 3 * maxIdle {
		var got int
		if err := db.QueryRowContext(t.Context(), fmt.Sprintf("SELECT %d", n)).Scan(&got); err != nil || got != n {
			t.Fatal(got, err)
		}
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.Raw(func(made any) error {
		if n := len(made.(*reusingConn).idle); n != maxIdle {
			t.Errorf("%d statements are kept, want %d", n, maxIdle)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAStatementThatFailedIsPreparedAnew(t *testing.T) {
	db := openSQLite(t)
	if _, err := db.ExecContext(t.Context(), "CREATE UNIQUE INDEX once ON numbers (n)"); err != nil {
		t.Fatal(err)
	}
	insert := func(ctx context.Context, n int) error {
		_, err := db.ExecContext(ctx, "INSERT INTO numbers VALUES (?)", n)
		return err
	}
	if err := insert(t.Context(), 3); err == nil {
		t.Fatal("3 is there twice")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := insert(cancelled, 4); err == nil {
		t.Fatal("inserted for nobody")
	}
	if err := insert(t.Context(), 4); err != nil {
		t.Error(err)
	}
}
