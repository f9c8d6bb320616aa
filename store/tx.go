package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// A Tx is one run of a function given to [DB.Write] or [DB.Read]. It belongs to
// the goroutine that runs the function and ends with it.
type Tx struct {
	Now time.Time // the instant of this transaction, to the millisecond, in UTC

	q          querier
	db         *DB
	writing    bool
	statements int
	open       *sql.Rows // what the last Query returned
	failed     error     // the first statement that failed
	ended      bool
	hooks      []func()
}

// A querier runs statements on one connection: *sql.Tx is one.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

var (
	errTxEnded  = errors.New("the transaction has ended")
	errOpenRows = errors.New("the rows of an earlier query are still open: close them first")
)

// Exec runs a statement and returns how many rows it wrote.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	if err := tx.start(); err != nil {
		return 0, err
	}
	r, err := tx.q.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, tx.fail(err)
	}
	n, err := r.RowsAffected()
	return n, tx.fail(err)
}

// Query runs a statement that returns rows. They must be closed before the next
// statement.
func (tx *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := tx.start(); err != nil {
		return nil, err
	}
	rows, err := tx.q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, tx.fail(err)
	}
	tx.open = rows
	return rows, nil
}

// QueryRow runs a statement that returns at most one row, which must be
// scanned. Scan returns [sql.ErrNoRows] when there is none; that fails nothing.
func (tx *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	if err := tx.start(); err != nil {
		return rowOf(ctx, err)
	}
	row := tx.q.QueryRowContext(ctx, query, args...)
	if err := row.Err(); err != nil {
		return rowOf(ctx, tx.fail(err))
	}
	return row
}

// OnCommit has f run once, after the commit, on the goroutine that called
// [DB.Write], in the order of registration. It is dropped when the transaction
// is undone or run again. Nothing is kept of it: what must happen is a row.
func (tx *Tx) OnCommit(f func()) { tx.hooks = append(tx.hooks, f) }

// Statements is how many statements the transaction has run so far.
func (tx *Tx) Statements() int { return tx.statements }

// next returns nil when the transaction may go on. PostgreSQL runs nothing more
// after a statement that failed, nor while rows are open; SQLite could, and
// refuses so that the same code holds on both (and because a full disk ends its
// transaction: a further statement would be one of its own).
func (tx *Tx) next() error {
	if tx.ended {
		return errTxEnded
	}
	if tx.open != nil && tx.failed == nil {
		if _, err := tx.open.Columns(); err == nil { // closed rows have none
			return tx.fail(errOpenRows)
		}
		tx.fail(tx.open.Err())
		tx.open = nil
	}
	if tx.failed != nil {
		return fmt.Errorf("an earlier statement of the transaction failed: %w", tx.failed)
	}
	return nil
}

// start counts one more statement, when it may run.
func (tx *Tx) start() error {
	if err := tx.next(); err != nil {
		return err
	}
	tx.statements++
	tx.db.count.statements.Add(1)
	return nil
}

// fail remembers the first statement that failed, and says what it means.
func (tx *Tx) fail(err error) error {
	if err == nil {
		return nil
	}
	if tx.db.engine.unavailable(err, tx.writing) {
		err = unavailable(err)
	}
	if tx.failed == nil {
		tx.failed = err
	}
	return err
}

func (tx *Tx) end() {
	tx.ended = true
	if tx.open != nil {
		tx.open.Close()
	}
}

// rowOf returns a row whose Scan returns err. Only a failing connection makes
// one, so this connects to where every connection fails.
func rowOf(ctx context.Context, err error) *sql.Row {
	db := sql.OpenDB(refusal{err})
	defer db.Close()
	return db.QueryRowContext(context.WithoutCancel(ctx), "")
}

// A refusal is a driver whose connections fail with one error.
type refusal struct{ err error }

func (r refusal) Connect(context.Context) (driver.Conn, error) { return nil, r.err }
func (r refusal) Driver() driver.Driver                        { return r }
func (r refusal) Open(string) (driver.Conn, error)             { return nil, r.err }
