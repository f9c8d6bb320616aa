package directory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"vigie/store"
)

// ErrRunning says that another import is at work on this database.
var ErrRunning = errors.New("another import is running")

// errTakenOver says that this import was believed dead and another one began.
var errTakenOver = errors.New("another import has taken over from this one")

const (
	beatEvery = time.Second // how often an import shows that it lives
	patience  = 6           // beats of silence after which it is believed dead
)

// A lease is the right to import. Its holder shows that it lives by counting
// up; who finds it taken watches the count. No clock is compared, so clocks
// may be wrong.
type lease struct {
	db     *store.DB
	holder string
	every  time.Duration
}

// A standing is what is known of the holder of the lease.
type standing struct {
	holder      string
	beat, since int64
}

// takeLease takes the right to import. It returns [ErrRunning] when its holder
// is seen alive, and takes over from one that stays silent for patience times
// every, as a killed import does.
func takeLease(ctx context.Context, db *store.DB, every time.Duration) (*lease, error) {
	l := &lease{db, rand.Text(), every}
	var seen standing
	for silent := 0; ; silent++ {
		var now standing
		taken := false
		err := db.Write(ctx, func(tx *store.Tx) error {
			now, taken = standing{}, false
			row := tx.QueryRow(ctx, `SELECT holder, beat, since FROM directory_lease WHERE one = 1`)
			if err := row.Scan(&now.holder, &now.beat, &now.since); err != nil {
				return err
			}
			if now.holder != "" && (now != seen || silent < 2*patience) {
				return nil
			}
			taken = true
			_, err := tx.Exec(ctx, `UPDATE directory_lease SET holder = $1, beat = 1, since = $2 WHERE one = 1`, l.holder, store.Millis(tx.Now))
			return err
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("taking the right to import: %w", err)
		case taken:
			return l, nil
		case silent > 0 && now != seen:
			return nil, fmt.Errorf("%w since %s", ErrRunning, store.FromMillis(now.since).Format(time.RFC3339))
		}
		seen = now
		select {
		case <-time.After(every / 2):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// hold beats until stop is called. The context it returns ends with ctx, and
// with errTakenOver as its cause when the lease is lost.
func (l *lease) hold(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(l.every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			err := l.db.Write(ctx, func(tx *store.Tx) error { return l.check(ctx, tx) })
			if errors.Is(err, errTakenOver) {
				cancel(err)
			} // a database in trouble is noticed by the import itself
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// check beats once, and fails unless the lease is still held. Every transaction
// of an import that writes begins with it, so that one which was only slow can
// do no harm.
func (l *lease) check(ctx context.Context, tx *store.Tx) error {
	n, err := tx.Exec(ctx, `UPDATE directory_lease SET beat = beat + 1 WHERE one = 1 AND holder = $1`, l.holder)
	if err == nil && n != 1 {
		err = errTakenOver
	}
	return err
}

// release gives the right back.
func (l *lease) release(ctx context.Context) error {
	return l.db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE directory_lease SET holder = '' WHERE one = 1 AND holder = $1`, l.holder)
		return err
	})
}
