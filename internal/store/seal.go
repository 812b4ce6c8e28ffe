package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

// cannotOpen says whose secret it is that the ring does not open.
func cannotOpen(what string, err error) error {
	if unknown, ok := errors.AsType[*secret.UnknownKeyError](err); ok {
		return &platform.UserError{
			Kind:    platform.ErrUnavailable,
			Message: what + " is sealed under key " + unknown.ID + ", which this platform no longer has",
			Cure:    "Whoever runs the platform: put that key back below the newest. `slipway secrets status` names the place.",
		}
	}
	return &platform.UserError{Kind: platform.ErrUnavailable, Message: what + " cannot be opened: " + err.Error()}
}

// Sealed says how many rows are sealed under a key.
type Sealed struct {
	Key  string // its id; empty: not sealed at all
	Rows int
}

// sealedTable is a table with secrets in it. Each has a sealed_under column.
type sealedTable struct {
	name, id string
	first    any // is below every id
	columns  []string
}

var sealedTables = []sealedTable{
	{"configs", "uuid", "", []string{"vars", "registry", "shared"}},
	{"config_groups", "uuid", "", []string{"vars"}},
	{"certificates", "id", int64(0), []string{"key"}},
	{"acme_files", "name", "", []string{"value"}},
}

func scanSealed(row scanner) (s Sealed, err error) {
	err = row.Scan(&s.Key, &s.Rows)
	return s, err
}

// SealedUnder counts the rows with secrets by their key.
func (tx *Tx) SealedUnder() ([]Sealed, error) {
	var counts []string
	for _, table := range sealedTables {
		counts = append(counts, "SELECT sealed_under, COUNT(*) AS n FROM "+table.name+" GROUP BY sealed_under")
	}
	return all(tx, scanSealed, "SELECT sealed_under, SUM(n) FROM ("+strings.Join(counts, " UNION ALL ")+") AS counts GROUP BY sealed_under ORDER BY sealed_under")
}

// resealBatch bounds the rows of one transaction, so that others get their turn.
const resealBatch = 200

// Reseal seals all rows anew that are not sealed under the ring's newest key,
// and returns how many it did. Rows whose key is not in the ring, or that were
// damaged, stay as they are, and are logged. Safe to run beside others who
// write, and to break off.
func (s *Store) Reseal(ctx context.Context) (int, error) {
	done, plain := 0, 0
	for _, table := range sealedTables {
		keys, err := s.staleKeys(ctx, table)
		if err != nil {
			return done, err
		}
		for _, key := range keys {
			n, err := s.resealKey(ctx, table, key)
			done += n
			if key == "" {
				plain += n
			}
			if err != nil {
				return done, err
			}
		}
	}
	if done > 0 {
		s.log.Info("secrets sealed anew", "rows", done, "key", s.ring.Newest())
	}
	if plain > 0 {
		return done, s.explain(s.engine.scrub(ctx, s.db))
	}
	return done, nil
}

// staleKeys are those that rows of the table are to be sealed away from.
func (s *Store) staleKeys(ctx context.Context, table sealedTable) ([]string, error) {
	var found []Sealed
	err := s.Read(ctx, func(tx *Tx) (err error) {
		found, err = all(tx, scanSealed, "SELECT sealed_under, COUNT(*) FROM "+table.name+" GROUP BY sealed_under")
		return err
	})
	have, stale := s.ring.KeyIDs(), []string{}
	for _, under := range found {
		switch {
		case under.Key == have[0]:
		case under.Key == "" || slices.Contains(have, under.Key):
			stale = append(stale, under.Key)
		default:
			s.log.Error("rows are sealed under a key that is not there", "table", table.name, "key", under.Key, "rows", under.Rows)
		}
	}
	return stale, err
}

// resealKey seals the rows of the table that are sealed under the key.
func (s *Store) resealKey(ctx context.Context, table sealedTable, key string) (done int, err error) {
	for after, more := table.first, true; more; {
		var rows []sealedRow
		var failed []error
		err := s.Write(ctx, func(tx *Tx) (err error) {
			if rows, err = tx.sealedRows(table, key, after); err == nil {
				failed, err = tx.reseal(table, rows)
			}
			return err
		})
		if err != nil {
			return done, err
		}
		for _, err := range failed {
			s.log.Error("a row cannot be opened", "table", table.name, "err", err)
		}
		done += len(rows) - len(failed)
		if more = len(rows) == resealBatch; more {
			after = rows[len(rows)-1].id
		}
	}
	return done, nil
}

// sealedRow is the id of a row and its secrets, as they are.
type sealedRow struct {
	id      any
	secrets []string
}

// sealedRows are the next rows of the table that are sealed under the key.
func (tx *Tx) sealedRows(table sealedTable, key string, after any) ([]sealedRow, error) {
	scan := func(row scanner) (sealedRow, error) {
		r := sealedRow{secrets: make([]string, len(table.columns))}
		into := []any{&r.id}
		for i := range r.secrets {
			into = append(into, &r.secrets[i])
		}
		return r, row.Scan(into...)
	}
	return all(tx, scan, "SELECT "+table.id+", "+strings.Join(table.columns, ", ")+" FROM "+table.name+
		" WHERE sealed_under = ? AND "+table.id+" > ? ORDER BY "+table.id+" LIMIT ?", key, after, resealBatch)
}

// reseal seals the secrets of the rows under the newest key; failed are those
// of rows that cannot be opened.
func (tx *Tx) reseal(table sealedTable, rows []sealedRow) (failed []error, err error) {
	for _, row := range rows {
		fresh, err := tx.sealAnew(table, row)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s %v: %w", table.name, row.id, err))
			continue
		}
		args := []any{}
		for _, text := range fresh {
			args = append(args, text)
		}
		_, err = tx.exec("UPDATE "+table.name+" SET "+strings.Join(table.columns, " = ?, ")+" = ?, sealed_under = ? WHERE "+table.id+" = ?",
			append(args, secret.KeyID(fresh[0]), row.id)...) // sealed first: should the key change in between, the row is stale
		if err != nil {
			return nil, err
		}
	}
	return failed, nil
}

func (tx *Tx) sealAnew(table sealedTable, row sealedRow) (fresh []string, err error) {
	for i, text := range row.secrets {
		about := fmt.Sprintf("%s.%s/%v", table.name, table.columns[i], row.id)
		plain := []byte(text)
		if text == "[]" { // no groups: nothing to hide
			fresh = append(fresh, text)
			continue
		}
		if secret.KeyID(text) != "" {
			if plain, err = tx.ring.Open(text, about); err != nil {
				return nil, err
			}
		}
		fresh = append(fresh, tx.ring.Seal(plain, about))
	}
	return fresh, nil
}
