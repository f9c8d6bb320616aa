package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"vigie/store"
)

// serverEnv names the server to test on.
const serverEnv = "VIGIE_TEST_POSTGRES"

// Postgres returns the URL of a fresh PostgreSQL database, dropped when the
// test ends, for tests that open it themselves, or several times. It skips the
// test where there is no server.
func Postgres(t testing.TB) string {
	t.Helper()
	s, err := postgres()
	if err != nil {
		if os.Getenv("CI") != "" || os.Getenv(serverEnv) != "" {
			t.Fatalf("PostgreSQL is needed here: %v", err)
		}
		t.Skipf("no PostgreSQL server: %v", err)
	}
	name := "test_" + strings.ToLower(rand.Text())
	// t.Context() has ended when the clean-up runs, and the template must not
	// be left half copied.
	ctx := context.Background()
	if err := s.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+s.template); err != nil {
		t.Fatalf("making a database for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := s.exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("dropping the database of the test: %v", err)
		}
	})
	return s.url(name)
}

// A server is the PostgreSQL server of this test process.
type server struct {
	base     *url.URL
	template string // the name of a migrated, empty database
}

// postgres finds or starts the server, and makes the template when the first
// process with these migrations needs it.
//
// On a machine that is busy with many of them the first attempt may fail.
var postgres = sync.OnceValues(func() (s *server, err error) {
	for try := range 5 {
		time.Sleep(time.Duration(try) * time.Second)
		if s, err = findServer(context.Background()); err == nil {
			break
		}
	}
	return s, err
})

func findServer(ctx context.Context) (*server, error) {
	given := os.Getenv(serverEnv)
	if given == "" {
		var err error
		if given, err = sharedCluster(); err != nil {
			return nil, err
		}
	}
	base, err := url.Parse(given)
	if err != nil {
		return nil, errors.New(serverEnv + " is not a URL")
	}
	tmpl, err := sqliteTemplate()
	if err != nil {
		return nil, err
	}
	s := &server{base: base, template: "vigie_template_" + tmpl.schema}
	return s, s.makeTemplate(ctx)
}

// url names a database of the server.
func (s *server) url(database string) string {
	u := *s.base
	u.Path = "/" + database
	q := u.Query()
	q.Set("pool_max_conns", "24") // many test processes share one server
	u.RawQuery = q.Encode()
	return u.String()
}

// exec runs one statement outside any transaction, on a connection of its own.
func (s *server) exec(ctx context.Context, query string) error {
	c, err := pgx.Connect(ctx, s.base.String())
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, query)
	return err
}

// makeTemplate makes the template under another name and renames it when it is
// complete, so that no process copies half of it. Whoever comes second drops
// its own.
func (s *server) makeTemplate(ctx context.Context) error {
	c, err := pgx.Connect(ctx, s.base.String())
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	var made bool
	if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", s.template).Scan(&made); err != nil || made {
		return err
	}
	name := "making_" + strings.ToLower(rand.Text())
	if _, err := c.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		return err
	}
	db, err := store.Open(ctx, s.url(name), store.Options{})
	if err == nil {
		err = db.Close()
	}
	if err == nil {
		_, err = c.Exec(ctx, "ALTER DATABASE "+name+" RENAME TO "+s.template)
	}
	if err == nil {
		return nil
	}
	_, dropErr := c.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "42P04" { // duplicate_database: another was quicker
		err = nil
	}
	return errors.Join(err, dropErr)
}
