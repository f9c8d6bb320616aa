package message

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"vigie/store"
)

// A Sender brings one letter to one person, once, and takes at most a minute for it. An error that wraps ErrRefused is
// final; after any other the letter is tried again while it lives.
type Sender interface {
	Send(ctx context.Context, l Letter) error
}

// Senders are the ways in which a node can send.
type Senders map[Channel]Sender

// Options of delivery.
type Options struct {
	Senders  Senders
	Parallel int          // letters under way at once on this node; zero: 8
	Log      *slog.Logger // hears, loudly, of letters that were given up; nil: nobody does
}

func (o Options) withDefaults() Options {
	if o.Parallel == 0 {
		o.Parallel = 8
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

const (
	tick        = time.Second      // how soon a node sees what another wrote
	sendTimeout = 30 * time.Second // of one try
	markTimeout = 10 * time.Second // of noting its outcome
	lease       = time.Minute      // for which a node has a letter to itself: longer than a try and its note, and no longer than who waits for a code
	firstPause  = 2 * time.Second
	longPause   = 10 * time.Minute
	keep        = 30 * 24 * time.Hour // for which a finished letter's row, without its text, stays for the support line
)

// Run delivers letters until ctx ends and those under way are done, which takes no longer than one try. It may run on any
// number of nodes.
func (p *Post) Run(ctx context.Context, db *store.DB, o Options) error {
	o = o.withDefaults()
	slots := make(chan struct{}, o.Parallel)
	var work sync.WaitGroup
	defer work.Wait()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var tidied time.Time
	var waiting bool
	for {
		letters, err := p.claim(ctx, db, o, cap(slots)-len(slots))
		if err == nil && db.Now().Sub(tidied) >= time.Hour {
			tidied = db.Now()
			err = p.tidy(ctx, db)
		}
		if err != nil && !waiting && ctx.Err() == nil { // said once, not at every tick
			o.Log.Error("letters wait", "err", err)
		}
		waiting = err != nil
		for _, l := range letters {
			slots <- struct{}{}
			work.Go(func() {
				p.deliver(ctx, db, o, l)
				<-slots
				p.nudge() // there is room for the next
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-p.wake:
		}
	}
}

// Deliver tries every letter that is due now, once, and returns how many that were. It is Run for callers that choose
// the moment.
func (p *Post) Deliver(ctx context.Context, db *store.DB, o Options) (int, error) {
	o = o.withDefaults()
	for tried := 0; ; {
		letters, err := p.claim(ctx, db, o, o.Parallel)
		if err != nil || len(letters) == 0 {
			return tried, err
		}
		var work sync.WaitGroup
		for _, l := range letters {
			work.Go(func() { p.deliver(ctx, db, o, l) })
		}
		work.Wait()
		tried += len(letters)
	}
}

// A claimed letter is this node's until its lease ends.
type claimed struct {
	Letter
	sealed []byte
	try    int64 // which try this is, from 1
}

// claim takes at most n due letters, and gives up those that are over.
func (p *Post) claim(ctx context.Context, db *store.DB, o Options, n int) ([]claimed, error) {
	if n == 0 {
		return nil, nil
	}
	var due bool // read first: an idle node writes nothing
	err := db.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM messages WHERE sent = 0 AND given_up = 0 AND due <= $1)`,
			store.Millis(tx.Now)).Scan(&due)
	})
	if err != nil || !due {
		return nil, wrap("looking for letters", err)
	}
	var over, taken []claimed
	err = db.Write(ctx, func(tx *store.Tx) (err error) {
		over, err = rows(ctx, tx, `UPDATE messages SET given_up = $1, sealed = $2, failure = 'expired'
			WHERE sent = 0 AND given_up = 0 AND due <= $1 AND expires <= $1`+returning, store.Millis(tx.Now), []byte{})
		if err != nil {
			return err
		}
		taken, err = rows(ctx, tx, `UPDATE messages SET due = $1, tries = tries + 1 WHERE id IN (
			SELECT id FROM messages WHERE sent = 0 AND given_up = 0 AND due <= $2 ORDER BY due LIMIT $3)`+returning,
			store.Millis(tx.Now.Add(lease)), store.Millis(tx.Now), n)
		return err
	})
	if err != nil {
		return nil, wrap("claiming letters", err)
	}
	for _, l := range over {
		o.Log.Error("letter given up", "letter", l, "tries", l.try, "err", "expired")
	}
	return taken, nil
}

const returning = ` RETURNING id, channel, recipient, professional, kind, sealed, created, expires, tries`

func rows(ctx context.Context, tx *store.Tx, query string, args ...any) (all []claimed, err error) {
	r, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for r.Next() {
		var l claimed
		var created, expires int64
		err := r.Scan(&l.ID, &l.Channel, &l.To, &l.Professional, &l.Kind, &l.sealed, &created, &expires, &l.try)
		if err != nil {
			return nil, err
		}
		l.At, l.Expires = store.FromMillis(created), store.FromMillis(expires)
		all = append(all, l)
	}
	return all, r.Err()
}

// deliver tries once and notes how it went. The end of ctx cuts neither: a letter sent and not noted is sent twice.
func (p *Post) deliver(ctx context.Context, db *store.DB, o Options, l claimed) {
	ctx = context.WithoutCancel(ctx)
	sent := p.send(ctx, o, l)
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	var over bool
	err := db.Write(ctx, func(tx *store.Tx) (err error) {
		over, err = note(ctx, tx, l, sent)
		return err
	})
	switch {
	case err != nil:
		o.Log.Error("the outcome of a letter is lost: it may be sent twice", "letter", l, "sent", sent == nil, "err", err)
	case over:
		o.Log.Error("letter given up", "letter", l, "tries", l.try, "err", failure(l, sent))
	}
}

func (p *Post) send(ctx context.Context, o Options, l claimed) error {
	if err := p.open(&l.Letter, l.sealed); err != nil {
		return err
	}
	sender := o.Senders[l.Channel]
	if sender == nil {
		return fmt.Errorf("no way to send %s is configured", l.Channel)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return sender.Send(ctx, l.Letter)
}

// note writes the outcome of a try. A try that lost its lease to another still notes that it sent, and nothing else.
func note(ctx context.Context, tx *store.Tx, l claimed, sent error) (over bool, err error) {
	now := store.Millis(tx.Now)
	if sent == nil {
		_, err = tx.Exec(ctx, `UPDATE messages SET sent = $1, given_up = 0, sealed = $2, failure = '' WHERE id = $3 AND sent = 0`,
			now, []byte{}, l.ID)
		return false, wrap("noting a letter as sent", err)
	}
	next := tx.Now.Add(pause(l.try))
	if errors.Is(sent, ErrRefused) || !next.Before(l.Expires) {
		n, err := tx.Exec(ctx, `UPDATE messages SET given_up = $1, sealed = $2, failure = $3
			WHERE id = $4 AND tries = $5 AND sent = 0 AND given_up = 0`, now, []byte{}, failure(l, sent), l.ID, l.try)
		return n == 1, wrap("giving a letter up", err)
	}
	_, err = tx.Exec(ctx, `UPDATE messages SET due = $1, failure = $2 WHERE id = $3 AND tries = $4 AND sent = 0 AND given_up = 0`,
		store.Millis(next), failure(l, sent), l.ID, l.try)
	return false, wrap("noting a letter as not sent", err)
}

// pause is how long to wait after the try-th failure.
func pause(try int64) time.Duration {
	if try > 9 {
		return longPause
	}
	return min(firstPause<<(try-1), longPause)
}

// failure is what may be kept of an error: servers like to quote the recipient.
func failure(l claimed, err error) string {
	text := regexp.MustCompile("(?i)"+regexp.QuoteMeta(l.To)).ReplaceAllLiteralString(err.Error(), "(recipient)")
	return strings.ToValidUTF8(text[:min(len(text), 300)], "")
}

// tidy removes the rows of letters that were finished long ago.
func (p *Post) tidy(ctx context.Context, db *store.DB) error {
	err := db.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM messages WHERE created < $1 AND (sent > 0 OR given_up > 0)`,
			store.Millis(tx.Now.Add(-keep)))
		return err
	})
	return wrap("removing old letters", err)
}

func wrap(doing string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
