package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

// Tx is one transaction, from Read or Write; it ends with their fn and must
// not be kept. For one goroutine at a time.
//
// What its methods look up and do not find is a *platform.NotFoundError; a
// broken uniqueness is a *platform.FieldError in the words of the REST
// contract. Lists are never nil.
type Tx struct {
	ctx      context.Context // a transaction lives and ends with its context
	tx       *sql.Tx
	engine   engine
	readOnly bool
	ring     *secret.Ring
	log      *slog.Logger
}

var errReadOnly = errors.New("a change inside Read: use Write")

// exec runs a change and reports how many rows it touched.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	if tx.readOnly {
		return 0, errReadOnly
	}
	result, err := tx.tx.ExecContext(tx.ctx, tx.engine.bind(query), clean(args)...)
	if err != nil {
		if clash := tx.clash(err); clash != nil {
			return 0, clash
		}
		return 0, err
	}
	return result.RowsAffected()
}

// change is exec for what must be there.
func (tx *Tx) change(missing error, query string, args ...any) error {
	n, err := tx.exec(query, args...)
	if err == nil && n == 0 {
		return missing
	}
	return err
}

func (tx *Tx) row(query string, args ...any) *sql.Row {
	return tx.tx.QueryRowContext(tx.ctx, tx.engine.bind(query), clean(args)...)
}

// count runs a query of one number.
func (tx *Tx) count(query string, args ...any) (n int, err error) {
	err = tx.row(query, args...).Scan(&n)
	return n, err
}

// clean makes text what every database takes: UTF-8 without NUL.
func clean(args []any) []any {
	for i, arg := range args {
		switch text := arg.(type) {
		case string:
			args[i] = cleanText(text)
		case sql.NullString:
			text.String = cleanText(text.String)
			args[i] = text
		}
	}
	return args
}

func cleanText(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// scanner is a row, or rows at one of them.
type scanner interface{ Scan(dest ...any) error }

// one reads the only row of a query.
func one[T any](tx *Tx, missing error, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	item, err := scan(tx.row(query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		var none T
		return none, missing
	}
	return item, err
}

// all reads every row of a query.
func all[T any](tx *Tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.tx.QueryContext(tx.ctx, tx.engine.bind(query), clean(args)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // Err below has told
	items := []T{}
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, rows.Err()
}

// selection is a list that is shown page by page.
type selection struct {
	columns, from, order string
	args                 []any
	count                string // a query of the length, where there is a better one than to count
}

// window reads one page of a selection and the length of the whole.
func window[T any](tx *Tx, page platform.Page, scan func(scanner) (T, error), s selection) ([]T, int, error) {
	count, err := tx.count(cmp.Or(s.count, "SELECT COUNT(*) FROM "+s.from), s.args...)
	if err != nil {
		return nil, 0, err
	}
	if page.Limit <= 0 {
		page.Limit = platform.DefaultPage
	}
	items, err := all(tx, scan,
		"SELECT "+s.columns+" FROM "+s.from+" ORDER BY "+s.order+" LIMIT ? OFFSET ?",
		append(append([]any{}, s.args...), page.Limit, max(0, page.Offset))...)
	return items, count, err
}

func scanText(row scanner) (text string, err error) {
	err = row.Scan(&text)
	return text, err
}
