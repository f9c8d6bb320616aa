package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// A batch is committed when nobody else waits, and at the latest after
	// maxBatch writers or maxBatchAge, so that the first is not kept for long.
	maxBatch    = 256
	maxBatchAge = 5 * time.Millisecond

	// readers bounds the snapshots that are read at the same moment.
	readers = 8

	// minFree is how much room the disk must have for the database to be ready,
	// in bytes.
	minFree = 1 << 20

	// maxStatements bounds the statements that a connection keeps prepared.
	maxStatements = 512
)

// busyTimeout is how long a writer waits for another process that holds the
// file.
var busyTimeout = 5 * time.Second

// Another process can come in only between two batches, and SQLite keeps no
// line for it: it looks every busyPause, and who has written without a break for
// maxStretch makes one of breath.
const (
	busyPause  = time.Millisecond
	maxStretch = 100 * time.Millisecond
	breath     = 3 * time.Millisecond
)

// sqliteEngine is one SQLite file in WAL mode. Writers take turns on one
// connection and share commits: each runs its function, on its own goroutine,
// inside a savepoint of the open transaction; the last in line commits for all.
type sqliteEngine struct {
	path  string
	file  os.FileInfo // the file as it was opened
	pool  *sql.DB
	count *counters

	turns  turns
	writer *sqliteConn // belongs, like batch, to who holds the turn
	batch  *batch      // the open transaction, nil when there is none
	since  time.Time   // when this process began to write without a break
	ended  time.Time   // when the last batch ended

	readers chan *sqliteConn // one place for each, nil where none is open
	closed  chan struct{}
}

// A batch is one transaction shared by several writers.
type batch struct {
	began time.Time
	size  int           // functions whose work it holds
	ended chan struct{} // closed when it was committed or lost
	err   error         // why it was lost; read after ended
}

func openSQLite(ctx context.Context, path string, count *counters, log *slog.Logger) (_ *sqliteEngine, err error) {
	if path == "" {
		path = "vigie.db"
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("opening the SQLite file: %w", err)
	}
	s := &sqliteEngine{path: path, count: count, readers: make(chan *sqliteConn, readers), closed: make(chan struct{})}
	for range readers {
		s.readers <- nil
	}
	defer func() {
		if err != nil {
			s.close()
			err = fmt.Errorf("opening the SQLite file %s: %w", path, err)
		}
	}()

	// SQLite gives its two companion files the mode of the first.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = f.Chmod(0o600)
	s.file, _ = f.Stat()
	f.Close()
	if err != nil {
		return nil, err
	}

	if s.pool, err = sql.Open("sqlite", sqliteDSN(path)); err != nil {
		return nil, err
	}
	s.pool.SetMaxIdleConns(-1) // this type keeps its own
	if err := s.migrate(ctx, log); err != nil {
		return nil, err
	}
	// As long as one reader is open the two companion files stay, and reading
	// goes on when the disk is full and the writer has to start anew.
	r, err := s.connectReader(ctx)
	if err != nil {
		return nil, err
	}
	<-s.readers
	s.readers <- r
	var mode string
	if err := r.conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return nil, err
	}
	if mode != "wal" {
		return nil, fmt.Errorf("its file system does not allow SQLite's WAL mode (got %q): use a local disk", mode)
	}
	return s, nil
}

// migrate brings the tables up to date. Processes that open a new file at the
// same moment hold each other up while it turns into a WAL file, and there
// SQLite does not wait by itself.
func (s *sqliteEngine) migrate(ctx context.Context, log *slog.Logger) error {
	for patience := time.Now().Add(2 * busyTimeout); ; {
		err := migrate(ctx, goose.DialectSQLite3, s.pool, log)
		var e *sqlite.Error
		if !errors.As(err, &e) || e.Code()&0xff != sqlite3.SQLITE_BUSY || time.Now().After(patience) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// sqliteDSN names the file to the driver, with what each connection is set to.
func sqliteDSN(path string) string {
	q := url.Values{
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"1"},
		"_dqs":          {"0"}, // "x" is a name and never a string, as in PostgreSQL
		"_txlock":       {"immediate"},
		"_error_rc":     {"1"},
	}
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
}

// connect opens one more connection.
func (s *sqliteEngine) connect(ctx context.Context) (*sqliteConn, error) {
	c, err := s.pool.Conn(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	return &sqliteConn{conn: c, statements: map[string]*sql.Stmt{}}, nil
}

func (s *sqliteEngine) write(ctx context.Context, f func(querier) error) error {
	if err := s.turns.take(ctx); err != nil {
		return err
	}
	b, err := s.join(ctx, f)
	if err != nil {
		return err
	}
	<-b.ended
	return b.err
}

// join runs f in the open batch, which it opens when there is none, and gives
// the turn on. Without an error the work of f is in the batch.
func (s *sqliteEngine) join(ctx context.Context, f func(querier) error) (*batch, error) {
	defer s.giveTurn(ctx) // whatever f does, a panic and runtime.Goexit included
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.batch == nil {
		if err := s.begin(ctx); err != nil {
			if ctx.Err() == nil {
				s.turns.dismiss(err) // they have waited as long, and would wait as long again
			}
			return nil, err
		}
	}
	if err := s.writer.run(ctx, "SAVEPOINT one"); err != nil {
		return nil, s.lose(err)
	}
	b, kept := s.batch, false
	defer func() {
		if !kept {
			s.undo(ctx)
		}
	}()
	if err := f(s.writer); err != nil {
		return nil, err
	}
	if err := s.writer.run(ctx, "RELEASE one"); err != nil {
		return nil, unavailable(err)
	}
	kept = true
	b.size++
	return b, nil
}

// undo takes back what one function did. It cannot when SQLite has already
// undone the whole transaction, as it does for a full disk or a failing one.
func (s *sqliteEngine) undo(ctx context.Context) {
	for _, query := range []string{"ROLLBACK TO one", "RELEASE one"} {
		if err := s.writer.run(ctx, query); err != nil {
			s.lose(fmt.Errorf("the transaction ended before its commit: %w", err))
			return
		}
	}
}

// giveTurn leaves the commit to the next in line, or makes it.
func (s *sqliteEngine) giveTurn(ctx context.Context) {
	if b := s.batch; b != nil && b.size < maxBatch && time.Since(b.began) < maxBatchAge && s.turns.pass() {
		return
	}
	s.commit(ctx)
	s.turns.leave()
}

// begin opens a batch.
func (s *sqliteEngine) begin(ctx context.Context) (err error) {
	if s.writer == nil {
		if s.writer, err = s.connectWriter(ctx); err != nil {
			return err
		}
	}
	now := time.Now()
	if now.Sub(s.ended) >= breath {
		s.since = now
	} else if now.Sub(s.since) > maxStretch {
		time.Sleep(breath)
		s.since = time.Now()
	}
	for end := now.Add(busyTimeout); ; time.Sleep(busyPause) {
		err := s.writer.run(ctx, "BEGIN IMMEDIATE")
		if err == nil {
			s.batch = &batch{began: time.Now(), ended: make(chan struct{})}
			return nil
		}
		if code(err) != sqlite3.SQLITE_BUSY || time.Now().After(end) {
			s.dropWriter()
			return unavailable(err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// commit ends the open batch, if there is one.
func (s *sqliteEngine) commit(ctx context.Context) {
	b := s.batch
	if b == nil {
		return
	}
	query := "COMMIT"
	if b.size == 0 {
		query = "ROLLBACK"
	}
	if err := s.writer.run(ctx, query); err != nil {
		s.lose(err)
		return
	}
	if b.size > 0 {
		s.count.commits.Add(1)
	}
	s.ended = time.Now()
	s.batch = nil
	close(b.ended)
}

// lose gives up the open batch: its writers are told that nothing was written.
func (s *sqliteEngine) lose(err error) error {
	b := s.batch
	s.dropWriter()
	s.batch = nil
	b.err = unavailable(err)
	close(b.ended)
	return b.err
}

// dropWriter closes the writing connection, which undoes what it has open. The
// next writer opens another.
func (s *sqliteEngine) dropWriter() {
	if s.writer != nil {
		s.writer.close()
		s.writer = nil
	}
}

func (s *sqliteEngine) read(ctx context.Context, f func(querier) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	var c *sqliteConn
	select {
	case <-s.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	case c = <-s.readers:
	}
	defer func() { s.readers <- c }()
	if c == nil {
		if c, err = s.connectReader(ctx); err != nil {
			return err
		}
	}
	if err := c.run(ctx, "BEGIN"); err != nil {
		c.close()
		c = nil
		return unavailable(err)
	}
	defer func() {
		if c.run(ctx, "ROLLBACK") != nil {
			c.close()
			c = nil
		}
	}()
	return f(c)
}

// connectWriter opens the connection that writes.
func (s *sqliteEngine) connectWriter(ctx context.Context) (*sqliteConn, error) {
	c, err := s.connect(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	for _, pragma := range []string{
		"PRAGMA busy_timeout = 0",              // begin waits itself
		"PRAGMA cache_size = -65536",           // 64 MiB
		"PRAGMA journal_size_limit = 67108864", // a large import does not leave a large log file for ever
	} {
		if err := c.run(ctx, pragma); err != nil {
			c.close()
			return nil, unavailable(err)
		}
	}
	return c, nil
}

// connectReader opens a connection that cannot write.
func (s *sqliteEngine) connectReader(ctx context.Context) (*sqliteConn, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.run(ctx, "PRAGMA query_only = 1"); err != nil {
		c.close()
		return nil, unavailable(err)
	}
	c.cancels = true
	return c, nil
}

func (s *sqliteEngine) close() error {
	if !s.turns.close() {
		return nil
	}
	close(s.closed)
	for range readers {
		if c := <-s.readers; c != nil {
			c.close()
		}
	}
	s.dropWriter()
	if s.pool == nil {
		return nil
	}
	if err := s.pool.Close(); err != nil {
		return fmt.Errorf("closing the SQLite file %s: %w", s.path, err)
	}
	return nil
}

// check finds what a small write does not: a file that was moved or replaced
// under the open database, which SQLite would go on writing to, and a disk so
// full that only the room inside the files is left.
func (s *sqliteEngine) check() error {
	now, err := os.Stat(s.path)
	if err != nil {
		return unavailable(err)
	}
	if !os.SameFile(s.file, now) {
		return fmt.Errorf("%w: the file %s is no longer the one that was opened: restart on the right one", ErrUnavailable, s.path)
	}
	ballast := s.path + "-ready"
	err = os.WriteFile(ballast, make([]byte, minFree), 0o600)
	os.Remove(ballast)
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// collided never happens: writers take turns.
func (s *sqliteEngine) collided(error) bool { return false }

func (s *sqliteEngine) unavailable(err error, writing bool) bool {
	switch code(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	case sqlite3.SQLITE_READONLY:
		return writing
	}
	return errors.Is(err, sql.ErrConnDone)
}

// code is SQLite's primary result code, SQLITE_OK for an error that is none of
// its own.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return sqlite3.SQLITE_OK
}

// A sqliteConn is one connection and the statements prepared on it. It belongs
// to one transaction at a time.
type sqliteConn struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt

	// cancels lets the end of a context interrupt a statement. Never on the
	// writing connection: SQLite would undo the whole batch with it.
	cancels bool
}

func (c *sqliteConn) close() {
	for _, st := range c.statements {
		st.Close()
	}
	c.conn.Close()
}

// run executes a statement of the transaction itself, which no context stops.
func (c *sqliteConn) run(ctx context.Context, query string) error {
	ctx = context.WithoutCancel(ctx)
	st, err := c.prepare(ctx, query)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx)
	return err
}

// prepare returns the statement from the ones that are kept, or prepares it.
func (c *sqliteConn) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := c.statements[query]; st != nil {
		return st, nil
	}
	if len(c.statements) >= maxStatements {
		for _, st := range c.statements {
			st.Close()
		}
		clear(c.statements)
	}
	st, err := c.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	c.statements[query] = st
	return st, nil
}

// scope is the context of a statement.
func (c *sqliteConn) scope(ctx context.Context) (context.Context, error) {
	if c.cancels {
		return ctx, ctx.Err()
	}
	return context.WithoutCancel(ctx), ctx.Err()
}

func (c *sqliteConn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx, err := c.scope(ctx)
	if err != nil {
		return nil, err
	}
	st, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(ctx, args...)
}

func (c *sqliteConn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx, err := c.scope(ctx)
	if err != nil {
		return nil, err
	}
	st, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

func (c *sqliteConn) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	scoped, err := c.scope(ctx)
	if err != nil {
		return rowOf(ctx, err)
	}
	st, err := c.prepare(scoped, query)
	if err != nil {
		return rowOf(ctx, err)
	}
	return st.QueryRowContext(scoped, args...)
}
