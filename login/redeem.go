package login

import (
	"context"
	"errors"
	"fmt"

	"vigie/audit"
	"vigie/browser"
	"vigie/store"
)

// Redeem turns the approval of r, as it was read in this transaction, into what
// the browser that asked came for: once. CookieSecret is that browser's; proof is its key's signature (use "redeem")
// where a key was set, else "". The same browser redeeming again gets the same
// request, so that a lost answer strands nobody.
func (l *Logins) Redeem(ctx context.Context, tx *store.Tx, r Request, cookieSecret, proof string) (Request, error) {
	if !r.OfBrowser(cookieSecret) {
		return Request{}, ErrNotYours
	}
	if r.Ephemeral.Thumbprint() != "" {
		want := browser.Claim{Use: browser.UseRedeem, Request: r.ID, Service: r.Service}
		if err := r.Ephemeral.CheckFresh(proof, want, l.nonces, tx.Now, r.ID); err != nil {
			return Request{}, err
		}
	}
	if r.State == Redeemed {
		return r, nil
	}
	r, err := l.move(ctx, tx, r, Approved, Redeemed, r.Expires, "")
	if err != nil {
		return Request{}, err
	}
	return r, l.record(ctx, tx, audit.RequestRedeemed, r, audit.Event{Phone: r.ClaimedBy})
}

// Cancel is the person at the browser giving up, or saying "that is not me" of
// an approval that nobody has taken. It is no error if the request is over
// already.
func (l *Logins) Cancel(ctx context.Context, tx *store.Tx, id, cookieSecret string) error {
	r, err := l.Find(ctx, tx, id)
	if err != nil {
		return err
	}
	if !r.OfBrowser(cookieSecret) {
		return ErrNotYours
	}
	if r.State != Pending && r.State != Approved {
		return nil
	}
	approved := r.State == Approved
	r, err = l.move(ctx, tx, r, r.State, Cancelled, r.Expires, "")
	if errors.Is(err, ErrExpired) || errors.Is(err, ErrAnswered) {
		return nil
	}
	if err != nil || !approved {
		return err
	}
	return l.record(ctx, tx, audit.RequestCancelled, r, audit.Event{Phone: r.ClaimedBy})
}

// Clean removes at most limit requests, codes and counts that no longer matter,
// and says how many rows went.
func (l *Logins) Clean(ctx context.Context, tx *store.Tx, limit int) (int64, error) {
	var all int64
	for _, q := range []struct {
		sql    string
		before int64
	}{
		{`DELETE FROM codes WHERE hash IN (SELECT hash FROM codes WHERE dead_until <= $1 ORDER BY dead_until LIMIT $2)`, store.Millis(tx.Now)},
		{`DELETE FROM wrong_codes WHERE id IN (SELECT id FROM wrong_codes WHERE at <= $1 ORDER BY at LIMIT $2)`, store.Millis(tx.Now.Add(-WrongCodesIn))},
		{`DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE expires <= $1 ORDER BY expires LIMIT $2)`, store.Millis(tx.Now.Add(-keepAnswered))},
	} {
		n, err := tx.Exec(ctx, q.sql, q.before, limit)
		if err != nil {
			return all, fmt.Errorf("removing dead rows: %w", err)
		}
		all += n
	}
	return all, nil
}
