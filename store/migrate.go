package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the tables up to date. Tables of a newer version are left
// alone, so that an old binary can be put back.
func migrate(ctx context.Context, dialect goose.Dialect, pool *sql.DB, log *slog.Logger, more ...goose.ProviderOption) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, pool, files, append(more,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))...)
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	for {
		before, err := p.GetDBVersion(ctx)
		if err != nil {
			return fmt.Errorf("reading the version of the tables: %w", err)
		}
		done, err := p.Up(ctx)
		for _, m := range done {
			log.InfoContext(ctx, "tables brought up to date", "migration", m.Source.Path, "took", m.Duration)
		}
		if err == nil {
			return nil
		}
		// Another process that opens the same SQLite file can be quicker with
		// one of them: then ours fails, and the next attempt starts after it.
		if after, e := p.GetDBVersion(ctx); e != nil || after == before {
			return fmt.Errorf("bringing the tables up to date: %w", err)
		}
	}
}
