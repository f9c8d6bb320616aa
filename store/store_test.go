package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// busy holds the writers' turn until the returned function is called, so that a
// test can have others wait behind it.
func busy(t *testing.T, db *store.DB) (release func()) {
	t.Helper()
	held, free := make(chan bool), make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() {
		err := db.Write(context.WithoutCancel(t.Context()), func(tx *store.Tx) error {
			close(held)
			<-free
			return nil
		})
		if err != nil {
			t.Errorf("the writer before them: %v", err)
		}
	})
	<-held
	return sync.OnceFunc(func() {
		close(free)
		wg.Wait()
	})
}

// waitFor waits until cond holds.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestManyWritersAtOnceCountRight(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counters(t, db)
		const writers, each = 24, 8
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range each {
					if err := db.Write(t.Context(), func(tx *store.Tx) error {
						return increment(t.Context(), tx, "a")
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if n := count(t, db, "a"); n != writers*each {
			t.Errorf("counted %d of %d", n, writers*each)
		}
	})
}

// Two writers that each read both rows and write one of them collide only where
// transactions run as if alone; snapshots are not enough.
func TestARuleOverTwoRowsHolds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counters(t, db)
		for round := range 20 {
			a, b := fmt.Sprint("a", round), fmt.Sprint("b", round)
			var wg sync.WaitGroup
			for _, mine := range []string{a, b} {
				wg.Go(func() {
					err := db.Write(t.Context(), func(tx *store.Tx) error {
						x, err1 := valueOf(t.Context(), tx, a)
						y, err2 := valueOf(t.Context(), tx, b)
						if err := errors.Join(err1, err2); err != nil || x+y > 0 {
							return err
						}
						return set(t.Context(), tx, mine, 1)
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := count(t, db, a) + count(t, db, b); n != 1 {
				t.Fatalf("%d rows were written where one may be", n)
			}
		}
	})
}

// How each of those who share a commit behaves.
var manners = []func(ctx context.Context, tx *store.Tx, name string) error{
	func(ctx context.Context, tx *store.Tx, name string) error { return increment(ctx, tx, name) },
	func(ctx context.Context, tx *store.Tx, name string) error {
		return errors.Join(increment(ctx, tx, name), errOwn)
	},
	func(ctx context.Context, tx *store.Tx, name string) error {
		panic(errors.Join(increment(ctx, tx, name), errOwn))
	},
	func(ctx context.Context, tx *store.Tx, name string) error {
		if err := increment(ctx, tx, name); err != nil {
			return err
		}
		runtime.Goexit() // as t.Fatal does
		return nil
	},
	func(ctx context.Context, tx *store.Tx, name string) error {
		if err := increment(ctx, tx, name); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO counter (name, n) VALUES ($1, NULL)`, name+"!")
		if err == nil {
			return errors.New("NULL was accepted")
		}
		return nil // goes on as if nothing had happened
	},
}

func TestWritersWhoShareACommitDoNotShareTheirErrors(t *testing.T) {
	db := storetest.Open(t, store.Options{})
	counters(t, db)
	before := db.Stats()
	release := busy(t, db)
	const each = 10
	var hooks, ended [5]atomic.Int32
	var wg sync.WaitGroup
	for i := range len(manners) * each {
		wg.Go(func() {
			kind := i % len(manners)
			defer ended[kind].Add(1)
			defer func() {
				if v := recover(); v != nil && (kind != 2 || !errors.Is(v.(error), errOwn)) {
					t.Errorf("writer %d panicked with %v", i, v)
				}
			}()
			err := db.Write(t.Context(), func(tx *store.Tx) error {
				tx.OnCommit(func() { hooks[kind].Add(1) })
				return manners[kind](t.Context(), tx, fmt.Sprint(i))
			})
			switch {
			case kind == 0 && err != nil, kind == 1 && !errors.Is(err, errOwn),
				kind == 4 && (err == nil || errors.Is(err, store.ErrUnavailable)):
				t.Errorf("writer %d: %v", i, err)
			case kind == 2 || kind == 3:
				t.Errorf("writer %d returned: %v", i, err)
			}
		})
	}
	waitFor(t, "the writers to queue", func() bool { return db.Waiting() == len(manners)*each })
	release()
	wg.Wait()

	for i := range len(manners) * each {
		if n, kept := count(t, db, fmt.Sprint(i)), i%len(manners) == 0; (n == 1) != kept {
			t.Errorf("of writer %d %d rows were kept", i, n)
		}
	}
	for kind := range manners {
		want := 0
		if kind == 0 {
			want = each
		}
		if n := hooks[kind].Load(); n != int32(want) {
			t.Errorf("%d hooks of kind %d ran, not %d", n, kind, want)
		}
		if n := ended[kind].Load(); n != each {
			t.Errorf("%d writers of kind %d ended, not %d", n, kind, each)
		}
	}
	if n := db.Stats().Commits - before.Commits; n > 3 { // one, unless the machine is so slow that the batch grows old
		t.Errorf("%d commits for %d writers", n, each+1)
	}
}

func TestManyWritersShareOneCommit(t *testing.T) {
	db := storetest.Open(t, store.Options{})
	counters(t, db)
	before := db.Stats()
	release := busy(t, db)
	var wg sync.WaitGroup
	const writers = 40
	for i := range writers {
		wg.Go(func() {
			if err := db.Write(t.Context(), func(tx *store.Tx) error {
				return set(t.Context(), tx, fmt.Sprint(i), 1)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, "the writers to queue", func() bool { return db.Waiting() == writers })
	release()
	wg.Wait()
	after := db.Stats()
	if commits := after.Commits - before.Commits; commits > 5 {
		t.Errorf("%d commits for %d writers", commits, writers+1)
	}
	if writes := after.Writes - before.Writes; writes != writers+1 {
		t.Errorf("%d writes counted, not %d", writes, writers+1)
	}
	if n := after.Statements - before.Statements; n != writers {
		t.Errorf("%d statements counted, not %d", n, writers)
	}
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

func TestAWriterThatCollidesRunsAgain(t *testing.T) {
	clock := storetest.NewClock()
	db := storetest.OpenPostgres(t, store.Options{Clock: clock.Now})
	counters(t, db)
	var nows []time.Time
	hooks := 0
	write(t, db, func(ctx context.Context, tx *store.Tx) error {
		nows = append(nows, tx.Now)
		tx.OnCommit(func() { hooks++ })
		n, err := valueOf(ctx, tx, "a")
		if err != nil {
			return err
		}
		if len(nows) < 3 {
			clock.Add(time.Second)
			write(t, db, func(ctx context.Context, tx *store.Tx) error { return increment(ctx, tx, "a") })
		}
		if err := set(ctx, tx, "a", n+10); err != nil && len(nows) > 1 {
			return errOwn // hides what happened, and is run again all the same
		} else if err != nil {
			return err
		}
		return nil
	})
	if n := count(t, db, "a"); n != 12 {
		t.Errorf("counted %d, not 12", n)
	}
	if len(nows) != 3 || !nows[0].Before(nows[1]) || hooks != 1 {
		t.Errorf("ran at %v, %d hooks", nows, hooks)
	}
	if s := db.Stats(); s.Retries != 2 {
		t.Errorf("counted %d retries", s.Retries)
	}
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
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return errors.Join(set(ctx, tx, "a", 1), set(ctx, tx, "b", 2)) })
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

func TestAContextThatEndedRunsNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		ran := false
		f := func(*store.Tx) error { ran = true; return nil }
		if err := db.Write(ctx, f); !errors.Is(err, context.Canceled) {
			t.Errorf("Write answered %v", err)
		}
		if err := db.Read(ctx, f); !errors.Is(err, context.Canceled) {
			t.Errorf("Read answered %v", err)
		}
		if ran {
			t.Error("it ran")
		}
	})
}

func TestWhoGivesUpWaitingLeavesTheLine(t *testing.T) {
	db := storetest.Open(t, store.Options{})
	counters(t, db)
	release := busy(t, db)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	const each = 20
	for i := range 2 * each {
		wg.Go(func() {
			ctx := ctx
			if i%2 == 0 {
				ctx = t.Context()
			}
			err := db.Write(ctx, func(tx *store.Tx) error { return increment(t.Context(), tx, "a") })
			if (i%2 == 0) != (err == nil) || i%2 == 1 && !errors.Is(err, context.Canceled) {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	waitFor(t, "the writers to queue", func() bool { return db.Waiting() == 2*each })
	cancel()
	waitFor(t, "half of them to leave", func() bool { return db.Waiting() == each })
	release()
	wg.Wait()
	if n := count(t, db, "a"); n != each {
		t.Errorf("%d wrote, not %d", n, each)
	}
}

// Contexts end at every possible moment, and nobody is forgotten, nothing
// counted twice or lost.
func TestContextsThatEndAnyTimeLoseNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counters(t, db)
		var wg sync.WaitGroup
		var acknowledged atomic.Int64
		for i := range 12 {
			wg.Go(func() {
				for j := range 25 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+(i*25+j)*17%1500)*time.Microsecond)
					err := db.Write(ctx, func(tx *store.Tx) error { return increment(ctx, tx, "a") })
					cancel()
					if err == nil {
						acknowledged.Add(1)
					} else if !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if n := count(t, db, "a"); n != acknowledged.Load() {
			t.Errorf("counted %d, acknowledged %d", n, acknowledged.Load())
		}
	})
}

func TestAContextThatEndsInsideStopsTheNextStatement(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counters(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Write(ctx, func(tx *store.Tx) error {
			if err := increment(ctx, tx, "a"); err != nil {
				return err
			}
			cancel()
			return increment(ctx, tx, "a")
		})
		if !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("answered %v", err)
		}
		if n := count(t, db, "a"); n != 0 {
			t.Errorf("%d was kept", n)
		}
		counted := increment
		write(t, db, func(ctx context.Context, tx *store.Tx) error { return counted(ctx, tx, "a") })
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
