package store_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"vigie/store"
	"vigie/store/storetest"
)

// onBoth runs a benchmark on each engine.
func onBoth(b *testing.B, f func(b *testing.B, db *store.DB)) {
	b.Run("sqlite", func(b *testing.B) { f(b, storetest.Open(b, store.Options{})) })
	b.Run("postgres", func(b *testing.B) { f(b, storetest.OpenPostgres(b, store.Options{})) })
}

// BenchmarkDurableRow inserts one small row per transaction, by so many callers
// at once.
func BenchmarkDurableRow(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			onBoth(b, func(b *testing.B, db *store.DB) {
				run(b, db, `CREATE TABLE item (id TEXT PRIMARY KEY, owner TEXT NOT NULL, at BIGINT NOT NULL, hash BYTEA NOT NULL)`)
				ctx := context.WithoutCancel(b.Context())
				before := db.Stats()
				var left atomic.Int64
				left.Store(int64(b.N))
				b.ResetTimer()
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							id := rand.Text()
							if err := db.Write(ctx, func(tx *store.Tx) error {
								_, err := tx.Exec(ctx, `INSERT INTO item (id, owner, at, hash) VALUES ($1, $2, $3, $4)`, id, "899700000017", store.Millis(tx.Now), []byte(id))
								return err
							}); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				after := db.Stats()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
				b.ReportMetric(float64(b.N)/float64(after.Commits-before.Commits), "rows/commit")
			})
		})
	}
}

// BenchmarkReadRow reads one row by its key per transaction.
func BenchmarkReadRow(b *testing.B) {
	onBoth(b, func(b *testing.B, db *store.DB) {
		counters(b, db)
		for i := range 1000 {
			write(b, db, func(ctx context.Context, tx *store.Tx) error { return set(ctx, tx, fmt.Sprint(i), 1) })
		}
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		var next atomic.Int64
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				name := fmt.Sprint(next.Add(1) % 1000)
				if err := db.Read(ctx, func(tx *store.Tx) error {
					_, err := valueOf(ctx, tx, name)
					return err
				}); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
