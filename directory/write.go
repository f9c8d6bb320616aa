package directory

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"strings"
	"time"

	"vigie/store"
)

const (
	// batch is how many people one transaction of an import writes: sign-ins
	// wait for it, some milliseconds.
	batch = 500

	// breath is the pause after each. SQLite does not queue the writers of
	// several processes: without it a server would not find the moment in which
	// the import of the command line lets go of the file.
	breath = 3 * time.Millisecond

	// perInsert is how many rows one statement inserts: PostgreSQL is faster the
	// more, SQLite the fewer.
	perInsert = 16

	// WaitingPeriod is how long a contact point that the directory did not hold
	// before cannot be used for activation.
	WaitingPeriod = 7 * 24 * time.Hour

	// KeepOld is how long replaced contact points, and those who left the
	// register, are remembered.
	KeepOld = 365 * 24 * time.Hour
)

// write puts the changes into the database, where nobody sees them yet.
func (im *importer) write(ctx context.Context) error {
	return im.eachBatch(ctx, Writing, func(tx *store.Tx, changes []*change) error {
		people := rowInserter{ctx: ctx, tx: tx, table: "professionals", columns: []string{
			"id", "generation", "ended", "civility", "family_name", "given_names", "exercices", "digest", "contacts_digest"}}
		contacts := rowInserter{ctx: ctx, tx: tx, table: "contacts", columns: []string{
			"professional", "channel", "generation", "ended", "value", "source", "since", "usable", "replaced"}}
		points := 0
		tx.OnCommit(func() { im.report.ContactPoints += points })
		for _, c := range changes {
			if c.kind != added {
				_, err := tx.Exec(ctx, `UPDATE professionals SET ended = $1 WHERE id = $2 AND generation = $3`, im.generation, c.id, c.held.generation)
				if err != nil {
					return err
				}
			}
			if c.kind != removed {
				if err := people.add(c.id, im.generation, 0, c.civility, c.family, c.given, c.rows, c.digest, c.contacts); err != nil {
					return err
				}
			}
			n, err := im.writeContacts(ctx, tx, c, &contacts)
			if err != nil {
				return err
			}
			points += n
		}
		if err := people.flush(); err != nil {
			return err
		}
		return contacts.flush()
	})
}

// writeContacts writes what differs of a person's contact points, and returns
// how many are new.
func (im *importer) writeContacts(ctx context.Context, tx *store.Tx, c *change, contacts *rowInserter) (int, error) {
	if c.kind == removed {
		_, err := tx.Exec(ctx, `UPDATE contacts SET ended = $1, replaced = $2 WHERE professional = $3 AND ended = 0`, im.generation, im.started, c.id)
		return 0, err
	}
	if c.contacts == c.held.contacts {
		return 0, nil
	}
	usable := im.started
	if !im.firstContacts {
		usable += WaitingPeriod.Milliseconds()
	}
	n := 0
	for channel, value := range map[Channel]string{Mobile: c.mobile, Email: c.email} {
		if c.held.contacts != 0 {
			same, err := im.endContact(ctx, tx, c.id, channel, value)
			if err != nil {
				return 0, err
			}
			if same {
				continue
			}
		}
		if value == "" {
			continue
		}
		n++
		if err := contacts.add(c.id, channel, im.generation, 0, value, "register", im.started, usable, 0); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// endContact ends the contact point that stands, unless it is this one.
func (im *importer) endContact(ctx context.Context, tx *store.Tx, id ID, channel Channel, value string) (same bool, err error) {
	var stands string
	err = tx.QueryRow(ctx, `SELECT value FROM contacts WHERE professional = $1 AND channel = $2 AND ended = 0`, id, channel).Scan(&stands)
	if err == sql.ErrNoRows {
		return false, nil
	}
	if err != nil || stands == value {
		return err == nil, err
	}
	_, err = tx.Exec(ctx, `UPDATE contacts SET ended = $1, replaced = $2 WHERE professional = $3 AND channel = $4 AND ended = 0`,
		im.generation, im.started, id, channel)
	return false, err
}

// eachBatch reads the changes again and calls f with some of them at a time,
// each time in a transaction of its own.
func (im *importer) eachBatch(ctx context.Context, step Step, f func(*store.Tx, []*change) error) error {
	in, err := im.changes.reader()
	if err != nil {
		return err
	}
	p := Progress{Step: step, Lines: int64(im.report.Lines), Total: int64(im.report.Added + im.report.Changed + im.report.Removed)}
	for more := true; more; {
		changes := make([]*change, 0, batch)
		for len(changes) < batch {
			record, err := in.next()
			if err == io.EOF {
				more = false
				break
			}
			if err != nil {
				return err
			}
			c, err := unpackChange(record)
			if err != nil {
				return err
			}
			changes = append(changes, c)
		}
		err := im.db.Write(ctx, func(tx *store.Tx) error {
			if err := im.lease.check(ctx, tx); err != nil {
				return err
			}
			return f(tx, changes)
		})
		if err != nil {
			return err
		}
		p.Done += int64(len(changes))
		im.o.Progress(p)
		select {
		case <-time.After(breath):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// A rowInserter inserts rows into a table, several per statement.
type rowInserter struct {
	ctx     context.Context
	tx      *store.Tx
	table   string
	columns []string
	values  []any
}

func (r *rowInserter) add(values ...any) error {
	if r.values = append(r.values, values...); len(r.values) < perInsert*len(r.columns) {
		return nil
	}
	return r.flush()
}

func (r *rowInserter) flush() error {
	if len(r.values) == 0 {
		return nil
	}
	var q strings.Builder
	fmt.Fprintf(&q, "INSERT INTO %s (%s) VALUES ", r.table, strings.Join(r.columns, ", "))
	for i := range r.values {
		switch {
		case i == 0:
			q.WriteString("(")
		case i%len(r.columns) == 0:
			q.WriteString("), (")
		default:
			q.WriteString(", ")
		}
		fmt.Fprintf(&q, "$%d", i+1)
	}
	q.WriteString(")")
	_, err := r.tx.Exec(r.ctx, q.String(), r.values...)
	r.values = r.values[:0]
	return err
}
