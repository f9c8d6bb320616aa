package store_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vigie/store"
	"vigie/store/storetest"
)

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
		if tx.Statements() != 1 {
			t.Errorf("%d statements in a run that has made one", tx.Statements())
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
