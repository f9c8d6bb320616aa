// Package storetest gives each test a database of its own, migrated and empty,
// on the real engines.
//
// SQLite is always there. For PostgreSQL the environment may name a server
// (VIGIE_TEST_POSTGRES, a URL whose user may create databases); without it a
// private server is started in the temporary folder and shared by all test
// processes of the user, until a while after the last of them has ended. Where
// neither can be had, the test is skipped; it fails when CI is set or a server
// was named.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vigie/store"
)

// Each runs f as a subtest on each engine, "sqlite" and "postgres", with a
// database that nothing else uses. It is closed after the subtest.
func Each(t *testing.T, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	each(t, store.Options{}, f)
}

// EachClock is [Each] with a clock that only the test moves.
func EachClock(t *testing.T, f func(t *testing.T, db *store.DB, clock *Clock)) {
	t.Helper()
	clock := NewClock()
	each(t, store.Options{Clock: clock.Now}, func(t *testing.T, db *store.DB) {
		clock.Set(start)
		f(t, db, clock)
	})
}

func each(t *testing.T, o store.Options, f func(*testing.T, *store.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, Open(t, o)) })
	t.Run("postgres", func(t *testing.T) { f(t, OpenPostgres(t, o)) })
}

// Open returns a fresh SQLite database, closed when the test ends.
func Open(t testing.TB, o store.Options) *store.DB {
	t.Helper()
	return open(t, SQLite(t), o)
}

// OpenPostgres returns a fresh PostgreSQL database, closed and dropped when the
// test ends. It skips the test where there is no server.
func OpenPostgres(t testing.TB, o store.Options) *store.DB {
	t.Helper()
	return open(t, Postgres(t), o)
}

// SQLite returns the path of a fresh SQLite database, for tests that open it
// themselves, or several times.
func SQLite(t testing.TB) string {
	t.Helper()
	tmpl, err := sqliteTemplate()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "vigie.db")
	if err := os.WriteFile(path, tmpl.content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, url string, o store.Options) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// A template is a migrated file: copying it is much quicker than migrating
// again.
type template struct {
	content []byte
	schema  string // names what the migrations made
}

var sqliteTemplate = sync.OnceValues(func() (*template, error) {
	dir, err := os.MkdirTemp("", "vigie-storetest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx, path := context.Background(), filepath.Join(dir, "template.db")
	db, err := store.Open(ctx, path, store.Options{})
	if err != nil {
		return nil, err
	}
	schema, err := schemaOf(ctx, db)
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	return &template{content, schema}, err
})

// schemaOf hashes the tables of a SQLite database.
func schemaOf(ctx context.Context, db *store.DB) (string, error) {
	h := sha256.New()
	err := db.Read(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(ctx, `SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			fmt.Fprintf(h, "%q\n", text)
		}
		return rows.Err()
	})
	return hex.EncodeToString(h.Sum(nil)[:8]), err
}

// start is when every Clock starts: a Monday morning.
var start = time.Date(2026, time.March, 2, 8, 0, 0, 0, time.UTC)

// A Clock stands still until the test moves it. Give its Now to
// [store.Options].
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows Monday, 2 March 2026, 08:00 UTC.
func NewClock() *Clock { return &Clock{now: start} }

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock, back when d is negative.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Set moves the clock to t.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}
