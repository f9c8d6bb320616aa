package store_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"vigie/store"
	"vigie/store/storetest"
)

// empty returns the URLs of databases without tables.
func empty(t *testing.T, f func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, "sqlite:"+filepath.Join(t.TempDir(), "an odd name?#%20.db")) })
	t.Run("postgres", func(t *testing.T) {
		url := storetest.Postgres(t)
		c, err := pgx.Connect(t.Context(), strings.Replace(url, "pool_max_conns=", "application_name=", 1))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.WithoutCancel(t.Context()))
		if _, err := c.Exec(t.Context(), "DROP SCHEMA public CASCADE; CREATE SCHEMA public"); err != nil {
			t.Fatal(err)
		}
		f(t, url)
	})
}

func TestManyMayOpenANewDatabaseAtOnce(t *testing.T) {
	empty(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				db, err := store.Open(t.Context(), url, store.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				defer db.Close()
				for range 3 {
					if err := db.Write(t.Context(), func(tx *store.Tx) error {
						n, _, err := tx.Setting(t.Context(), "opened")
						if err != nil {
							return err
						}
						return tx.SetSetting(t.Context(), "opened", n+"I")
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		db, err := store.Open(t.Context(), url, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		read(t, db, func(ctx context.Context, tx *store.Tx) error {
			n, _, err := tx.Setting(ctx, "opened")
			if len(n) != 18 {
				t.Errorf("18 writers left %q", n)
			}
			return err
		})
	})
}

func TestTheFileIsForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vigie.db")
	check := func(when string) {
		t.Helper()
		db, err := store.Open(t.Context(), path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		run(t, db, `CREATE TABLE IF NOT EXISTS something (id TEXT)`)
		files, _ := filepath.Glob(path + "*")
		if len(files) != 3 {
			t.Errorf("%s: %v", when, files)
		}
		for _, f := range files {
			info, err := os.Stat(f)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s has the mode %v, %v", when, f, info.Mode(), err)
			}
		}
	}
	check("new")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	check("opened again")
}

func TestTheFileIsFoundByEveryName(t *testing.T) {
	t.Chdir(t.TempDir())
	for url, path := range map[string]string{"": "vigie.db", "other.db": "other.db", "sqlite:third.db": "third.db"} {
		db, err := store.Open(t.Context(), url, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		db.Close()
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestADatabaseKeepsItsSecrets(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for range 2 {
			if err := store.BindFingerprint(t.Context(), db, "first"); err != nil {
				t.Error(err)
			}
		}
		if err := store.BindFingerprint(t.Context(), db, "second"); !errors.Is(err, store.ErrFingerprint) {
			t.Errorf("other secrets: %v", err)
		}
		if err := store.BindFingerprint(t.Context(), db, "first"); err != nil {
			t.Error(err)
		}
	})
}

func TestOnlyANewDatabaseIsMarkedForTestsAndForEver(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if _, test, err := store.IsTest(t.Context(), db); test || err != nil {
			t.Errorf("a new database is for tests: %v, %v", test, err)
		}
		for range 2 {
			if err := store.MarkTest(t.Context(), db, "http://127.0.0.1:1"); err != nil {
				t.Error(err)
			}
		}
		if err := store.BindFingerprint(t.Context(), db, "x"); err != nil {
			t.Error(err)
		}
		if err := store.MarkTest(t.Context(), db, "http://127.0.0.1:1"); err != nil {
			t.Errorf("marking again: %v", err)
		}
		if err := store.MarkTest(t.Context(), db, "http://127.0.0.1:2"); !errors.Is(err, store.ErrNotNew) {
			t.Errorf("marking for another issuer: %v", err)
		}
		if issuer, test, err := store.IsTest(t.Context(), db); !test || issuer != "http://127.0.0.1:1" || err != nil {
			t.Errorf("%q, %v, %v", issuer, test, err)
		}
	})
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if err := store.BindFingerprint(t.Context(), db, "x"); err != nil {
			t.Error(err)
		}
		if err := store.MarkTest(t.Context(), db, "http://127.0.0.1:1"); !errors.Is(err, store.ErrNotNew) {
			t.Errorf("marking a database in use: %v", err)
		}
		if _, test, err := store.IsTest(t.Context(), db); test || err != nil {
			t.Errorf("it is for tests: %v, %v", test, err)
		}
	})
}

// What only one of the two databases understands, or what would let one
// caller's mistake fail the commit of others.
var foreign = regexp.MustCompile(`(?i)\b(deferr|now\(|current_timestamp|jsonb?\b|autoincrement|varchar|` +
	`(interval|serial|timestamp|datetime|integer|strict|without rowid)\b)|::`)

func TestMigrationsSpeakBothDialects(t *testing.T) {
	for _, line := range []string{"at TIMESTAMP", "REFERENCES a (b) DEFERRABLE", "DEFAULT now()", "id INTEGER PRIMARY KEY", "x::text"} {
		if foreign.FindString(line) == "" {
			t.Errorf("%q is not found", line)
		}
	}
	files, err := fs.Glob(os.DirFS("migrations"), "*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join("migrations", name))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			sql, _, _ := strings.Cut(line, "--")
			if word := foreign.FindString(sql); word != "" {
				t.Errorf("%s:%d: %s", name, i+1, word)
			}
		}
	}
}
