package store_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"vigie/store"
)

func TestAFullDiskIsSaidAndRecoveredFrom(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("only root can mount a small file system: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	db, err := store.Open(t.Context(), filepath.Join(dir, "vigie.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	counters(t, db)
	run(t, db, `CREATE TABLE filling (bytes BYTEA)`)
	serves(t, db, 1)

	// Whatever the disk still took is kept, whatever it did not is not.
	kept := int64(0)
	for range 1000 {
		err = db.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO filling (bytes) VALUES ($1)`, bytes.Repeat([]byte{1}, 20_000))
			return err
		})
		if err != nil {
			break
		}
		kept++
	}
	if !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("a full disk answered %v", err)
	}
	rubble := filepath.Join(dir, "rubble")
	os.WriteFile(rubble, make([]byte, 4<<20), 0o600) // takes what is left
	acknowledged := int64(1)
	for range 5000 { // small writes may still find room in the log file
		if err = db.Write(t.Context(), func(tx *store.Tx) error { return increment(t.Context(), tx, "a") }); err != nil {
			break
		}
		acknowledged++
	}
	unavailable(t, db)
	var rows int64
	read(t, db, func(ctx context.Context, tx *store.Tx) error {
		return tx.QueryRow(ctx, `SELECT COUNT(bytes) FROM filling`).Scan(&rows)
	})
	if rows != kept {
		t.Errorf("%d rows are there, %d were acknowledged", rows, kept)
	}

	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, "size=32m"); err != nil {
		t.Fatal(err)
	}
	serves(t, db, acknowledged+1)
}
