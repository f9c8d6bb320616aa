// Package phone keeps the activated phones: how they enrol, what they sign with,
// how a PIN opens them, when they are silent, lost or asleep.
//
// A phone has a key of its own (ECDSA P-256), whose RFC 7638 thumbprint is its
// id and which signs every call ([ParseProof]). Its PIN is tested nowhere: with
// the help of one counted evaluation of the server ([Evaluate]) the phone makes
// of it a second key (Ed25519), whose signature beside the first is an approval
// ([CheckApproval]). What travels is written down in docs/phone-protocol.md.
//
// It promises that of three things, the phone's storage, the database and the
// master secret, no two let anybody test a PIN without an evaluation, that each
// evaluation is counted and committed before it is computed, and that no counter
// moves without the signature of the phone that it belongs to.
package phone

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"vigie/audit"
	"vigie/directory"
	"vigie/push"
	"vigie/store"
)

// Limits of a phone's life.
const (
	Validity  = 3 * 365 * 24 * time.Hour // from activation to its end
	MaxPhones = 5                        // that one professional may have at once
	Sleep     = 7 * 24 * time.Hour       // after which a phone that put itself to sleep is signed off
	UndoAfter = 30 * 24 * time.Hour      // for which a removed phone may still undo
	MoveTime  = 90 * 24 * time.Hour      // for a phone to follow a change of the master secret
)

// A Phone is one activated device.
type Phone struct {
	ID           string // RFC 7638 thumbprint of its key
	Professional directory.ID
	Name         string // as its owner calls it
	Model        string
	System       string
	AppVersion   string
	Mode         string // how it was activated: "codes"
	Created      time.Time
	Ends         time.Time // of its validity
	LastUse      time.Time // last right PIN
	Subscription *push.Subscription
	Silent       bool      // its owner wants no ring
	Epoch        string    // goes into the PIN's input; no secret
	Misses       int       // evaluations since the last right PIN
	Missed       time.Time // when the last of them was made
	Slept        time.Time // when it put itself to sleep; zero: it did not
	Departed     time.Time // when its professional left the register; zero: they did not
	Disabled     time.Time
	DisabledWhy  string // "misses", or what an operator wrote
	Removed      time.Time

	jwk     string
	pin     ed25519.PublicKey
	master  int       // version of the master secret
	movesBy time.Time // the end, unless the PIN moves to a newer master secret before; zero: none is newer
}

// A State says what a phone can do now. Except for Disabled, Removed and Asleep,
// which time alone never ends, it is computed.
type State string

// The states of a phone.
const (
	Active   State = "active"
	Paused   State = "paused"   // too many wrong PINs: it waits
	Asleep   State = "asleep"   // by itself, or because its professional left the register
	Disabled State = "disabled" // by wrong PINs or by the support line: it must be activated again
	Removed  State = "removed"
	Ended    State = "ended" // its validity is over
)

// State is the phone's state at now.
func (p Phone) State(now time.Time) State {
	switch {
	case !p.Removed.IsZero():
		return Removed
	case !p.Disabled.IsZero() || p.Misses >= missesDisable:
		return Disabled
	case !now.Before(p.Ends), !p.movesBy.IsZero() && !now.Before(p.movesBy), !p.Slept.IsZero() && !now.Before(p.Slept.Add(Sleep)):
		return Ended
	case !p.Slept.IsZero() || !p.Departed.IsZero():
		return Asleep
	case now.Before(p.PausedUntil()):
		return Paused
	}
	return Active
}

// Usable tells whether its professional signs in with the phone: now, or when a
// pause is over.
func (p Phone) Usable(now time.Time) bool {
	s := p.State(now)
	return s == Active || s == Paused
}

// Saw tells whether the phone was still its professional's at that instant. What
// came after it was stopped is no business of whoever holds it now.
func (p Phone) Saw(at time.Time) bool {
	for _, stopped := range []time.Time{p.Removed, p.Disabled, p.Ends} {
		if !stopped.IsZero() && at.After(stopped) {
			return false
		}
	}
	return true
}

// CanRing tells whether the phone may ring.
func (p Phone) CanRing(now time.Time) bool { return p.Usable(now) && !p.Silent }

// PausedUntil is when the last pause for wrong PINs ends; zero when none was due.
func (p Phone) PausedUntil() time.Time {
	switch p.Misses {
	case missesPause:
		return p.Missed.Add(shortPause)
	case missesLongPause:
		return p.Missed.Add(longPause)
	}
	return time.Time{}
}

const columns = `id, professional, jwk, pin, epoch, master, moves_by, name, model, system, app, mode, created, ends, last_use,
	endpoint, p256dh, auth, silent, misses, missed, slept, departed, disabled, disabled_why, removed`

func scan(row interface{ Scan(...any) error }) (Phone, error) {
	var p Phone
	var professional string
	var s push.Subscription
	var movesBy, created, ends, lastUse, missed, slept, departed, disabled, removed int64
	err := row.Scan(&p.ID, &professional, &p.jwk, (*[]byte)(&p.pin), &p.Epoch, &p.master, &movesBy, &p.Name, &p.Model, &p.System, &p.AppVersion,
		&p.Mode, &created, &ends, &lastUse, &s.Endpoint, &s.P256dh, &s.Auth, &p.Silent, &p.Misses, &missed, &slept, &departed,
		&disabled, &p.DisabledWhy, &removed)
	if err != nil {
		return Phone{}, err
	}
	p.Professional = directory.ID(professional)
	p.movesBy, p.Created, p.Ends, p.LastUse = store.FromMillis(movesBy), store.FromMillis(created), store.FromMillis(ends), store.FromMillis(lastUse)
	p.Missed, p.Slept, p.Departed = store.FromMillis(missed), store.FromMillis(slept), store.FromMillis(departed)
	p.Disabled, p.Removed = store.FromMillis(disabled), store.FromMillis(removed)
	if s.Endpoint != "" {
		p.Subscription = &s
	}
	return p, nil
}

// Find returns the phone with this id, whatever its state.
func Find(ctx context.Context, tx *store.Tx, id string) (Phone, bool, error) {
	p, err := scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM phones WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Phone{}, false, nil
	}
	if err != nil {
		return Phone{}, false, fmt.Errorf("reading phone %s: %w", id, err)
	}
	return p, true, nil
}

// Of returns the phones that a professional ever had, oldest first.
func Of(ctx context.Context, tx *store.Tx, professional directory.ID) ([]Phone, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM phones WHERE professional = $1 ORDER BY created, id`, string(professional))
	if err != nil {
		return nil, fmt.Errorf("reading the phones of a professional: %w", err)
	}
	defer rows.Close()
	var phones []Phone
	for rows.Next() {
		p, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading the phones of a professional: %w", err)
		}
		phones = append(phones, p)
	}
	return phones, rows.Err()
}

// SetSubscription says where the phone is pushed to; nil: nowhere.
func SetSubscription(ctx context.Context, tx *store.Tx, id string, s *push.Subscription) error {
	if s == nil {
		s = &push.Subscription{P256dh: []byte{}, Auth: []byte{}}
	}
	_, err := tx.Exec(ctx, `UPDATE phones SET endpoint = $1, p256dh = $2, auth = $3 WHERE id = $4`, s.Endpoint, s.P256dh, s.Auth, id)
	if err != nil {
		return fmt.Errorf("subscribing phone %s: %w", id, err)
	}
	return nil
}

// ForgetEndpoint drops a subscription that its push service knows no more.
func ForgetEndpoint(ctx context.Context, tx *store.Tx, endpoint string) error {
	if endpoint == "" {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE phones SET endpoint = '', p256dh = $1, auth = $1 WHERE endpoint = $2`, []byte{}, endpoint)
	if err != nil {
		return fmt.Errorf("forgetting a push subscription: %w", err)
	}
	return nil
}

// BeSilent carries out a document "silence": the phone rings no more, or again.
// It never keeps its owner from signing in.
func BeSilent(ctx context.Context, tx *store.Tx, d Document) (Phone, error) {
	if d.Decision != Silence {
		return Phone{}, fmt.Errorf("%w: %q silences no phone", ErrDocument, d.Decision)
	}
	p, err := CheckPhone(ctx, tx, d)
	if err != nil {
		return Phone{}, err
	}
	if _, err := tx.Exec(ctx, `UPDATE phones SET silent = $1 WHERE id = $2`, d.Silent, p.ID); err != nil {
		return Phone{}, fmt.Errorf("silencing phone %s: %w", p.ID, err)
	}
	p.Silent = d.Silent
	return p, recordDocument(ctx, tx, p, KindSilenced, d)
}

// Disable stops a phone for good: it must be activated again. actor is spelled
// as in [audit.Event]. A phone that is disabled or removed already stays as it
// is.
func Disable(ctx context.Context, tx *store.Tx, id, why, actor string) error {
	p, ok, err := Find(ctx, tx, id)
	if err != nil || !ok || !p.Disabled.IsZero() || !p.Removed.IsZero() {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE phones SET disabled = $1, disabled_why = $2, endpoint = '' WHERE id = $3`, store.Millis(tx.Now), why, id)
	if err != nil {
		return fmt.Errorf("disabling phone %s: %w", id, err)
	}
	return record(ctx, tx, p, audit.PhoneDisabled, actor, map[string]string{"why": why})
}

// Remove takes a phone from its professional. It may undo for [UndoAfter] what
// it saw. One that is removed already stays as it is.
func Remove(ctx context.Context, tx *store.Tx, id, why, actor string) error {
	p, ok, err := Find(ctx, tx, id)
	if err != nil || !ok || !p.Removed.IsZero() {
		return err
	}
	if _, err = tx.Exec(ctx, `UPDATE phones SET removed = $1, endpoint = '' WHERE id = $2`, store.Millis(tx.Now), id); err != nil {
		return fmt.Errorf("removing phone %s: %w", id, err)
	}
	return record(ctx, tx, p, KindRemoved, actor, map[string]string{"why": why})
}

// RevokeAllOf removes every phone of a professional.
func RevokeAllOf(ctx context.Context, tx *store.Tx, professional directory.ID, why, actor string) error {
	phones, err := Of(ctx, tx, professional)
	if err != nil {
		return err
	}
	for _, p := range phones {
		if err := Remove(ctx, tx, p.ID, why, actor); err != nil {
			return err
		}
	}
	return nil
}

// SleepAllOf puts the phones of a professional to sleep who left the register.
func SleepAllOf(ctx context.Context, tx *store.Tx, professional directory.ID) error {
	_, err := tx.Exec(ctx, `UPDATE phones SET departed = $1 WHERE professional = $2 AND departed = 0`, store.Millis(tx.Now), string(professional))
	if err != nil {
		return fmt.Errorf("putting phones to sleep: %w", err)
	}
	return nil
}

// WakeAllOf wakes the phones that [SleepAllOf] put to sleep: their professional
// is back. A phone that put itself to sleep sleeps on.
func WakeAllOf(ctx context.Context, tx *store.Tx, professional directory.ID) error {
	if _, err := tx.Exec(ctx, `UPDATE phones SET departed = 0 WHERE professional = $1 AND departed <> 0`, string(professional)); err != nil {
		return fmt.Errorf("waking phones: %w", err)
	}
	return nil
}

// FallAsleep puts a phone to sleep that asked for it with the document d, which
// its key alone signs. Its PIN wakes it ([Wake]) for the time of [Sleep]. A
// phone that is not usable stays as it is.
func FallAsleep(ctx context.Context, tx *store.Tx, d Document) (Phone, error) {
	if d.Decision != GoToSleep {
		return Phone{}, fmt.Errorf("%w: %q puts no phone to sleep", ErrDocument, d.Decision)
	}
	p, err := CheckPhone(ctx, tx, d)
	if err != nil || !p.Usable(tx.Now) {
		return p, err
	}
	if _, err := tx.Exec(ctx, `UPDATE phones SET slept = $1 WHERE id = $2`, store.Millis(tx.Now), p.ID); err != nil {
		return p, fmt.Errorf("putting phone %s to sleep: %w", p.ID, err)
	}
	p.Slept = tx.Now
	return p, recordDocument(ctx, tx, p, KindSlept, d)
}

// Wake wakes a phone that put itself to sleep, with the document d, signed with
// the PIN.
func Wake(ctx context.Context, tx *store.Tx, d Document) (Verdict, error) {
	if d.Decision != WakeUp {
		return Verdict{}, fmt.Errorf("%w: %q wakes no phone", ErrDocument, d.Decision)
	}
	v, err := CheckApproval(ctx, tx, d)
	if err != nil || v.Outcome != Right || v.Repeat {
		return v, err
	}
	if s := v.Phone.State(tx.Now); s == Ended || v.Phone.Slept.IsZero() {
		return v, nil
	}
	if _, err := tx.Exec(ctx, `UPDATE phones SET slept = 0 WHERE id = $1`, v.Phone.ID); err != nil {
		return v, fmt.Errorf("waking phone %s: %w", v.Phone.ID, err)
	}
	v.Phone.Slept = time.Time{}
	return v, recordDocument(ctx, tx, v.Phone, KindWoke, d)
}

// Kinds of events that this package records beside those of package audit.
const (
	KindRemoved    = "phone.removed"
	KindSilenced   = "phone.silenced" // or unsilenced: the document says which
	KindSlept      = "phone.slept"
	KindWoke       = "phone.woke"
	KindPINChanged = "phone.pin-changed"
	KindMoved      = "phone.moved" // to a newer master secret
	KindCodesSent  = "activation.codes-sent"
	KindStopped    = "activation.asks-stopped"
	KindAllowed    = "activation.allowed"
	KindConfirmed  = "activation.confirmed"
)

func record(ctx context.Context, tx *store.Tx, p Phone, kind, actor string, detail map[string]string) error {
	return audit.Record(ctx, tx, audit.Event{Kind: kind, Actor: actor, Professional: string(p.Professional), Phone: p.ID, Detail: detail})
}

// recordDocument records what a phone decided, with the document as evidence.
func recordDocument(ctx context.Context, tx *store.Tx, p Phone, kind string, d Document) error {
	return audit.Record(ctx, tx, audit.Event{Kind: kind, Actor: "professional", Professional: string(p.Professional), Phone: p.ID, Evidence: d.Raw})
}
