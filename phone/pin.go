package phone

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"vigie/secrets"
	"vigie/store"
)

// What wrong PINs cost. Each evaluation is one until its own document takes it
// back.
const (
	missesPause     = 3 // in a row
	shortPause      = 5 * time.Minute
	missesLongPause = 5
	longPause       = time.Hour
	missesDisable   = 8
	sumDisable      = 20 // never taken back, in sumWindow
	sumWindow       = 30 * 24 * time.Hour

	// inFlight is how long the document of a last evaluation may be on its way:
	// until then a phone that would be disabled can still be saved by it.
	inFlight = 2 * time.Minute

	epochLife = 15 * time.Minute
)

// ErrEpoch says that an epoch is unknown, too old, another phone's, or was
// evaluated before. A new one must be drawn.
var ErrEpoch = errors.New("no epoch that can be evaluated")

// A Call asks to evaluate one element.
type Call struct {
	Phone   string // id
	Purpose string // the request's id, or [ForChange]
	Element []byte // 33 bytes, compressed
	Proof   Proof  // of this very call, by that phone: a repeat is recomputed and counts once
}

// ForChange is the purpose of an evaluation for a document that answers no
// request.
func ForChange(decision string) string { return "change:" + decision }

// An Evaluation is the server's half of a PIN's key.
type Evaluation struct {
	ID      string // which the document names
	Epoch   string
	Element []byte

	// After a change of the master secret the same element is evaluated under
	// the new version too: the document then brings the PIN key of that one.
	Next        int // the new version; 0: none
	NextElement []byte
}

// An Outcome is what came of an evaluation or of a document.
type Outcome string

// The outcomes.
const (
	OK     Outcome = "ok"     // evaluated
	Right  Outcome = "right"  // both signatures are good: the document counts
	Wrong  Outcome = "wrong"  // the PIN's signature is not
	Spent  Outcome = "spent"  // the evaluation was for another document, or for a PIN since changed: nothing was checked
	Locked Outcome = "locked" // the phone is paused (until Verdict.Until), or disabled, ended or asleep: nothing was checked
)

// A Verdict is a value and not an error: what led to it is committed.
type Verdict struct {
	Outcome Outcome
	Phone   Phone     // as it stands now
	Misses  int       // Right: wrong PINs since the last right one. Else: in a row, now
	Until   time.Time // when a pause ends; zero: there is none
	Repeat  bool      // the same document was judged before; nothing changed this time
}

// Evaluate counts one evaluation of a phone's OPRF key, commits, and then
// computes it. live runs in the transaction that counts and returns nil when
// the request is live and rang on or was claimed by this phone; its error comes
// back as it is, and nothing is counted. Nor is anything for a malformed element
// ([ErrElement]), a repeated call, or a phone that is paused or out of order.
//
// The evaluation is a miss from now on. [CheckApproval] takes it back.
func Evaluate(ctx context.Context, db *store.DB, keys *secrets.Secrets, c Call, live func(context.Context, *store.Tx) error) (Evaluation, Verdict, error) {
	if _, err := parseElement(c.Element); err != nil {
		return Evaluation{}, Verdict{}, err
	}
	if c.Phone != c.Proof.Thumbprint || c.Proof.Hash == "" {
		return Evaluation{}, Verdict{}, fmt.Errorf("evaluating for phone %s: %w", c.Phone, ErrProof)
	}
	var counted evaluation
	var v Verdict
	err := db.Write(ctx, func(tx *store.Tx) (err error) {
		counted, v, err = count(ctx, tx, keys, c, live)
		return err
	})
	if err != nil || v.Outcome != OK {
		return Evaluation{}, v, err
	}
	e := Evaluation{ID: counted.id, Epoch: counted.epoch, Next: counted.next}
	if e.Element, err = evaluateUnder(keys, counted.master, c.Phone, counted.epoch, c.Element); err != nil {
		return Evaluation{}, v, err
	}
	if e.Next != 0 {
		if e.NextElement, err = evaluateUnder(keys, e.Next, c.Phone, counted.epoch, c.Element); err != nil {
			return Evaluation{}, v, err
		}
	}
	return e, v, nil
}

func evaluateUnder(keys *secrets.Secrets, version int, phone, epoch string, element []byte) ([]byte, error) {
	master, ok := keys.Master(version)
	if !ok {
		return nil, fmt.Errorf("evaluating for phone %s: there is no master secret of version %d", phone, version)
	}
	out, err := evaluate(master, phone, epoch, element)
	if err != nil {
		return nil, fmt.Errorf("evaluating for phone %s: %w", phone, err)
	}
	return out, nil
}

// evaluation is a row.
type evaluation struct {
	id, phone, purpose, epoch, document string
	master, next                        int
	taken                               time.Time
}

const evaluationColumns = `id, phone, purpose, epoch, document, master, next, taken`

func scanEvaluation(row *sql.Row) (e evaluation, found bool, err error) {
	var taken int64
	err = row.Scan(&e.id, &e.phone, &e.purpose, &e.epoch, &e.document, &e.master, &e.next, &taken)
	e.taken = store.FromMillis(taken)
	if errors.Is(err, sql.ErrNoRows) {
		return evaluation{}, false, nil
	}
	if err != nil {
		return evaluation{}, false, fmt.Errorf("reading an evaluation: %w", err)
	}
	return e, true, nil
}

// count is the transaction of [Evaluate].
func count(ctx context.Context, tx *store.Tx, keys *secrets.Secrets, c Call, live func(context.Context, *store.Tx) error) (evaluation, Verdict, error) {
	p, ok, err := Find(ctx, tx, c.Phone)
	if err != nil {
		return evaluation{}, Verdict{}, err
	}
	if !ok {
		return evaluation{}, Verdict{Outcome: Locked}, nil
	}
	e, repeated, err := scanEvaluation(tx.QueryRow(ctx, `SELECT `+evaluationColumns+` FROM evaluations WHERE call = $1`, c.Proof.Hash))
	if err != nil || repeated {
		return e, Verdict{Outcome: OK, Phone: p, Misses: p.Misses, Repeat: true}, err
	}
	if v, err := mayEvaluate(ctx, tx, p, c.Purpose); err != nil || v.Outcome != OK {
		return evaluation{}, v, err
	}
	if err := live(ctx, tx); err != nil {
		return evaluation{}, Verdict{}, err
	}
	e = evaluation{id: rand.Text(), phone: p.ID, purpose: c.Purpose, epoch: p.Epoch, master: p.master}
	if newest := keys.MasterVersion(); newest > p.master {
		e.next = newest
	}
	_, err = tx.Exec(ctx, `INSERT INTO evaluations (id, phone, purpose, call, epoch, master, next, at, document, taken) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', 0)`,
		e.id, e.phone, e.purpose, c.Proof.Hash, e.epoch, e.master, e.next, store.Millis(tx.Now))
	if err != nil {
		return evaluation{}, Verdict{}, fmt.Errorf("counting an evaluation for phone %s: %w", p.ID, err)
	}
	p.Misses, p.Missed = p.Misses+1, tx.Now
	if _, err = tx.Exec(ctx, `UPDATE phones SET misses = $1, missed = $2 WHERE id = $3`, p.Misses, store.Millis(p.Missed), p.ID); err != nil {
		return evaluation{}, Verdict{}, fmt.Errorf("counting an evaluation for phone %s: %w", p.ID, err)
	}
	return e, Verdict{Outcome: OK, Phone: p, Misses: p.Misses}, nil
}

// mayEvaluate judges the phone, and disables it when that is due.
func mayEvaluate(ctx context.Context, tx *store.Tx, p Phone, purpose string) (Verdict, error) {
	disabled, err := settle(ctx, tx, p)
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Outcome: Locked, Phone: p, Misses: p.Misses}
	s := p.State(tx.Now)
	switch {
	case disabled:
	case tx.Now.Before(p.PausedUntil()): // a phone that sleeps may be pausing too
		v.Until = p.PausedUntil()
	case s == Active, asleepByItself(p, s) && purpose == ForChange(WakeUp):
		v.Outcome = OK
	}
	return v, nil
}

func asleepByItself(p Phone, s State) bool {
	return s == Asleep && !p.Slept.IsZero() && p.Departed.IsZero()
}

// settle tells whether p has missed too often, and disables it for good unless a
// document that is still on its way may take its miss back.
func settle(ctx context.Context, tx *store.Tx, p Phone) (disabled bool, err error) {
	if !p.Disabled.IsZero() || !p.Removed.IsZero() {
		return true, nil
	}
	var sum, flying int
	err = tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(SUM(CASE WHEN document = '' AND at > $1 THEN 1 ELSE 0 END), 0)
		FROM evaluations WHERE phone = $2 AND at > $3 AND taken = 0`,
		store.Millis(tx.Now.Add(-inFlight)), p.ID, store.Millis(tx.Now.Add(-sumWindow))).Scan(&sum, &flying)
	if err != nil {
		return false, fmt.Errorf("counting the misses of phone %s: %w", p.ID, err)
	}
	if p.Misses < missesDisable && sum < sumDisable {
		return false, nil
	}
	if flying > 0 {
		return true, nil
	}
	return true, Disable(ctx, tx, p.ID, "misses", "system")
}

// CheckApproval judges a document that the PIN signs as well: the phone's
// signature, the evaluation that it names, the PIN's signature. An evaluation
// serves one purpose and one document: the first one that names it is judged,
// whatever comes of it, and no other ever. So one guess is one evaluation, even
// for whoever holds the phone and the master secret.
//
// [Right]: the evaluation is taken out of row and sum, the row is cleared, and
// the phone moves to a newer master secret when the document says so; whether
// what the document decides still can happen is the caller's to say. [Wrong]
// adds nothing to what the evaluation counted. The caller commits in any case.
//
// The error [ErrDocument] says that the document is no document of this phone
// and evaluation; the PIN's signature was not looked at.
func CheckApproval(ctx context.Context, tx *store.Tx, d Document) (Verdict, error) {
	return judge(ctx, tx, d, nil)
}

// judge is CheckApproval. ready, if not nil, is asked before the PIN's signature
// is looked at and refuses a document for other reasons.
func judge(ctx context.Context, tx *store.Tx, d Document, ready func() error) (Verdict, error) {
	p, err := CheckPhone(ctx, tx, d)
	if err != nil {
		return Verdict{}, err
	}
	e, ok, err := scanEvaluation(tx.QueryRow(ctx, `SELECT `+evaluationColumns+` FROM evaluations WHERE id = $1`, d.Eval))
	if err != nil {
		return Verdict{}, err
	}
	purpose := d.Request
	if d.Decision != Approve {
		purpose = ForChange(d.Decision)
	}
	if !ok || e.phone != p.ID || e.purpose != purpose || d.signatures[byPIN] == "" {
		return Verdict{}, fmt.Errorf("%w: it names no evaluation that was made for it", ErrDocument)
	}
	v := Verdict{Phone: p, Misses: p.Misses}
	this := hash("document", string(d.Raw))
	switch s := p.State(tx.Now); {
	case e.document == this && e.taken.IsZero():
		v.Outcome, v.Repeat = Wrong, true
		return v, nil
	case e.document == this:
		v.Outcome, v.Repeat = Right, true
		return v, nil
	case e.document != "", e.epoch != p.Epoch, e.master != p.master:
		v.Outcome = Spent
		return v, nil
	case !p.Disabled.IsZero(), s == Removed, s == Ended, s == Asleep && !(asleepByItself(p, s) && d.Decision == WakeUp):
		v.Outcome = Locked
		return v, nil
	}
	if ready != nil {
		if err := ready(); err != nil {
			return Verdict{}, err
		}
	}
	next, err := d.move(e)
	if err != nil {
		return Verdict{}, err
	}
	if !d.verify(byPIN, p.pin) {
		return miss(ctx, tx, p, e, this)
	}
	return takeBack(ctx, tx, p, e, d, this, next)
}

// move is the PIN key under a newer master secret that an approval brings; nil
// when it brings none.
func (d Document) move(e evaluation) (ed25519.PublicKey, error) {
	if d.Decision != Approve || d.PIN == "" {
		return nil, nil
	}
	if d.Master != e.next {
		return nil, fmt.Errorf("%w: the master secret %d was not offered to it", ErrDocument, d.Master)
	}
	return d.newPIN(byNewPIN)
}

func miss(ctx context.Context, tx *store.Tx, p Phone, e evaluation, document string) (Verdict, error) {
	if _, err := tx.Exec(ctx, `UPDATE evaluations SET document = $1 WHERE id = $2`, document, e.id); err != nil {
		return Verdict{}, fmt.Errorf("spending evaluation %s: %w", e.id, err)
	}
	if _, err := settle(ctx, tx, p); err != nil {
		return Verdict{}, err
	}
	p, _, err := Find(ctx, tx, p.ID)
	return Verdict{Outcome: Wrong, Phone: p, Misses: p.Misses, Until: p.PausedUntil()}, err
}

func takeBack(ctx context.Context, tx *store.Tx, p Phone, e evaluation, d Document, document string, next ed25519.PublicKey) (Verdict, error) {
	now := store.Millis(tx.Now)
	if _, err := tx.Exec(ctx, `UPDATE evaluations SET document = $1, taken = $2 WHERE id = $3`, document, now, e.id); err != nil {
		return Verdict{}, fmt.Errorf("taking evaluation %s back: %w", e.id, err)
	}
	v := Verdict{Outcome: Right, Phone: p, Misses: max(0, p.Misses-1)}
	v.Phone.Misses, v.Phone.Missed, v.Phone.LastUse = 0, time.Time{}, tx.Now
	if next != nil {
		v.Phone.pin, v.Phone.master, v.Phone.movesBy = next, d.Master, time.Time{}
		if err := record(ctx, tx, p, KindMoved, "professional", map[string]string{"master": strconv.Itoa(d.Master)}); err != nil {
			return Verdict{}, err
		}
	}
	_, err := tx.Exec(ctx, `UPDATE phones SET misses = 0, missed = 0, last_use = $1, pin = $2, master = $3, moves_by = $4 WHERE id = $5`,
		now, []byte(v.Phone.pin), v.Phone.master, store.Millis(v.Phone.movesBy), p.ID)
	if err != nil {
		return Verdict{}, fmt.Errorf("clearing the misses of phone %s: %w", p.ID, err)
	}
	return v, nil
}

// An Epoch is drawn for a PIN to come. It goes into the PIN's input.
type Epoch struct {
	ID   string // 32 bytes in base64url
	Ends time.Time
}

// DrawEpoch draws an epoch for a PIN that a phone will choose: with a ticket
// that was opened for it, or, when ticket is empty, to change the one it has.
// The one drawn before for the same is forgotten, evaluated or not: nobody can
// collect evaluations for a PIN to come. The errors are [ErrTicket] and, for a
// phone that is not usable, [ErrEpoch].
func DrawEpoch(ctx context.Context, tx *store.Tx, keys *secrets.Secrets, phone, ticket string) (Epoch, error) {
	purpose := ChangePIN
	if ticket != "" {
		purpose = forTicket(ticket)
		if _, err := liveTicket(ctx, tx, ticket, phone); err != nil {
			return Epoch{}, err
		}
	} else if p, ok, err := Find(ctx, tx, phone); err != nil {
		return Epoch{}, err
	} else if !ok || !p.Usable(tx.Now) {
		return Epoch{}, ErrEpoch
	}
	b := make([]byte, 32)
	rand.Read(b)
	e := Epoch{b64.EncodeToString(b), tx.Now.Add(epochLife)}
	_, err := tx.Exec(ctx, `INSERT INTO epochs (epoch, phone, purpose, master, drawn, evaluation, call) VALUES ($1, $2, $3, $4, $5, '', '')
		ON CONFLICT (phone, purpose) DO UPDATE SET epoch = $1, master = $4, drawn = $5, evaluation = '', call = ''`,
		e.ID, phone, purpose, keys.MasterVersion(), store.Millis(tx.Now))
	if err != nil {
		return Epoch{}, fmt.Errorf("drawing an epoch for phone %s: %w", phone, err)
	}
	return e, nil
}

func forTicket(ticket string) string { return "ticket:" + ticket }

// EvaluateEpoch evaluates one element under an epoch that [DrawEpoch] drew, once;
// c.Purpose is not used. It counts for nothing: there is no PIN yet that it could
// test. A repeated call is recomputed. The errors are [ErrElement] and
// [ErrEpoch].
func EvaluateEpoch(ctx context.Context, db *store.DB, keys *secrets.Secrets, c Call, epoch string) (Evaluation, error) {
	if _, err := parseElement(c.Element); err != nil {
		return Evaluation{}, err
	}
	if c.Phone != c.Proof.Thumbprint || c.Proof.Hash == "" {
		return Evaluation{}, fmt.Errorf("evaluating for phone %s: %w", c.Phone, ErrProof)
	}
	var row drawn
	err := db.Write(ctx, func(tx *store.Tx) (err error) {
		if row, err = findEpoch(ctx, tx, epoch, c.Phone); err != nil {
			return err
		}
		if row.evaluation != "" {
			if row.call != c.Proof.Hash {
				return ErrEpoch
			}
			return nil
		}
		row.evaluation = rand.Text()
		if _, err = tx.Exec(ctx, `UPDATE epochs SET evaluation = $1, call = $2 WHERE epoch = $3`, row.evaluation, c.Proof.Hash, epoch); err != nil {
			return fmt.Errorf("evaluating under an epoch: %w", err)
		}
		return nil
	})
	if err != nil {
		return Evaluation{}, err
	}
	out, err := evaluateUnder(keys, row.master, c.Phone, epoch, c.Element)
	return Evaluation{ID: row.evaluation, Epoch: epoch, Element: out}, err
}

// drawn is a row of epochs.
type drawn struct {
	purpose, evaluation, call string
	master                    int
}

// findEpoch returns a live epoch of this phone, or [ErrEpoch].
func findEpoch(ctx context.Context, tx *store.Tx, epoch, phone string) (drawn, error) {
	var d drawn
	err := tx.QueryRow(ctx, `SELECT purpose, evaluation, call, master FROM epochs WHERE epoch = $1 AND phone = $2 AND drawn > $3`,
		epoch, phone, store.Millis(tx.Now.Add(-epochLife))).Scan(&d.purpose, &d.evaluation, &d.call, &d.master)
	if errors.Is(err, sql.ErrNoRows) {
		return drawn{}, ErrEpoch
	}
	if err != nil {
		return drawn{}, fmt.Errorf("reading an epoch: %w", err)
	}
	return d, nil
}

// finishedEpoch takes the epoch under which the PIN that d brings was chosen, for
// the purpose it was drawn for, and forgets it.
func finishedEpoch(ctx context.Context, tx *store.Tx, d Document, purpose string) (drawn, error) {
	row, err := findEpoch(ctx, tx, d.Epoch, d.Phone)
	if err == nil && (row.purpose != purpose || row.evaluation == "") {
		err = ErrEpoch
	}
	if errors.Is(err, ErrEpoch) {
		return drawn{}, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	return row, err
}

// Change changes a phone's PIN by a document "change-pin", signed by the phone,
// the old PIN and the new one. The verdict is about the old one, as
// [CheckApproval] says.
func Change(ctx context.Context, tx *store.Tx, d Document) (Verdict, error) {
	if d.Decision != ChangePIN {
		return Verdict{}, fmt.Errorf("%w: %q changes no PIN", ErrDocument, d.Decision)
	}
	var row drawn
	var pin ed25519.PublicKey
	v, err := judge(ctx, tx, d, func() (err error) {
		if row, err = finishedEpoch(ctx, tx, d, ChangePIN); err != nil {
			return err
		}
		pin, err = d.newPIN(byNewPIN)
		return err
	})
	if err != nil || v.Outcome != Right || v.Repeat {
		return v, err
	}
	_, err = tx.Exec(ctx, `UPDATE phones SET pin = $1, epoch = $2, master = $3, moves_by = 0 WHERE id = $4`, []byte(pin), d.Epoch, row.master, d.Phone)
	if err != nil {
		return v, fmt.Errorf("changing the PIN of phone %s: %w", d.Phone, err)
	}
	if _, err = tx.Exec(ctx, `DELETE FROM epochs WHERE phone = $1 AND purpose = $2`, d.Phone, ChangePIN); err != nil {
		return v, fmt.Errorf("changing the PIN of phone %s: %w", d.Phone, err)
	}
	v.Phone.pin, v.Phone.Epoch, v.Phone.master, v.Phone.movesBy = pin, d.Epoch, row.master, time.Time{}
	return v, recordDocument(ctx, tx, v.Phone, KindPINChanged, d)
}

// behind finds phones by the index phones_behind, whose condition it repeats.
const behind = `SELECT id FROM phones WHERE master < $1 AND moves_by = 0 LIMIT $2`

// MasterRotated gives every phone that still uses an older master secret the time
// of [MoveTime] to follow, from the moment that a server notices. It does nothing
// the second time, and then writes nothing.
func MasterRotated(ctx context.Context, db *store.DB, keys *secrets.Secrets) error {
	newest := keys.MasterVersion()
	for {
		var one string
		err := db.Read(ctx, func(tx *store.Tx) error { return tx.QueryRow(ctx, behind, newest, 1).Scan(&one) })
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			err = db.Write(ctx, func(tx *store.Tx) error {
				_, err := tx.Exec(ctx, `UPDATE phones SET moves_by = $3 WHERE id IN (`+behind+`)`, newest, tidyBatch, store.Millis(tx.Now.Add(MoveTime)))
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("giving phones time to follow the master secret: %w", err)
		}
	}
}
