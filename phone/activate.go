package phone

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"vigie/audit"
	"vigie/directory"
	"vigie/message"
	"vigie/outgoing"
	"vigie/push"
	"vigie/secrets"
	"vigie/store"
)

// What activating a phone takes, and how long it may.
const (
	PairLife   = 10 * time.Minute // of two codes
	TicketLife = 15 * time.Minute // of the right to activate
	MaxTries   = 5                // of one device, for one number, while a pair lives

	triesPerSource = 60 // an hour
)

var (
	// ErrTicket says that a ticket is unknown, too old, used, or another phone's.
	ErrTicket = errors.New("no ticket to activate with")

	// ErrTooMany says that the professional has [MaxPhones] already.
	ErrTooMany = errors.New("there are too many phones")

	// ErrToken says that a page's token is unknown or too old.
	ErrToken = errors.New("unknown token")

	// ErrConfirm says that no allowance waits for this code, or that the same
	// person gave it.
	ErrConfirm = errors.New("nothing to confirm")
)

// Activation is what it takes to activate phones.
type Activation struct {
	Keys    *secrets.Secrets
	Post    *message.Post
	Portal  string           // base URL of the pages that letters lead to, without a slash at the end
	Zone    *time.Location   // whose nights are quiet; nil: UTC
	AnyHour bool             // codes leave at night too: for demo and tests
	IDs     directory.Parser // reads national ids
	Push    outgoing.Options // where phones may be pushed to
}

// An Ask is somebody's wish to be sent two codes, as typed.
type Ask struct {
	NationalID, Mobile, Email string
	Address                   string // of the asker
	Agent                     string
}

// Typed are two codes as somebody typed them on a phone.
type Typed struct {
	NationalID, SMS, Email string
	Device                 string // thumbprint of the key that proves the call
	Address                string
}

// A Ticket is the right to activate the one phone that it was opened for.
type Ticket struct {
	ID           string
	Professional directory.ID
	Phone        string
	Mode         string
	Expires      time.Time
}

// A Redemption is what came of typing two codes. Without a ticket they were
// wrong, and Left tries are left until Until.
type Redemption struct {
	Ticket *Ticket
	Name   string // of the professional
	Left   int
	Until  time.Time
}

// sourceOf is the part of an address that one subscriber has: an IPv4 address, or
// the first 64 bits of an IPv6 one.
func sourceOf(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a.WithZone(""), 64).Masked().String()
}

// RedeemCodes opens a ticket for the device that types both codes of a pair. They
// are one secret: nothing tells which of the two was wrong, or whether a pair was
// ever sent. Tries count for the device key and the number that it names, in the
// time that a pair lives, and never for the professional: a stranger has tries of
// their own only. Left is as if the number existed.
func (a *Activation) RedeemCodes(ctx context.Context, tx *store.Tx, t Typed) (Redemption, error) {
	id, err := a.IDs.Parse(t.NationalID)
	if err != nil { // it is tried all the same: it takes as long, and no pair has it
		id = directory.ID(hash("no national id", t.NationalID))
	}
	r, err := countTry(ctx, tx, t, id)
	if err != nil || !r.Until.IsZero() {
		return r, err
	}
	pair, err := a.findPair(ctx, tx, id, onlyDigits(t.SMS), onlyDigits(t.Email))
	if err != nil || pair == "" {
		if r.Left == 0 {
			r.Until = tx.Now.Add(PairLife)
		}
		return r, err
	}
	p, ok, err := directory.Find(ctx, tx, id)
	if err != nil || !ok {
		return r, err // who left the register between the ask and now
	}
	if _, err := tx.Exec(ctx, `UPDATE pairs SET used = $1 WHERE id = $2`, store.Millis(tx.Now), pair); err != nil {
		return Redemption{}, fmt.Errorf("using a pair of codes: %w", err)
	}
	ticket := Ticket{ID: rand.Text(), Professional: id, Phone: t.Device, Mode: "codes", Expires: tx.Now.Add(TicketLife)}
	_, err = tx.Exec(ctx, `INSERT INTO tickets (id, professional, phone, mode, pair, opened, expires, redeemed) VALUES ($1, $2, $3, $4, $5, $6, $7, 0)`,
		ticket.ID, string(id), ticket.Phone, ticket.Mode, pair, store.Millis(tx.Now), store.Millis(ticket.Expires))
	if err != nil {
		return Redemption{}, fmt.Errorf("opening a ticket: %w", err)
	}
	return Redemption{Ticket: &ticket, Name: p.DisplayName()}, nil
}

// countTry counts one try, unless there are none left: then Until is set.
func countTry(ctx context.Context, tx *store.Tx, t Typed, id directory.ID) (Redemption, error) {
	source := sourceOf(t.Address)
	var here, tried int
	var oldest int64
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM tries WHERE source = $1 AND at > $2`, source, store.Millis(tx.Now.Add(-time.Hour))).Scan(&here)
	if err != nil {
		return Redemption{}, fmt.Errorf("counting the tries of a source: %w", err)
	}
	if here >= triesPerSource {
		return Redemption{Until: tx.Now.Add(PairLife)}, nil
	}
	err = tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(MIN(at), 0) FROM tries WHERE device = $1 AND national_id = $2 AND at > $3`,
		t.Device, string(id), store.Millis(tx.Now.Add(-PairLife))).Scan(&tried, &oldest)
	if err != nil {
		return Redemption{}, fmt.Errorf("counting the tries of a device: %w", err)
	}
	if tried >= MaxTries {
		return Redemption{Until: store.FromMillis(oldest).Add(PairLife)}, nil
	}
	_, err = tx.Exec(ctx, `INSERT INTO tries (id, device, national_id, source, at) VALUES ($1, $2, $3, $4, $5)`,
		rand.Text(), t.Device, string(id), source, store.Millis(tx.Now))
	if err != nil {
		return Redemption{}, fmt.Errorf("counting a try: %w", err)
	}
	return Redemption{Left: MaxTries - tried - 1}, nil
}

// findPair returns the live pair of these codes; "" when there is none.
func (a *Activation) findPair(ctx context.Context, tx *store.Tx, id directory.ID, sms, email string) (string, error) {
	want := a.hashPair(id, sms, email)
	rows, err := tx.Query(ctx, `SELECT id, hash FROM pairs WHERE professional = $1 AND used = 0 AND expires > $2`, string(id), store.Millis(tx.Now))
	if err != nil {
		return "", fmt.Errorf("looking for a pair of codes: %w", err)
	}
	defer rows.Close()
	found := ""
	for rows.Next() {
		var pair, have string
		if err := rows.Scan(&pair, &have); err != nil {
			return "", fmt.Errorf("looking for a pair of codes: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(have), []byte(want)) == 1 {
			found = pair
		}
	}
	return found, rows.Err()
}

// hashPair is what is kept of two codes: an HMAC, because sixteen digits could be
// found from a plain hash.
func (a *Activation) hashPair(id directory.ID, sms, email string) string {
	h := hmac.New(sha256.New, a.Keys.MAC("activation codes"))
	h.Write([]byte(hash("pair", string(id), sms, email)))
	return b64.EncodeToString(h.Sum(nil))
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// liveTicket returns the ticket if it can still be redeemed by this phone, else
// [ErrTicket].
func liveTicket(ctx context.Context, tx *store.Tx, id, phone string) (Ticket, error) {
	t := Ticket{ID: id, Phone: phone}
	var professional string
	var expires int64
	err := tx.QueryRow(ctx, `SELECT professional, mode, expires FROM tickets WHERE id = $1 AND phone = $2 AND redeemed = 0 AND expires > $3`,
		id, phone, store.Millis(tx.Now)).Scan(&professional, &t.Mode, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return Ticket{}, ErrTicket
	}
	if err != nil {
		return Ticket{}, fmt.Errorf("reading a ticket: %w", err)
	}
	t.Professional, t.Expires = directory.ID(professional), store.FromMillis(expires)
	return t, nil
}

// Activate makes a phone of a document "enrol", signed by the phone's key and by
// the key of its new PIN, which redeems the ticket. The document is kept as
// evidence, and every known contact point is told. A push subscription that we
// may not call is left out: the phone works without, and may give another.
// address and agent say where the call came from. iat is not judged: a phone
// whose clock is wrong learns the time here at the earliest, and the epoch, drawn
// by the server minutes ago, says how old the document can be.
//
// The errors are [ErrDocument], [ErrTicket] and [ErrTooMany]; the ticket can be
// used again after each.
func (a *Activation) Activate(ctx context.Context, tx *store.Tx, d Document, address, agent string) (Phone, error) {
	if d.Decision != Enrol {
		return Phone{}, fmt.Errorf("%w: %q activates no phone", ErrDocument, d.Decision)
	}
	key, err := d.Key.parse() // whose thumbprint is d.Phone, as ParseDocument saw
	if err != nil {
		return Phone{}, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	if !d.verify(byPhone, key.Key) {
		return Phone{}, fmt.Errorf("%w: the phone did not sign it", ErrDocument)
	}
	pin, err := d.newPIN(byPIN)
	if err != nil {
		return Phone{}, err
	}
	ticket, err := liveTicket(ctx, tx, d.Ticket, d.Phone)
	if err != nil {
		return Phone{}, err
	}
	epoch, err := finishedEpoch(ctx, tx, d, forTicket(ticket.ID))
	if err != nil {
		return Phone{}, err
	}
	if epoch.evaluation != d.Eval {
		return Phone{}, fmt.Errorf("%w: it names another evaluation", ErrDocument)
	}
	if err := room(ctx, tx, ticket.Professional, d.Phone); err != nil {
		return Phone{}, err
	}
	p := Phone{
		ID: d.Phone, Professional: ticket.Professional, Name: strings.TrimSpace(d.Name), Model: d.Model, System: d.System, AppVersion: d.App,
		Mode: ticket.Mode, Created: tx.Now, Ends: tx.Now.Add(Validity), LastUse: tx.Now, Epoch: d.Epoch, pin: pin, master: epoch.master,
	}
	if s := d.Subscription; s != nil {
		if parsed, err := push.ParseSubscription(s.Endpoint, s.P256dh, s.Auth, a.Push); err == nil {
			p.Subscription = &parsed
		}
	}
	if err := p.insert(ctx, tx, d.Key); err != nil {
		return Phone{}, err
	}
	if err := finishTicket(ctx, tx, ticket); err != nil {
		return Phone{}, err
	}
	if err := audit.Record(ctx, tx, audit.Event{
		Kind: audit.PhoneActivated, Actor: "professional", Professional: string(p.Professional), Phone: p.ID, Address: address, Agent: agent,
		Detail: map[string]string{"mode": p.Mode, "name": p.Name, "model": p.Model, "system": p.System}, Evidence: d.Raw,
	}); err != nil {
		return Phone{}, err
	}
	return p, a.tellActivated(ctx, tx, p, address)
}

// room refuses a phone too many, and a key that was activated before.
func room(ctx context.Context, tx *store.Tx, professional directory.ID, id string) error {
	if _, known, err := Find(ctx, tx, id); err != nil {
		return err
	} else if known {
		return fmt.Errorf("%w: this key was activated before", ErrDocument)
	}
	phones, err := Of(ctx, tx, professional)
	if err != nil {
		return err
	}
	n := 0
	for _, p := range phones {
		switch p.State(tx.Now) {
		case Active, Paused, Asleep:
			n++
		}
	}
	if n >= MaxPhones {
		return ErrTooMany
	}
	return nil
}

func (p Phone) insert(ctx context.Context, tx *store.Tx, key ecKey) error {
	jwk, err := json.Marshal(key)
	if err != nil {
		return fmt.Errorf("storing phone %s: %w", p.ID, err)
	}
	s := push.Subscription{P256dh: []byte{}, Auth: []byte{}}
	if p.Subscription != nil {
		s = *p.Subscription
	}
	_, err = tx.Exec(ctx, `INSERT INTO phones (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, $10, $11, $12, $13, $14,
		$15, $16, $17, FALSE, 0, 0, 0, 0, 0, '', 0)`,
		p.ID, string(p.Professional), string(jwk), []byte(p.pin), p.Epoch, p.master, p.Name, p.Model, p.System, p.AppVersion, p.Mode,
		store.Millis(p.Created), store.Millis(p.Ends), store.Millis(p.LastUse), s.Endpoint, s.P256dh, s.Auth)
	if err != nil {
		return fmt.Errorf("storing phone %s: %w", p.ID, err)
	}
	return nil
}

// finishTicket spends what led to the activation.
func finishTicket(ctx context.Context, tx *store.Tx, t Ticket) error {
	now := store.Millis(tx.Now)
	for _, spend := range []struct {
		query string
		args  []any
	}{
		{`UPDATE tickets SET redeemed = $1 WHERE id = $2`, []any{now, t.ID}},
		{`DELETE FROM epochs WHERE phone = $1`, []any{t.Phone}},
		{`UPDATE allowances SET used = $1 WHERE professional = $2 AND confirmed > 0 AND used = 0 AND starts <= $1`, []any{now, string(t.Professional)}},
	} {
		if _, err := tx.Exec(ctx, spend.query, spend.args...); err != nil {
			return fmt.Errorf("redeeming a ticket: %w", err)
		}
	}
	return nil
}
