package store

import (
	"context"
	"database/sql/driver"
	"fmt"
)

// reusing makes connections that prepare a statement once, not each time it is
// run: SQLite takes longer to read the words of a lookup than to look it up.
// (PostgreSQL's driver does so by itself.)
type reusing struct{ driver.Connector }

// Connect implements driver.Connector.
func (r reusing) Connect(ctx context.Context) (driver.Conn, error) {
	made, err := r.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := made.(fullConn)
	if !ok {
		return nil, fmt.Errorf("a %T lacks what a connection needs", made)
	}
	return &reusingConn{fullConn: conn, idle: make(map[string]driver.Stmt)}, nil
}

// fullConn is what database/sql makes use of where a driver has it.
type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// reusingConn keeps the statements that are not running. As every driver.Conn,
// it is for one goroutine at a time.
type reusingConn struct {
	fullConn
	idle map[string]driver.Stmt
}

// maxIdle bounds the statements a connection keeps, some KiB each.
const maxIdle = 64

// take hands a statement out, so that nobody else runs it until give.
func (c *reusingConn) take(ctx context.Context, query string) (driver.Stmt, error) {
	if stmt, ok := c.idle[query]; ok {
		delete(c.idle, query)
		return stmt, nil
	}
	return c.PrepareContext(ctx, query)
}

// give takes it back. One that failed is not used again.
func (c *reusingConn) give(query string, stmt driver.Stmt, failed error) error {
	if _, twice := c.idle[query]; twice || failed != nil {
		return stmt.Close()
	}
	var err error
	for other, old := range c.idle { // any: what is used often is soon back
		if len(c.idle) < maxIdle {
			break
		}
		delete(c.idle, other)
		err = old.Close()
	}
	c.idle[query] = stmt
	return err
}

// ExecContext implements driver.ExecerContext.
func (c *reusingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	stmt, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	exec, ok := stmt.(driver.StmtExecContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	result, err := exec.ExecContext(ctx, args)
	if unkept := c.give(query, stmt, err); err == nil {
		err = unkept
	}
	return result, err
}

// QueryContext implements driver.QueryerContext.
func (c *reusingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	stmt, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	ask, ok := stmt.(driver.StmtQueryContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	rows, err := ask.QueryContext(ctx, args)
	if err != nil {
		_ = c.give(query, stmt, err) // the first error is the one to tell
		return nil, err
	}
	return &reusedRows{Rows: rows, give: func(failed error) error { return c.give(query, stmt, failed) }}, nil
}

// Close implements driver.Conn.
func (c *reusingConn) Close() error {
	for _, stmt := range c.idle {
		_ = stmt.Close() // what it holds goes with the connection
	}
	clear(c.idle)
	return c.fullConn.Close()
}

// reusedRows give their statement back when they are closed.
type reusedRows struct {
	driver.Rows
	give func(failed error) error
}

// Close implements driver.Rows.
func (r *reusedRows) Close() error {
	err := r.Rows.Close()
	if r.give == nil {
		return err
	}
	unkept := r.give(err)
	r.give = nil
	if err == nil {
		err = unkept
	}
	return err
}
