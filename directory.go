package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"vigie/audit"
	"vigie/directory"
	"vigie/phone"
	"vigie/session"
	"vigie/store"
)

// DirectoryCmd imports the register.
type DirectoryCmd struct {
	Import   DirectoryImportCmd   `cmd:"" help:"Bring the directory up to date with the register's files. Sign-ins go on meanwhile."`
	Generate DirectoryGenerateCmd `cmd:"" help:"Write a fictitious extraction of the register."`
}

// graceOfLeavers is how long the open sessions of phone holders go on who are
// missing from a new register: time for an operator to see that a file was bad.
const graceOfLeavers = time.Hour

// DirectoryImportCmd imports files.
type DirectoryImportCmd struct {
	Stored
	Operator
	Files        []string `arg:"" help:"Files of the register, both formats, plain or zip: together they are the whole of it." type:"existingfile"`
	AcceptChange string   `help:"Accept that this part of the people changes or goes, as in 20%; the guard stops at 5%, and at 0.2% of phone holders who go." placeholder:"PERCENT"`
	MaxBad       int      `help:"Malformed lines to pass over." default:"1000"`
	Bad          string   `help:"File for the malformed lines' numbers and reasons." default:"vigie-import-bad.txt" type:"path"`
}

// Run imports, showing progress, and prints what changed.
func (c *DirectoryImportCmd) Run(ctx context.Context, e env) error {
	accept, err := percent(c.AcceptChange)
	if err != nil {
		return exit{2, err}
	}
	db, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	defer db.Close()
	bad := &lateFile{path: c.Bad}
	defer bad.Close()
	report, err := importDirectory(ctx, db, c.Files, directory.ImportOptions{AcceptChange: accept, MaxBad: c.MaxBad, Bad: bad, Progress: showProgress(e.err), Actor: c.actor()})
	fmt.Fprintln(e.err)
	if report.Malformed > 0 {
		fmt.Fprintf(e.err, "%d malformed lines: see %s\n", report.Malformed, c.Bad)
	}
	var guard *directory.ChangeError
	if errors.As(err, &guard) {
		return fmt.Errorf("%w\nNothing was changed. If the register really changed that much, import again with --accept-change", guard)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "lines %d, people %d: added %d, changed %d, removed %d, unchanged %d\n", report.Lines, report.People, report.Added, report.Changed, report.Removed, report.Unchanged)
	if report.Kept > 0 {
		fmt.Fprintf(e.out, "%d people stay as they were because some of their lines were malformed\n", report.Kept)
	}
	if n := len(report.Left); n > 0 {
		fmt.Fprintf(e.out, "ALARM: %d of %d people with a phone have left the register: they sign in no more, and their open sessions end within the hour. If that is wrong, import the right register now\n", n, report.Holders)
	}
	if n := len(report.Returned); n > 0 {
		fmt.Fprintf(e.out, "%d people with a phone are back: their phones wake\n", n)
	}
	return nil
}

// importDirectory imports files, and carries out what follows for people who
// have phones: who left signs in no more from the switch on, who came back does.
func importDirectory(ctx context.Context, db *store.DB, files []string, o directory.ImportOptions) (directory.Report, error) {
	o.Holders = phone.EachHolder
	o.OnSwitch = func(ctx context.Context, tx *store.Tx, r directory.Report) error {
		for _, id := range r.Left {
			if err := phone.SleepAllOf(ctx, tx, id); err != nil {
				return err
			}
			if _, err := session.EndAllLater(ctx, tx, id, tx.Now.Add(graceOfLeavers), "left the register"); err != nil {
				return err
			}
		}
		for _, id := range r.Returned {
			if err := phone.WakeAllOf(ctx, tx, id); err != nil {
				return err
			}
		}
		if len(r.Left) == 0 {
			return nil
		}
		actor := o.Actor
		if actor == "" {
			actor = "system"
		}
		return audit.Record(ctx, tx, audit.Event{Kind: audit.HoldersLeft, Actor: actor, Detail: map[string]string{
			"left": strconv.Itoa(len(r.Left)), "holders": strconv.Itoa(r.Holders)}})
	}
	report, err := directory.Import(ctx, db, files, o)
	if report.Switched.IsZero() {
		return report, err
	}
	return report, errors.Join(err, sweepLeavers(ctx, db))
}

// sweepLeavers finds who is signed in, or has a phone, without being in the
// register: people who activated a phone or signed in while the import compared,
// and whose phone was stopped before. It does so in small transactions.
func sweepLeavers(ctx context.Context, db *store.DB) error {
	var absent []directory.ID
	err := db.Read(ctx, func(tx *store.Tx) error {
		signedIn, err := session.Holders(ctx, tx)
		if err != nil {
			return err
		}
		for _, id := range signedIn {
			if _, present, err := directory.Find(ctx, tx, id); err != nil {
				return err
			} else if !present {
				absent = append(absent, id)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("looking for who left: %w", err)
	}
	for _, id := range absent {
		err := db.Write(ctx, func(tx *store.Tx) error {
			if err := phone.SleepAllOf(ctx, tx, id); err != nil {
				return err
			}
			_, err := session.EndAllLater(ctx, tx, id, tx.Now.Add(graceOfLeavers), "left the register")
			return err
		})
		if err != nil {
			return fmt.Errorf("limiting the sessions of who left: %w", err)
		}
	}
	return nil
}

func percent(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	f, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(s), "%"), 64)
	if err != nil || f <= 0 || f > 100 {
		return 0, fmt.Errorf("--accept-change %q: give a percentage, as in 20%%", s)
	}
	return f / 100, nil
}

// lateFile is made when the first byte is written to it.
type lateFile struct {
	path string
	file *os.File
}

func (l *lateFile) Write(b []byte) (int, error) {
	if l.file == nil {
		f, err := os.OpenFile(filepath.Clean(l.path), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, err
		}
		l.file = f
	}
	return l.file.Write(b)
}

func (l *lateFile) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// showProgress draws a bar on a terminal and writes a plain line every ten
// seconds elsewhere.
func showProgress(w io.Writer) func(directory.Progress) {
	file, isFile := w.(*os.File)
	if info, err := stat(file, isFile); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		var last time.Time
		var step directory.Step
		return func(p directory.Progress) {
			if p.Step == step && time.Since(last) < 10*time.Second {
				return
			}
			step, last = p.Step, time.Now()
			fmt.Fprintf(w, "%s: %s%s, %d lines\n", p.Step, portion(p), filepath.Base(p.File), p.Lines)
		}
	}
	var bar *progressbar.ProgressBar
	var step directory.Step
	return func(p directory.Progress) {
		if bar == nil || p.Step != step {
			if bar != nil {
				_ = bar.Finish()
				fmt.Fprintln(w)
			}
			step, bar = p.Step, progressbar.NewOptions64(max(p.Total, 1), progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(string(p.Step)),
				progressbar.OptionShowBytes(p.Step == directory.Reading), progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionSetPredictTime(true), progressbar.OptionSetWidth(30))
		}
		if p.Step == directory.Reading {
			bar.Describe(fmt.Sprintf("%s %d lines", p.Step, p.Lines))
		}
		_ = bar.Set64(p.Done)
	}
}

func stat(f *os.File, ok bool) (os.FileInfo, error) {
	if !ok {
		return nil, os.ErrInvalid
	}
	return f.Stat()
}

func portion(p directory.Progress) string {
	if p.Total == 0 {
		return ""
	}
	return fmt.Sprintf("%d%% ", 100*p.Done/p.Total)
}

// DirectoryGenerateCmd writes a fictitious register.
type DirectoryGenerateCmd struct {
	People int    `help:"How many people." default:"1000"`
	Seed   uint64 `help:"The same seed gives the same people." default:"1"`
	Format string `help:"open (no contact points) or psc." enum:"open,psc" default:"psc"`
	File   string `arg:"" help:"File to write." type:"path"`
}

// Run writes the file.
func (c *DirectoryGenerateCmd) Run(e env) (err error) {
	f, err := os.OpenFile(c.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return directory.Generate(f, c.People, directory.GenerateOptions{Seed: c.Seed, Format: directory.Format(c.Format)})
}
