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
	"sync"
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

	// endTimeout is how long a server may take to answer a commit.
	endTimeout = 30 * time.Second
)

// postgresEngine is a PostgreSQL server.
type postgresEngine struct {
	pool  *sql.DB
	conns int // at most
	count *counters

	running sync.RWMutex // held for reading by each transaction
	closed  bool
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
	p := &postgresEngine{pool: stdlib.OpenDB(*config), conns: conns, count: count}
	p.pool.SetMaxOpenConns(conns)
	p.pool.SetMaxIdleConns(conns)
	p.pool.SetConnMaxIdleTime(5 * time.Minute)

	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err == nil {
		err = migrate(ctx, goose.DialectPostgres, p.pool, log, goose.WithSessionLocker(locker))
	}
	if err == nil {
		err = p.warnOfLoss(ctx, log)
	}
	if err != nil {
		if p.unavailable(err, true) {
			err = unavailable(err)
		}
		p.pool.Close()
		return nil, fmt.Errorf("opening the PostgreSQL database %s on %s: %w", config.Database, config.Host, err)
	}
	return p, nil
}

// warnOfLoss tells the log when the server is set up so that it may forget what
// it has acknowledged.
func (p *postgresEngine) warnOfLoss(ctx context.Context, log *slog.Logger) error {
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		var value string
		if err := p.pool.QueryRowContext(ctx, "SHOW "+setting).Scan(&value); err != nil {
			return err
		}
		if value == "off" {
			log.WarnContext(ctx, "this PostgreSQL server can lose acknowledged writes in a crash", "setting", setting, "value", value)
		}
	}
	return nil
}

func (p *postgresEngine) write(ctx context.Context, f func(querier) error) error {
	pause := firstPause
	for run := 1; ; run++ {
		err := p.transact(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable}, f)
		if err == nil {
			p.count.commits.Add(1)
			return nil
		}
		if !p.collided(err) {
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

// transact runs f in one transaction. What ends with ctx is the wait for a
// connection and each statement, but never the commit: stopped half-way, its
// outcome would be unknown.
func (p *postgresEngine) transact(ctx context.Context, o *sql.TxOptions, f func(querier) error) error {
	p.running.RLock()
	defer p.running.RUnlock()
	if p.closed {
		return errClosed
	}
	scope, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	tx, conn, err := p.begin(ctx, scope, stop, o)
	if err != nil {
		return err
	}
	defer conn.Close()
	end := func(how func() error) error {
		t := time.AfterFunc(endTimeout, stop) // a server that does not answer is given up
		defer t.Stop()
		return how()
	}
	defer end(tx.Rollback) // does nothing after the commit
	if err := f(tx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return p.committed(end(tx.Commit))
}

// committed says what the answer to a commit means.
func (p *postgresEngine) committed(err error) error {
	if err == nil || p.collided(err) || errors.Is(err, pgx.ErrTxCommitRollback) {
		return err
	}
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Severity != "ERROR" { // the connection has ended
		return unavailable(fmt.Errorf("outcome unknown: %w", err))
	}
	if p.unavailable(err, true) {
		return unavailable(err)
	}
	return err
}

// begin opens a transaction that belongs to scope, which stop ends. A connection
// that died while it was idle shows it only now, so that each is given a try.
func (p *postgresEngine) begin(ctx, scope context.Context, stop func(), o *sql.TxOptions) (*sql.Tx, *sql.Conn, error) {
	unlink := context.AfterFunc(ctx, stop)
	defer unlink()
	for try := 0; ; try++ {
		conn, err := p.pool.Conn(ctx)
		if err == nil {
			var tx *sql.Tx
			if tx, err = conn.BeginTx(scope, o); err == nil {
				return tx, conn, nil
			}
			conn.Close()
			if try < p.conns && ctx.Err() == nil {
				continue
			}
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, unavailable(err)
	}
}

func (p *postgresEngine) collided(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01") // serialization failure, deadlock
}

func (p *postgresEngine) unavailable(err error, writing bool) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code[:2] {
		case "08", // connection
			"53", // resources: disk full, too many connections
			"57", // shut down, starting up
			"58": // the system: input and output
			return e.Code != "57014" // cancelled by the caller
		}
		return e.Code == "25006" && writing // read-only: the server is a standby
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false // the caller gave up, not the database
	}
	var c *pgconn.ConnectError
	var n net.Error
	return errors.As(err, &c) || errors.As(err, &n) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}

func (p *postgresEngine) check() error { return nil }

func (p *postgresEngine) close() error {
	p.running.Lock()
	p.closed = true
	p.running.Unlock()
	if err := p.pool.Close(); err != nil {
		return fmt.Errorf("closing the PostgreSQL database: %w", err)
	}
	return nil
}
