package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"vigie/store"
	"vigie/store/storetest"
)

func TestMain(m *testing.M) {
	if crashed() {
		return
	}
	goleak.VerifyTestMain(m)
}

var errOwn = errors.New("an error of the caller")

// write runs f, which must go well.
func write(t testing.TB, db *store.DB, f func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := db.Write(t.Context(), func(tx *store.Tx) error { return f(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// read runs f, which must go well.
func read(t testing.TB, db *store.DB, f func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := db.Read(t.Context(), func(tx *store.Tx) error { return f(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, db *store.DB, query string, args ...any) {
	t.Helper()
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
}

// counters makes the table that the tests count in.
func counters(t testing.TB, db *store.DB) {
	t.Helper()
	run(t, db, `CREATE TABLE counter (name TEXT PRIMARY KEY, n BIGINT NOT NULL)`)
}

// valueOf reads a counter, 0 when there is none.
func valueOf(ctx context.Context, tx *store.Tx, name string) (n int64, err error) {
	err = tx.QueryRow(ctx, `SELECT n FROM counter WHERE name = $1`, name).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

func set(ctx context.Context, tx *store.Tx, name string, n int64) error {
	_, err := tx.Exec(ctx, `INSERT INTO counter (name, n) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET n = excluded.n`, name, n)
	return err
}

// increment reads and writes in two statements, so that only isolation keeps
// the count right.
func increment(ctx context.Context, tx *store.Tx, name string) error {
	n, err := valueOf(ctx, tx, name)
	if err != nil {
		return err
	}
	return set(ctx, tx, name, n+1)
}

func count(t testing.TB, db *store.DB, name string) (n int64) {
	t.Helper()
	read(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		n, err = valueOf(ctx, tx, name)
		return err
	})
	return n
}

func TestAnErrorUndoesWhatWasWritten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counters(t, db)
		hooked := false
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			tx.OnCommit(func() { hooked = true })
			return errors.Join(increment(t.Context(), tx, "a"), errOwn)
		})
		if !errors.Is(err, errOwn) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("answered %v", err)
		}
		if n := count(t, db, "a"); n != 0 || hooked {
			t.Errorf("%d rows were kept, hook ran: %v", n, hooked)
		}
	})
}

func TestHooksRunInOrderAfterTheCommitOnTheirCaller(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counters(t, db)
		var order []string
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			order = nil
			for _, name := range []string{"first", "second"} {
				tx.OnCommit(func() {
					// A hook may write: it is outside of the transaction.
					write(t, db, func(ctx context.Context, tx *store.Tx) error { return increment(ctx, tx, name) })
					order = append(order, fmt.Sprint(name, count(t, db, "a")))
				})
			}
			return increment(ctx, tx, "a")
		})
		if got := strings.Join(order, " "); got != "first1 second1" {
			t.Errorf("hooks: %s", got)
		}
	})
}

func TestAReaderSeesOneInstantAndCannotWrite(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counters(t, db)
		read(t, db, func(ctx context.Context, tx *store.Tx) error {
			for range 2 {
				n, err := valueOf(ctx, tx, "a")
				if err != nil || n != 0 {
					t.Errorf("read %d, %v", n, err)
				}
				write(t, db, func(ctx context.Context, tx *store.Tx) error { return increment(ctx, tx, "a") })
			}
			return nil
		})
		err := db.Read(t.Context(), func(tx *store.Tx) error { return increment(t.Context(), tx, "a") })
		if err == nil || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("writing in Read answered %v", err)
		}
		if n := count(t, db, "a"); n != 2 {
			t.Errorf("counted %d", n)
		}
	})
}

func TestATransactionEndsWithTheFirstStatementThatFails(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counters(t, db)
		var later error
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			if err := increment(t.Context(), tx, "a"); err != nil {
				return err
			}
			var n int64
			if err := tx.QueryRow(t.Context(), `SELECT nothing FROM nowhere`).Scan(&n); err == nil {
				t.Error("read from nowhere")
			}
			later = increment(t.Context(), tx, "a")
			return nil
		})
		if err == nil || later == nil || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("the next statement answered %v, the transaction %v", later, err)
		}
		if n := count(t, db, "a"); n != 0 {
			t.Errorf("%d was kept", n)
		}
	})
}

func TestRowsAreClosedBeforeTheNextStatement(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counters(t, db)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(set(ctx, tx, "a", 1), set(ctx, tx, "b", 2))
		})
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			rows, err := tx.Query(t.Context(), `SELECT name FROM counter`)
			if err != nil {
				return err
			}
			defer rows.Close()
			rows.Next()
			return increment(t.Context(), tx, "c")
		})
		if err == nil {
			t.Error("a statement ran while rows were open")
		}
		write(t, db, func(ctx context.Context, tx *store.Tx) error { // read to the end they are closed
			rows, err := tx.Query(ctx, `SELECT name FROM counter ORDER BY name`)
			if err != nil {
				return err
			}
			var names []string
			for rows.Next() {
				var name string
				if err := rows.Scan(&name); err != nil {
					return err
				}
				names = append(names, name)
			}
			if !slices.Equal(names, []string{"a", "b"}) {
				t.Errorf("read %v", names)
			}
			return increment(ctx, tx, "c")
		})
	})
}

func TestATransactionCannotBeUsedAfterItsEnd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counters(t, db)
		var kept *store.Tx
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			kept = tx
			return nil
		})
		if err := increment(t.Context(), kept, "a"); err == nil {
			t.Error("an ended transaction wrote")
		}
		if _, err := kept.Query(t.Context(), `SELECT n FROM counter`); err == nil {
			t.Error("an ended transaction read")
		}
	})
}

func TestValuesComeBackAsTheyWere(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		run(t, db, `CREATE TABLE kept (id TEXT PRIMARY KEY, n BIGINT, yes BOOLEAN, bytes BYTEA)`)
		type named string
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			var id named
			err := tx.QueryRow(ctx, `INSERT INTO kept (id, n, yes, bytes) VALUES ($1, $2, $3, $4) RETURNING id`,
				named("é'\"$1"), int64(1)<<62, true, []byte{0, 1, 0xff}).Scan(&id)
			if err != nil || id != "é'\"$1" {
				t.Errorf("%q, %v", id, err)
			}
			n, err := tx.Exec(ctx, `INSERT INTO kept (id, n, yes, bytes) VALUES ($2, NULL, $1, $3)`, false, "none", []byte(nil))
			if err != nil || n != 1 {
				t.Errorf("wrote %d, %v", n, err)
			}
			return nil
		})
		read(t, db, func(ctx context.Context, tx *store.Tx) error {
			var n int64
			var yes bool
			var b []byte
			if err := tx.QueryRow(ctx, `SELECT n, yes, bytes FROM kept WHERE yes = $1`, true).Scan(&n, &yes, &b); err != nil {
				return err
			}
			if n != 1<<62 || !yes || string(b) != "\x00\x01\xff" {
				t.Errorf("%d %v %q", n, yes, b)
			}
			var none sql.NullInt64
			if err := tx.QueryRow(ctx, `SELECT n, yes, bytes FROM kept WHERE bytes IS NULL`).Scan(&none, &yes, &b); err != nil {
				return err
			}
			if none.Valid || yes || b != nil {
				t.Errorf("%v %v %v", none, yes, b)
			}
			return nil
		})
	})
}

func TestALongReadCanBeStopped(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		err := db.Read(ctx, func(tx *store.Tx) error {
			var n int64
			return tx.QueryRow(ctx, `WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000000000)
				SELECT COUNT(n) FROM c`).Scan(&n)
		})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnavailable) || time.Since(began) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if err := db.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		read(t, db, func(ctx context.Context, tx *store.Tx) error { _, _, err := tx.Setting(ctx, "x"); return err })
	})
}

func TestClosingWaitsForWhoIsInside(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counters(t, db)
		inside, goOn := make(chan bool, 2), make(chan bool)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := db.Write(t.Context(), func(tx *store.Tx) error {
				inside <- true
				<-goOn
				return increment(t.Context(), tx, "a")
			}); err != nil {
				t.Errorf("the writer inside: %v", err)
			}
		})
		wg.Go(func() {
			if err := db.Read(t.Context(), func(tx *store.Tx) error {
				inside <- true
				<-goOn
				_, err := valueOf(t.Context(), tx, "a")
				return err
			}); err != nil {
				t.Errorf("the reader inside: %v", err)
			}
		})
		<-inside
		<-inside
		closed := make(chan error)
		go func() { closed <- db.Close() }()
		select {
		case err := <-closed:
			t.Errorf("closed over open transactions: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		close(goOn)
		wg.Wait()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		f := func(*store.Tx) error { t.Error("ran after Close"); return nil }
		for what, err := range map[string]error{"Write": db.Write(t.Context(), f), "Read": db.Read(t.Context(), f), "Ready": db.Ready(t.Context())} {
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s after Close: %v", what, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
	})
}

func TestTheClockIsTheCallersAndCountsMilliseconds(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		clock.Add(1234567 * time.Nanosecond)
		want := time.Date(2026, time.March, 2, 8, 0, 0, 1e6, time.UTC)
		write(t, db, func(ctx context.Context, tx *store.Tx) error {
			if tx.Now != want || db.Now() != want {
				t.Errorf("it is %v and %v, not %v", tx.Now, db.Now(), want)
			}
			return nil
		})
	})
}

func TestTimesAreKeptAsMilliseconds(t *testing.T) {
	for ms, at := range map[int64]time.Time{
		0:             {},
		1:             time.UnixMilli(1).UTC(),
		-1:            time.UnixMilli(-1).UTC(),
		1772438400123: time.Date(2026, time.March, 2, 8, 0, 0, 123e6, time.UTC),
	} {
		if store.Millis(at) != ms || store.FromMillis(ms) != at {
			t.Errorf("%v ↔ %d: got %d and %v", at, ms, store.Millis(at), store.FromMillis(ms))
		}
	}
}

func TestTheDatabaseServesInABubbleOfFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t, store.Options{})
		counters(t, db)
		release := busy(t, db)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { write(t, db, func(ctx context.Context, tx *store.Tx) error { return increment(ctx, tx, "a") }) })
		}
		synctest.Wait()
		release()
		wg.Wait()
		before := db.Now()
		time.Sleep(time.Hour)
		if n := count(t, db, "a"); n != 5 || db.Now().Sub(before) != time.Hour {
			t.Errorf("counted %d, and %v went by", n, db.Now().Sub(before))
		}
	})
}
