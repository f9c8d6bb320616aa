package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Names of settings. Other packages choose names of their own.
const (
	settingReady       = "ready"
	settingFingerprint = "secrets_fingerprint"
	settingTest        = "test_issuer"
)

var (
	// ErrFingerprint says that the secrets are not those the database was made
	// with.
	ErrFingerprint = errors.New("the secrets are not those of this database: start with the secrets file that it was first used with, or on another database")

	// ErrNotNew says that a database cannot become a test database any more.
	ErrNotNew = errors.New("only a new database can be marked for tests, once and for ever: start on another database")
)

// Setting returns the value kept under name, and whether there is one.
func (tx *Tx) Setting(ctx context.Context, name string) (value string, ok bool, err error) {
	err = tx.QueryRow(ctx, `SELECT value FROM settings WHERE name = $1`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("reading the setting %s: %w", name, err)
	}
	return value, true, nil
}

// SetSetting keeps value under name, in place of an earlier one.
func (tx *Tx) SetSetting(ctx context.Context, name, value string) error {
	if _, err := tx.Exec(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value); err != nil {
		return fmt.Errorf("writing the setting %s: %w", name, err)
	}
	return nil
}

// BindFingerprint ties the database to the secrets that have this fingerprint:
// the first use keeps it, and every later one must bring the same, else the
// error wraps [ErrFingerprint].
func BindFingerprint(ctx context.Context, db *DB, fingerprint string) error {
	err := db.Write(ctx, func(tx *Tx) error {
		bound, ok, err := tx.Setting(ctx, settingFingerprint)
		if err != nil {
			return err
		}
		if !ok {
			return tx.SetSetting(ctx, settingFingerprint, fingerprint)
		}
		if bound != fingerprint {
			return ErrFingerprint
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("binding the database to its secrets: %w", err)
	}
	return nil
}

// MarkTest marks a new database, one never bound to secrets, as made for tests
// under this issuer. There is no way back. It may be called again with the same
// issuer; on any other database the error wraps [ErrNotNew].
func MarkTest(ctx context.Context, db *DB, issuer string) error {
	err := db.Write(ctx, func(tx *Tx) error {
		marked, ok, err := tx.Setting(ctx, settingTest)
		if err != nil {
			return err
		}
		if ok && marked == issuer {
			return nil
		}
		_, bound, err := tx.Setting(ctx, settingFingerprint)
		if err != nil {
			return err
		}
		if ok || bound {
			return ErrNotNew
		}
		return tx.SetSetting(ctx, settingTest, issuer)
	})
	if err != nil {
		return fmt.Errorf("marking the database for tests of %s: %w", issuer, err)
	}
	return nil
}

// IsTest tells whether the database was made for tests, and under which issuer.
func IsTest(ctx context.Context, db *DB) (issuer string, test bool, err error) {
	err = db.Read(ctx, func(tx *Tx) (err error) {
		issuer, test, err = tx.Setting(ctx, settingTest)
		return err
	})
	if err != nil {
		return "", false, fmt.Errorf("asking whether the database is for tests: %w", err)
	}
	return issuer, test, nil
}
