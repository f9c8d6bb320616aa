package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const (
	// maxConns bounds one node's connections unless the URL says otherwise.
	maxConns = 32

	// Transactions that collide are run again after a random time below a bound
	// that doubles from firstPause to lastPause, until maxRuns.
	firstPause = 2 * time.Millisecond
	lastPause  = 200 * time.Millisecond
	maxRuns    = 200
)

// postgresEngine is a PostgreSQL server.
type postgresEngine struct {
	pool  *sql.DB
	count *counters
}

func openPostgres(ctx context.Context, url string, count *counters, log *slog.Logger) (*postgresEngine, error) {
	config, err := pgx.ParseConfig(url) // its errors hide the password
	if err != nil {
		return nil, fmt.Errorf("opening the PostgreSQL database: %w", err)
	}
	conns := maxConns
	if v, ok := config.RuntimeParams["pool_max_conns"]; ok {
		delete(config.RuntimeParams, "pool_max_conns")
		if conns, err = strconv.Atoi(v); err != nil || conns < 2 {
			return nil, fmt.Errorf("opening the PostgreSQL database: pool_max_conns is %q, not a number of at least 2", v)
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	p := &postgresEngine{pool: stdlib.OpenDB(*config), count: count}
	p.pool.SetMaxOpenConns(conns)
	p.pool.SetMaxIdleConns(conns)
	p.pool.SetConnMaxIdleTime(5 * time.Minute)

	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err == nil {
		err = migrate(ctx, goose.DialectPostgres, p.pool, log, goose.WithSessionLocker(locker))
	}
	if err != nil {
		if p.unavailable(err) {
			err = unavailable(err)
		}
		p.pool.Close()
		return nil, fmt.Errorf("opening the PostgreSQL database %s on %s: %w", config.Database, config.Host, err)
	}
	return p, nil
}

func (p *postgresEngine) write(ctx context.Context, f func(querier) error) error {
	pause := firstPause
	for run := 1; ; run++ {
		err := p.transact(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable}, f)
		if err == nil {
			p.count.commits.Add(1)
			return nil
		}
		if !collided(err) {
			return err
		}
		if run == maxRuns {
			return fmt.Errorf("%w: the transaction collided with others %d times: %w", ErrUnavailable, run, err)
		}
		p.count.retries.Add(1)
		select {
		case <-time.After(rand.N(pause)):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, lastPause)
	}
}

func (p *postgresEngine) read(ctx context.Context, f func(querier) error) error {
	return p.transact(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, f)
}

// transact runs f in one transaction.
func (p *postgresEngine) transact(ctx context.Context, o *sql.TxOptions, f func(querier) error) error {
	tx, err := p.pool.BeginTx(ctx, o)
	if err != nil {
		return p.failed(ctx, err)
	}
	defer tx.Rollback() // does nothing after the commit
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		if !collided(err) && p.unavailable(err) {
			err = fmt.Errorf("outcome unknown: %w", err)
		}
		return p.failed(ctx, err)
	}
	return nil
}

// failed says what an error of the transaction itself means: a collision, an
// ended ctx, or a database that could not serve.
func (p *postgresEngine) failed(ctx context.Context, err error) error {
	if collided(err) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable(err)
}

// collided tells whether PostgreSQL asks for the transaction to be run again.
func collided(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01") // serialization failure, deadlock
}

func (p *postgresEngine) unavailable(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code[:2] {
		case "08", // connection
			"53", // resources: disk full, too many connections
			"57", // shut down, starting up
			"58": // the system: input and output
			return e.Code != "57014" // cancelled by the caller
		}
		return e.Code == "25006" // read only: the node is a standby
	}
	var n net.Error
	var c *pgconn.ConnectError
	return errors.As(err, &c) || errors.As(err, &n) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "database is closed")
}

func (p *postgresEngine) check(context.Context) error { return nil }

func (p *postgresEngine) close() error {
	if err := p.pool.Close(); err != nil {
		return fmt.Errorf("closing the PostgreSQL database: %w", err)
	}
	return nil
}
