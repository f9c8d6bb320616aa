package store_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"

	"vigie/store"
	"vigie/store/storetest"
)

func counter(t *testing.T, db *store.DB) {
	t.Helper()
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), `CREATE TABLE counter (name TEXT PRIMARY KEY, n BIGINT NOT NULL)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// increment reads and writes in two statements, so that only isolation keeps it
// right.
func increment(ctx context.Context, tx *store.Tx, name string) error {
	var n int64
	err := tx.QueryRow(ctx, `SELECT n FROM counter WHERE name = $1`, name).Scan(&n)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO counter (name, n) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET n = excluded.n`, name, n+1)
	return err
}

func count(t *testing.T, db *store.DB, name string) (n int64) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		err := tx.QueryRow(t.Context(), `SELECT n FROM counter WHERE name = $1`, name).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			n = 0
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestManyWritersAtOnceCountRight(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		counter(t, db)
		const writers, each = 32, 10
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
		t.Logf("%+v", db.Stats())
	})
}
