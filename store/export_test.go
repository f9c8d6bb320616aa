package store

import (
	"context"
	"fmt"
	"time"
)

// OnWriter runs a pragma on the connection that writes to SQLite, and nothing
// on PostgreSQL.
func (db *DB) OnWriter(ctx context.Context, pragma string) error {
	s, ok := db.engine.(*sqliteEngine)
	if !ok {
		return nil
	}
	if err := s.turns.take(ctx); err != nil {
		return err
	}
	defer s.turns.leave()
	if s.writer == nil {
		var err error
		if s.writer, err = s.connectWriter(ctx); err != nil {
			return err
		}
	}
	// A pragma that answers with a row needs a query.
	var answer any
	if err := s.writer.conn.QueryRowContext(ctx, pragma).Scan(&answer); err != nil {
		return fmt.Errorf("%s: %w", pragma, err)
	}
	return nil
}

// Waiting is how many writers wait for their turn on SQLite.
func (db *DB) Waiting() int {
	s, ok := db.engine.(*sqliteEngine)
	if !ok {
		return 0
	}
	s.turns.mu.Lock()
	defer s.turns.mu.Unlock()
	return len(s.turns.waiting)
}

// SetBusyTimeout replaces how long SQLite waits for other processes; it returns
// what puts the old value back.
func SetBusyTimeout(d time.Duration) (restore func()) {
	old := busyTimeout
	busyTimeout = d
	return func() { busyTimeout = old }
}
