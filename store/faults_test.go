package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vigie/store"
	"vigie/store/storetest"
)

// unavailable checks that the database says it cannot serve, in every way.
func unavailable(t *testing.T, db *store.DB) {
	t.Helper()
	if err := db.Write(t.Context(), func(tx *store.Tx) error { return increment(t.Context(), tx, "a") }); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Write answered %v", err)
	}
	if err := db.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Ready answered %v", err)
	}
}

// serves checks that the database serves, and that a counts what it should.
func serves(t *testing.T, db *store.DB, a int64) {
	t.Helper()
	if err := db.Ready(t.Context()); err != nil {
		t.Errorf("Ready answered %v", err)
	}
	write(t, db, func(ctx context.Context, tx *store.Tx) error { return increment(ctx, tx, "a") })
	if n := count(t, db, "a"); n != a {
		t.Errorf("counted %d, not %d", n, a)
	}
}

// A file that may not grow: here the statement fails, not the commit.
func TestAFullFileIsSaidAndRecoveredFrom(t *testing.T) {
	db := storetest.Open(t, store.Options{})
	counters(t, db)
	run(t, db, `CREATE TABLE filling (bytes BYTEA)`)
	serves(t, db, 1)
	if err := db.OnWriter(t.Context(), "PRAGMA max_page_count = 1"); err != nil { // means: as many as there are
		t.Fatal(err)
	}
	fill := func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO filling (bytes) VALUES ($1)`, make([]byte, 100_000))
		return err
	}
	if err := db.Write(t.Context(), fill); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a full file answered %v", err)
	}

	// Who shares a commit with the one that fills it is told when its own work
	// is lost, and only then.
	release := busy(t, db)
	var wg sync.WaitGroup
	var acknowledged atomic.Int64
	for i := range 9 {
		wg.Go(func() {
			err := db.Write(t.Context(), func(tx *store.Tx) error {
				if err := increment(t.Context(), tx, "b"); err != nil || i%3 > 0 {
					return err
				}
				return fill(tx)
			})
			switch {
			case err == nil:
				acknowledged.Add(1)
			case !errors.Is(err, store.ErrUnavailable):
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	waitFor(t, "the writers to queue", func() bool { return db.Waiting() == 9 })
	release()
	wg.Wait()
	if n := count(t, db, "b"); n != acknowledged.Load() {
		t.Errorf("%d were kept, %d acknowledged", n, acknowledged.Load())
	}
	if err := db.OnWriter(t.Context(), "PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	if err := db.Write(t.Context(), fill); err != nil {
		t.Error(err)
	}
	serves(t, db, 2)
}

func TestAFileLockedByAnotherProcessIsSaidAndRecoveredFrom(t *testing.T) {
	defer store.SetBusyTimeout(200 * time.Millisecond)()
	path := storetest.SQLite(t)
	db, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	counters(t, db)
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	lock := func(query string) {
		t.Helper()
		if _, err := other.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	lock("BEGIN IMMEDIATE")
	unavailable(t, db)
	if n := count(t, db, "a"); n != 0 {
		t.Errorf("counted %d", n)
	}

	// Those who queue up behind the lock do not wait for it one after the other.
	began := time.Now()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := db.Write(t.Context(), func(tx *store.Tx) error { return nil }); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("answered %v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("50 writers waited for %v", took)
	}
	lock("ROLLBACK")
	serves(t, db, 1)

	// A lock that is short is waited for.
	lock("BEGIN IMMEDIATE")
	wg.Go(func() {
		time.Sleep(50 * time.Millisecond)
		lock("ROLLBACK")
	})
	serves(t, db, 2)
	wg.Wait()
}

// An import runs beside the server, in a process of its own.
func TestAProcessThatWritesALotLeavesRoomForAnother(t *testing.T) {
	path := storetest.SQLite(t)
	var dbs [2]*store.DB
	for i := range dbs {
		var err error
		if dbs[i], err = store.Open(t.Context(), path, store.Options{}); err != nil {
			t.Fatal(err)
		}
		defer dbs[i].Close()
	}
	counters(t, dbs[0])
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			write(t, dbs[0], func(ctx context.Context, tx *store.Tx) error {
				time.Sleep(20 * time.Millisecond)
				return increment(ctx, tx, "a")
			})
		}
	})
	waitFor(t, "the other process to write", func() bool { return count(t, dbs[0], "a") > 2 })
	var longest time.Duration
	for range 10 {
		began := time.Now()
		write(t, dbs[1], func(ctx context.Context, tx *store.Tx) error { return increment(ctx, tx, "b") })
		longest = max(longest, time.Since(began))
	}
	stop.Store(true)
	wg.Wait()
	if longest > 2*time.Second { // it is some 50 ms, and without the pauses it never gets its turn
		t.Errorf("a writer of the other process waited for %v", longest)
	}
	t.Log(longest)
}

func TestAFileThatWasMovedAwayIsSaid(t *testing.T) {
	path := storetest.SQLite(t)
	db, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := db.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("moved away: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := db.Ready(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("replaced: %v", err)
	}
	if err := os.Rename(path+".old", path); err != nil {
		t.Fatal(err)
	}
	if err := db.Ready(t.Context()); err != nil {
		t.Errorf("put back: %v", err)
	}
}

func TestAFileThatIsNoDatabaseIsRefused(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, bytes.Repeat([]byte("not a database\n"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, dir, filepath.Join(dir, "no", "folder")} {
		db, err := store.Open(t.Context(), path, store.Options{})
		if err == nil {
			db.Close()
			t.Errorf("opened %s", path)
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("the error does not name the file: %v", err)
		}
	}
	if b, _ := os.ReadFile(text); !bytes.HasPrefix(b, []byte("not a database\n")) {
		t.Error("the file was changed")
	}
}

func TestAServerThatWentAwayIsSaidAndFoundAgain(t *testing.T) {
	address, w := storetest.PostgresWired(t)
	db, err := store.Open(t.Context(), address, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	counters(t, db)
	release := make(chan bool)
	var wg sync.WaitGroup
	for range 5 { // so that several connections are idle when the server goes
		wg.Go(func() {
			read(t, db, func(ctx context.Context, tx *store.Tx) error {
				_, err := valueOf(ctx, tx, "a")
				<-release
				return err
			})
		})
	}
	time.Sleep(50 * time.Millisecond)
	close(release)
	wg.Wait()
	serves(t, db, 1)

	w.Cut(false) // a server that was restarted: nobody notices
	for i := range 6 {
		serves(t, db, int64(2+i))
	}

	w.Cut(true)
	for range 3 {
		unavailable(t, db)
	}
	if err := db.Read(t.Context(), func(tx *store.Tx) error { return nil }); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Read answered %v", err)
	}
	w.Cut(false)
	serves(t, db, 8)

	// In the middle of a transaction it is the transaction that fails.
	err = db.Write(t.Context(), func(tx *store.Tx) error {
		if err := increment(t.Context(), tx, "a"); err != nil {
			return err
		}
		w.Cut(false)
		return increment(t.Context(), tx, "a")
	})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Write answered %v", err)
	}
	serves(t, db, 9)
}

func TestACommitWhoseAnswerIsLostIsNotAcknowledged(t *testing.T) {
	address, w := storetest.PostgresWired(t)
	db, err := store.Open(t.Context(), address, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	counters(t, db)
	hooked := false
	err = db.Write(t.Context(), func(tx *store.Tx) error {
		tx.OnCommit(func() { hooked = true })
		w.CutAfter("commit")
		return increment(t.Context(), tx, "a")
	})
	w.CutAfter("")
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "outcome unknown") || hooked {
		t.Errorf("answered %v, hook ran: %v", err, hooked)
	}
	if n := count(t, db, "a"); n != 1 { // this time it was kept
		t.Errorf("counted %d", n)
	}
}

func TestAContextThatEndsDuringTheCommitDoesNotStopIt(t *testing.T) {
	address, _ := storetest.PostgresWired(t)
	db, err := store.Open(t.Context(), address, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	counters(t, db)
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Write(ctx, func(tx *store.Tx) error {
			defer time.AfterFunc(time.Duration(i*50)*time.Microsecond, cancel)
			return set(ctx, tx, fmt.Sprint(i), 1)
		})
		cancel()
		if n := count(t, db, fmt.Sprint(i)); (n == 1) != (err == nil) || strings.Contains(fmt.Sprint(err), "unknown") {
			t.Errorf("%d was kept, the answer was %v", n, err)
		}
	}
}

func TestAServerThatIsNotThereIsSaidWithoutThePassword(t *testing.T) {
	for _, address := range []string{"postgres://me:s3cret@127.0.0.1:1/vigie", "postgres://me:s3cret@127.0.0.1:1/vigie?pool_max_conns=x", "postgres://me:s3cret@[::1/x"} {
		db, err := store.Open(t.Context(), address, store.Options{})
		if err == nil {
			db.Close()
			t.Fatal("opened nothing")
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}
