package phone

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"vigie/audit"
	"vigie/directory"
	"vigie/store"
)

// The support line: stopping takes one person, allowing takes two.

const (
	confirmLife   = 24 * time.Hour // in which the second person confirms
	allowanceLife = 7 * 24 * time.Hour
)

// ErrReason says that a deed of the support line needs a reason and a name.
var ErrReason = errors.New("a reason and who acts are needed")

// An Allowance lets two codes leave although the professional has a phone, lost
// one within a week, or stopped the asks of others. It serves one activation.
type Allowance struct {
	Professional directory.ID
	Reason       string
	First        string
	Starts, Ends time.Time
}

// DisablePhone stops a phone at the word of one person of the support line, and
// tells every known contact point. actor is "operator:" and a name.
func (a *Activation) DisablePhone(ctx context.Context, tx *store.Tx, id, reason, actor string) error {
	if strings.TrimSpace(reason) == "" || actor == "" {
		return ErrReason
	}
	p, ok, err := Find(ctx, tx, id)
	if err != nil {
		return err
	}
	if !ok || !p.Disabled.IsZero() || !p.Removed.IsZero() {
		return nil
	}
	if err := Disable(ctx, tx, id, reason, actor); err != nil {
		return err
	}
	return a.tellDisabled(ctx, tx, p)
}

// AllowActivation prepares an [Allowance] and returns the code with which
// another person confirms it within a day ([Activation.Confirm]). Nothing is
// allowed before.
func (a *Activation) AllowActivation(ctx context.Context, tx *store.Tx, id directory.ID, reason, actor string) (code string, err error) {
	if strings.TrimSpace(reason) == "" || actor == "" {
		return "", ErrReason
	}
	code = rand.Text()[:12] // 60 bits
	_, err = tx.Exec(ctx, `INSERT INTO allowances (id, professional, reason, first, second, code, opened, confirmed, starts, ends, used)
		VALUES ($1, $2, $3, $4, '', $5, $6, 0, 0, $7, 0)`,
		rand.Text(), string(id), reason, actor, hash("allowance", code), store.Millis(tx.Now), store.Millis(tx.Now.Add(confirmLife)))
	if err != nil {
		return "", fmt.Errorf("preparing an allowance: %w", err)
	}
	return code, audit.Record(ctx, tx, audit.Event{Kind: KindAllowed, Actor: actor, Professional: string(id), Detail: map[string]string{"reason": reason}})
}

// Confirm is the second person's word. The allowance works from the next day on,
// for a week, and every known contact point is told now. The error is
// [ErrConfirm], also when actor is who asked for it.
func (a *Activation) Confirm(ctx context.Context, tx *store.Tx, code, actor string) (Allowance, error) {
	if actor == "" {
		return Allowance{}, ErrReason
	}
	var al Allowance
	var id, professional string
	err := tx.QueryRow(ctx, `SELECT id, professional, reason, first FROM allowances WHERE code = $1 AND confirmed = 0 AND ends > $2`,
		hash("allowance", strings.ToUpper(strings.TrimSpace(code))), store.Millis(tx.Now)).Scan(&id, &professional, &al.Reason, &al.First)
	if errors.Is(err, sql.ErrNoRows) {
		return Allowance{}, ErrConfirm
	}
	if err != nil {
		return Allowance{}, fmt.Errorf("reading an allowance: %w", err)
	}
	if al.First == actor {
		return Allowance{}, fmt.Errorf("%w: %s asked for it", ErrConfirm, actor)
	}
	today := tx.Now.In(a.zone())
	al.Professional = directory.ID(professional)
	al.Starts = time.Date(today.Year(), today.Month(), today.Day()+1, 0, 0, 0, 0, a.zone())
	al.Ends = al.Starts.Add(allowanceLife)
	_, err = tx.Exec(ctx, `UPDATE allowances SET second = $1, confirmed = $2, starts = $3, ends = $4 WHERE id = $5`,
		actor, store.Millis(tx.Now), store.Millis(al.Starts), store.Millis(al.Ends), id)
	if err != nil {
		return Allowance{}, fmt.Errorf("confirming an allowance: %w", err)
	}
	err = audit.Record(ctx, tx, audit.Event{Kind: KindConfirmed, Actor: actor, Professional: professional, Detail: map[string]string{"reason": al.Reason, "first": al.First}})
	if err != nil {
		return Allowance{}, err
	}
	return al, a.tellAllowed(ctx, tx, al.Professional, al.Starts)
}

// allowance tells whether one is in force.
func allowance(ctx context.Context, tx *store.Tx, id directory.ID) (bool, error) {
	var n int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM allowances WHERE professional = $1 AND confirmed > 0 AND used = 0 AND starts <= $2 AND ends > $2`,
		string(id), store.Millis(tx.Now)).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("looking for an allowance: %w", err)
	}
	return n > 0, nil
}
