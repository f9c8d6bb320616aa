package login

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"vigie/audit"
	"vigie/phone"
	"vigie/store"
)

// Wrong codes: MaxWrongCodes in WrongCodesIn pause the typing of codes on that
// phone for CodesPause. Nobody else's anything moves.
const (
	MaxWrongCodes = 5
	WrongCodesIn  = 10 * time.Minute
	CodesPause    = 5 * time.Minute
)

// ClaimResult is what became of a typed code.
type ClaimResult string

// The results.
const (
	Claimed      ClaimResult = "claimed"
	UnknownCode  ClaimResult = "unknown"
	ReplacedCode ClaimResult = "replaced" // a code of one's own number that the page has replaced: not counted
	CodesPaused  ClaimResult = "paused"   // not looked up
)

// ClaimVerdict is a value: a wrong code is counted although nothing is claimed.
type ClaimVerdict struct {
	Result ClaimResult
	Until  time.Time // CodesPaused: when codes may be typed again
}

// Claim fetches the request whose screen shows code, among those that name the
// phone's own professional. Another phone of the same professional takes over.
func (l *Logins) Claim(ctx context.Context, tx *store.Tx, p phone.Phone, code string) (Request, ClaimVerdict, error) {
	if until, err := l.codesPaused(ctx, tx, p.ID); err != nil || tx.Now.Before(until) {
		return Request{}, ClaimVerdict{CodesPaused, until}, err
	}
	var id string
	var live int64
	err := tx.QueryRow(ctx, `SELECT request, live_until FROM codes WHERE hash = $1 AND dead_until > $2`,
		l.hash(p.Professional, code), store.Millis(tx.Now)).Scan(&id, &live)
	if errors.Is(err, sql.ErrNoRows) {
		return l.wrongCode(ctx, tx, p)
	}
	if err != nil {
		return Request{}, ClaimVerdict{}, fmt.Errorf("looking up a code: %w", err)
	}
	r, err := l.Find(ctx, tx, id)
	if err != nil {
		return Request{}, ClaimVerdict{}, err
	}
	if live <= store.Millis(tx.Now) || r.Status(tx.Now) != Pending {
		return Request{}, ClaimVerdict{Result: ReplacedCode}, nil
	}
	if r, err = l.hold(ctx, tx, r, p, "code"); err != nil {
		return Request{}, ClaimVerdict{}, err
	}
	return r, ClaimVerdict{Result: Claimed}, nil
}

// hold gives r to p, and r its OpenLife the first time that a phone holds it.
func (l *Logins) hold(ctx context.Context, tx *store.Tx, r Request, p phone.Phone, way string) (Request, error) {
	if r.ClaimedBy == p.ID && r.Way == way {
		return r, nil
	}
	if r.Claimed.IsZero() {
		r.Claimed, r.Expires = tx.Now, tx.Now.Add(OpenLife)
	}
	r.ClaimedBy, r.Way, r.Professional = p.ID, way, p.Professional
	n, err := tx.Exec(ctx, `UPDATE requests SET claimed_by = $1, claimed = $2, way = $3, professional = $4, expires = $5, changed = $6
		WHERE id = $7 AND state = 'pending' AND expires > $6`,
		p.ID, store.Millis(r.Claimed), way, string(r.Professional), store.Millis(r.Expires), store.Millis(tx.Now), r.ID)
	if err != nil {
		return Request{}, fmt.Errorf("claiming request %s: %w", r.ID, err)
	}
	if n == 0 {
		return Request{}, ErrExpired
	}
	l.changed(tx, r)
	return r, l.record(ctx, tx, audit.RequestClaimed, r, audit.Event{Phone: p.ID, Detail: map[string]string{"way": way}})
}

func (l *Logins) wrongCode(ctx context.Context, tx *store.Tx, p phone.Phone) (Request, ClaimVerdict, error) {
	_, err := tx.Exec(ctx, `INSERT INTO wrong_codes (id, phone, at) VALUES ($1, $2, $3)`, rand.Text(), p.ID, store.Millis(tx.Now))
	if err != nil {
		return Request{}, ClaimVerdict{}, fmt.Errorf("counting a wrong code: %w", err)
	}
	return Request{}, ClaimVerdict{Result: UnknownCode}, nil
}

// codesPaused returns until when p may type no codes; the zero time if it may.
func (l *Logins) codesPaused(ctx context.Context, tx *store.Tx, phoneID string) (time.Time, error) {
	var n int
	var last sql.NullInt64
	err := tx.QueryRow(ctx, `SELECT COUNT(*), MAX(at) FROM wrong_codes WHERE phone = $1 AND at > $2`,
		phoneID, store.Millis(tx.Now.Add(-WrongCodesIn))).Scan(&n, &last)
	if err != nil {
		return time.Time{}, fmt.Errorf("counting wrong codes: %w", err)
	}
	if n < MaxWrongCodes {
		return time.Time{}, nil
	}
	return store.FromMillis(last.Int64).Add(CodesPause), nil
}

// Open is a phone that shows a request which rang on it, or which it claimed:
// a ring gets its OpenLife from here.
func (l *Logins) Open(ctx context.Context, tx *store.Tx, p phone.Phone, id string) (Request, error) {
	r, err := l.held(ctx, tx, p, id)
	if err != nil {
		return Request{}, err
	}
	if r.Status(tx.Now) != Pending || r.ClaimedBy == p.ID {
		return r, nil
	}
	return l.hold(ctx, tx, r, p, "ring")
}

// held returns the request if it rang on p or was claimed by it, ErrNotHeld
// otherwise: a request that merely names the professional is shown to nobody.
func (l *Logins) held(ctx context.Context, tx *store.Tx, p phone.Phone, id string) (Request, error) {
	r, err := l.Find(ctx, tx, id)
	if errors.Is(err, ErrUnknown) {
		return Request{}, ErrNotHeld
	}
	if err != nil {
		return Request{}, err
	}
	rang := r.Lane == RingLane && r.Professional == p.Professional && !p.Created.After(r.Asked)
	if !rang && r.ClaimedBy != p.ID {
		return Request{}, ErrNotHeld
	}
	return r, nil
}

// List returns what p should show: the live requests that rang on it or that
// it claimed, oldest first.
func (l *Logins) List(ctx context.Context, tx *store.Tx, p phone.Phone) ([]Request, error) {
	rows, err := tx.Query(ctx, `SELECT `+requestColumns+` FROM requests
		WHERE professional = $1 AND state = 'pending' AND expires > $2 AND (claimed_by = $3 OR (lane = 'ring' AND asked >= $4)) ORDER BY asked, id`,
		string(p.Professional), store.Millis(tx.Now), p.ID, store.Millis(p.Created))
	if err != nil {
		return nil, fmt.Errorf("listing requests: %w", err)
	}
	return scanRequests(rows)
}

// More gives the request another minute, at most MaxExtra times.
func (l *Logins) More(ctx context.Context, tx *store.Tx, p phone.Phone, id string) (Request, error) {
	r, err := l.held(ctx, tx, p, id)
	if err != nil {
		return Request{}, err
	}
	if r.ClaimedBy != p.ID {
		return Request{}, ErrNotHeld
	}
	switch s := r.Status(tx.Now); {
	case s == Expired:
		return Request{}, ErrExpired
	case s != Pending:
		return Request{}, ErrAnswered
	case r.Extended >= MaxExtra:
		return Request{}, ErrNoMore
	}
	r.Extended++
	r.Expires = r.Expires.Add(ExtraLife)
	n, err := tx.Exec(ctx, `UPDATE requests SET extended = $1, expires = $2, changed = $3 WHERE id = $4 AND state = 'pending' AND extended = $5`,
		r.Extended, store.Millis(r.Expires), store.Millis(tx.Now), r.ID, r.Extended-1)
	if err != nil {
		return Request{}, fmt.Errorf("giving request %s more time: %w", r.ID, err)
	}
	if n == 0 {
		return Request{}, ErrAnswered
	}
	l.changed(tx, r)
	return r, nil
}

// Shown is everything that the phone's screen says about a request. Its JSON
// text is what the phone draws the screen from, and its SHA-256 stands in the
// signed document.
type Shown struct {
	Service string `json:"service"`
	Agent   string `json:"agent"`
	System  string `json:"system"`
	Place   string `json:"place"`
	Asked   int64  `json:"asked"`  // Unix milliseconds
	Script  bool   `json:"script"` // false: the browser could not prove itself by a key
}

// Shown returns the text of what the screen says about r.
func (r Request) Shown() string {
	b, err := json.Marshal(Shown{r.ServiceName, r.Agent, r.System, r.Place, store.Millis(r.Asked), r.Ephemeral.Thumbprint() != ""})
	if err != nil {
		return ""
	}
	return string(b)
}

func scanRequests(rows *sql.Rows) ([]Request, error) {
	defer rows.Close()
	var list []Request
	for rows.Next() {
		r, err := scanRequest(rows)
		if err != nil {
			return nil, fmt.Errorf("listing requests: %w", err)
		}
		list = append(list, r)
	}
	return list, rows.Err()
}
