// Package store is the one database: it opens SQLite or PostgreSQL, brings its
// tables up to date, and runs transactions.
//
// It promises three things to every other package, the same on both databases:
//
//   - [DB.Write] runs its function as if no other ran at the same time, and
//     returns nil only when the work is on disk.
//   - [DB.Read] sees one instant and cannot write.
//   - [Tx.Now] is the one instant at which the transaction happens.
//
// SQL is written once for both: placeholders $1, $2, …; types TEXT, BIGINT,
// BOOLEAN and BYTEA; times as Unix milliseconds ([Millis]); ON CONFLICT and
// RETURNING; none of now(), arrays, JSON operators, FOR UPDATE, intervals. Rows
// are closed before the next statement runs, and a statement that fails fails
// its transaction, even when the function goes on and returns nil. A foreign key
// is never deferred: on SQLite transactions share their commit, and a key
// checked at commit would fail them all.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

// ErrUnavailable says that the database could not serve: disk full, file
// locked, server gone, already closed. Nothing was acknowledged and nothing was
// written, with one exception: a PostgreSQL server lost in the middle of a
// commit may have kept it, and the error then says "outcome unknown". The same
// call may succeed later without anything being restarted.
var ErrUnavailable = errors.New("the database is unavailable")

// unavailable marks an error of the transaction itself, not of a caller's
// statement: whatever its reason, the database did not serve.
func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }

// errClosed is what every call answers after [DB.Close].
var errClosed = fmt.Errorf("%w: it was closed", ErrUnavailable)

// Options are the choices of [Open]. The zero value is the one for production.
type Options struct {
	Clock func() time.Time // where the time comes from; nil means time.Now
	Log   *slog.Logger     // hears of migrations and of a database in trouble; nil means nobody
}

// A DB is an open database. Its methods may be called from many goroutines.
type DB struct {
	engine engine
	clock  func() time.Time
	count  counters
}

// An engine is what differs between SQLite and PostgreSQL.
type engine interface {
	// write runs f in a transaction that runs as if alone, and returns nil once
	// it is durable. It may run f again when the database asks for that.
	write(ctx context.Context, f func(querier) error) error
	// read runs f on one snapshot.
	read(ctx context.Context, f func(querier) error) error
	// unavailable tells whether a statement's error means that the database
	// cannot serve; that it is read-only means so to who is writing.
	unavailable(err error, writing bool) bool
	// collided tells whether err asks for the transaction to be run again.
	collided(err error) bool
	// check finds what a small write would not notice.
	check() error
	close() error
}

// Open opens the database that url names and brings its tables up to date.
//
//	""                     the SQLite file vigie.db in the current folder
//	PATH, sqlite:PATH      that SQLite file, made with mode 0600 when missing
//	postgres://…           a PostgreSQL server, version 15 or newer; the
//	                       parameter pool_max_conns (default 32) bounds the
//	                       connections of this node
//
// Several nodes may open one PostgreSQL database, and several processes one
// SQLite file, at the same moment. The caller closes the DB.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	db := &DB{clock: o.Clock}
	var err error
	if strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://") {
		db.engine, err = openPostgres(ctx, url, &db.count, o.Log)
	} else {
		db.engine, err = openSQLite(ctx, strings.TrimPrefix(url, "sqlite:"), &db.count, o.Log)
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

// Close waits for the transactions that run and closes the database. Later
// calls answer [ErrUnavailable].
func (db *DB) Close() error { return db.engine.close() }

// Now is the database's clock, to the millisecond, in UTC. Inside a transaction
// use [Tx.Now].
func (db *DB) Now() time.Time { return db.clock().UTC().Truncate(time.Millisecond) }

// Write runs f as if no other transaction ran at the same time. It returns nil
// only once what f did is durable. An error of f undoes what f did, and is
// returned; a panic does the same. An error that wraps [ErrUnavailable] says
// that the database could not serve.
//
// f may run more than once (PostgreSQL asks for that when transactions collide;
// only the last run counts): it must have no effect but through tx, and assign
// afresh every variable that it leaves to its caller. What cannot be taken back
// goes into [Tx.OnCommit]. f must not call the network, nor Write or Read again:
// on SQLite every other writer waits for it.
//
// A ctx that ends before f's turn comes means that f does not run. One that ends
// later fails f's next statement, but never makes the outcome of a commit
// unknown: Write then waits for it.
func (db *DB) Write(ctx context.Context, f func(tx *Tx) error) error {
	var done *Tx
	err := db.engine.write(ctx, func(q querier) error {
		tx, err := db.run(q, true, f)
		done = tx
		return err
	})
	db.count.writes.Add(1)
	if err != nil {
		return err
	}
	for _, hook := range done.hooks {
		hook()
	}
	return nil
}

// Read runs f on one consistent snapshot of the database. f cannot write: a
// statement that tries fails. f may be slow without holding up writers, but not
// for ever: SQLite keeps every change made meanwhile in its log file.
func (db *DB) Read(ctx context.Context, f func(tx *Tx) error) error {
	db.count.reads.Add(1)
	return db.engine.read(ctx, func(q querier) error {
		_, err := db.run(q, false, f)
		return err
	})
}

// run calls f with a Tx on q, which ends when f does.
func (db *DB) run(q querier, writing bool, f func(tx *Tx) error) (*Tx, error) {
	tx := &Tx{Now: db.Now(), q: q, db: db, writing: writing}
	defer tx.end()
	err := f(tx)
	switch {
	case err == nil:
		err = tx.next()
	case tx.failed != nil && db.engine.collided(tx.failed):
		err = tx.failed // whatever f made of it
	}
	return tx, err
}

// Ready returns nil when a write would succeed now. It writes one small row to
// find out, so it also notices a full disk or a lost right to write.
func (db *DB) Ready(ctx context.Context) error {
	if err := db.engine.check(); err != nil {
		return err
	}
	return db.Write(ctx, func(tx *Tx) error {
		return tx.SetSetting(ctx, settingReady, tx.Now.Format(time.RFC3339))
	})
}

// Stats counts what a DB has done since it was opened.
type Stats struct {
	Statements uint64 // statements that callers ran
	Writes     uint64 // calls of Write that ended, well or not
	Reads      uint64 // calls of Read
	Commits    uint64 // commits that the database made; on SQLite writers share them
	Retries    uint64 // runs of a Write that PostgreSQL asked to repeat
}

// counters is Stats as it grows.
type counters struct {
	statements, writes, reads, commits, retries atomic.Uint64
}

// Stats returns the counters as they stand.
func (db *DB) Stats() Stats {
	return Stats{
		Statements: db.count.statements.Load(),
		Writes:     db.count.writes.Load(),
		Reads:      db.count.reads.Load(),
		Commits:    db.count.commits.Load(),
		Retries:    db.count.retries.Load(),
	}
}

// Millis is how a time is stored: Unix milliseconds, 0 for the zero time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// FromMillis reads what [Millis] wrote: a time in UTC, the zero time for 0.
func FromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
