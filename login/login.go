// Package login is one request to sign in, from asked to redeemed. It is the
// only writer of a request's state.
//
// A request is born in one of two lanes. In the ringing lane a browser that
// the professional kept has proven itself, and the professional's phones ring.
// In the silent lane nobody is told: the browser shows a code, and the request
// waits to be fetched by the phone on which the code is typed.
//
//	pending ──approve──▶ approved ──the browser that asked──▶ redeemed
//	   ├────refuse──▶ refused      ├─report─▶ reported      ├─leave─▶ left
//	   └────the same browser asks again, or gives up──▶ replaced, cancelled
//
// "Expired" is not a state: it is what a pending or approved request is called
// once its time is over.
package login

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"vigie/browser"
	"vigie/directory"
	"vigie/guard"
	"vigie/push"
	"vigie/secrets"
	"vigie/store"
)

// How long things live.
const (
	RingLife     = 60 * time.Second  // a ring that nobody opened
	OpenLife     = 120 * time.Second // from the moment a phone opened or claimed it
	ExtraLife    = 60 * time.Second  // "one more minute"
	MaxExtra     = 3
	SilentLife   = 10 * time.Minute  // a silent page that stays open
	ApprovedLife = 120 * time.Second // from approved to redeemed
	CodeLife     = 60 * time.Second  // until the page renews its code
	CodeGrace    = 15 * time.Second  // how long a replaced code is still good
	CodeDead     = 2 * time.Minute   // how long a dead code is remembered
)

// Lane says whether phones ring.
type Lane string

// The two lanes.
const (
	RingLane   Lane = "ring"
	SilentLane Lane = "silent"
)

// State is where a request stands; Status adds "expired".
type State string

// The states, and Expired, which is computed.
const (
	Pending   State = "pending"
	Approved  State = "approved"
	Refused   State = "refused"
	Reported  State = "reported"
	Left      State = "left"
	Redeemed  State = "redeemed"
	Replaced  State = "replaced"
	Cancelled State = "cancelled"
	Expired   State = "expired"
)

// Errors that callers act on.
var (
	ErrUnknown  = errors.New("no such request")
	ErrNotYours = errors.New("the request is another browser's")
	ErrNotHeld  = errors.New("this phone neither rang for the request nor claimed it")
	ErrAnswered = errors.New("the request was answered before")
	ErrExpired  = errors.New("the request has expired")
	ErrDocument = errors.New("the signed document does not fit the request")
	ErrNoMore   = errors.New("the request cannot be given more time")
	ErrBusy     = errors.New("no code is free for this number now")
)

// Request is one demand to sign in.
type Request struct {
	ID            string
	Authorization string
	Service       string
	ServiceName   string
	Professional  directory.ID // as typed until a phone claims it: nobody looked it up
	Lane          Lane
	State         State
	Asked         time.Time
	Expires       time.Time
	Extended      int

	Ephemeral browser.Key  // made for this request; zero without script
	Lasting   browser.Key  // proven in the ringing lane, offered in the silent one; zero without
	Kind      browser.Kind // how the proven browser is kept; "" in the silent lane
	Agent     string       // "Firefox"
	System    string       // "Windows"
	Address   string
	Place     string // "" when unknown
	Verdict   guard.Verdict

	ClaimedBy string // the phone that opened or claimed it
	Claimed   time.Time
	Way       string // "ring" or "code": how that phone came to it
	Answered  time.Time
	Keep      string // "mine", "shared" or "no", once approved

	cookie    string
	cookied   browser.Cookied
	codeIndex int64
	codeDraw  int64
	codeAt    time.Time
}

// Status is the state as people should see it at now.
func (r Request) Status(now time.Time) State {
	if (r.State == Pending || r.State == Approved) && !now.Before(r.Expires) {
		return Expired
	}
	return r.State
}

// NeedsCode says that the code on the screen must be typed before the PIN: a
// ring on a shared post that no phone has claimed by its code.
func (r Request) NeedsCode() bool { return r.Kind == browser.Shared && r.Way != "code" }

// Keepable says whether the professional may be asked to keep this browser.
func (r Request) Keepable() bool {
	return r.Lane == SilentLane && r.Lasting.Thumbprint() != "" && r.Ephemeral.Thumbprint() != ""
}

// Browser is what an approval names: the thumbprint of the request's key, or
// for a browser without script the hash of its cookie bound to the request.
func (r Request) Browser() string {
	if t := r.Ephemeral.Thumbprint(); t != "" {
		return t
	}
	return r.cookie
}

// MoreLeft is how many more minutes the phone can still ask for.
func (r Request) MoreLeft() int { return MaxExtra - r.Extended }

// OfBrowser says whether the browser with this cookie secret asked r.
func (r Request) OfBrowser(cookieSecret string) bool {
	return cookieSecret != "" && equal(browser.Bind(cookieSecret, r.ID), r.cookie)
}

// Network gives a name to addresses: what a professional reads as the place.
type Network struct {
	Prefix netip.Prefix
	Name   string
}

// Options of a Logins. Only Issuer is required.
type Options struct {
	Issuer   string
	Networks []Network
	// Push brings a message to a phone. It is called after commit and must not
	// wait. Nil: nothing is pushed.
	Push func(push.Subscription, push.Message) bool
}

// pushed is what a push says: no name, no number.
type pushed struct {
	Request string `json:"request"`
	Service string `json:"service"`
	Seconds int    `json:"seconds,omitempty"`
	Over    bool   `json:"over,omitempty"` // answered elsewhere
}

// Logins asks, answers and redeems requests.
type Logins struct {
	db      *store.DB
	keys    *secrets.Secrets
	codeKey []byte
	nonces  browser.Nonces
	o       Options
	hub     *Hub
}

// New returns the requests of db.
func New(db *store.DB, keys *secrets.Secrets, o Options) *Logins {
	return &Logins{db: db, keys: keys, codeKey: keys.MAC("login code"), nonces: browser.NewNonces(keys.MAC("browser nonce")), o: o, hub: newHub(db)}
}

// Nonce returns a fresh nonce for a page about an authorization or a request.
func (l *Logins) Nonce(now time.Time, about string) string { return l.nonces.Fresh(now, about) }

// Nonces checks what Nonce made.
func (l *Logins) Nonces() browser.Nonces { return l.nonces }

const requestColumns = `id, authorization_id, service, service_name, professional, lane, state, asked, expires, extended, cookie, ephemeral,
	lasting, kind, cookied, agent, system, address, place, verdict, code_index, code_draw, code_at, claimed_by, claimed, way, answered, keep`

func scanRequest(row interface{ Scan(...any) error }) (Request, error) {
	var r Request
	var ephemeral, lasting string
	var asked, expires, codeAt, claimed, answered int64
	err := row.Scan(&r.ID, &r.Authorization, &r.Service, &r.ServiceName, &r.Professional, &r.Lane, &r.State, &asked, &expires, &r.Extended, &r.cookie, &ephemeral,
		&lasting, &r.Kind, &r.cookied, &r.Agent, &r.System, &r.Address, &r.Place, &r.Verdict, &r.codeIndex, &r.codeDraw, &codeAt, &r.ClaimedBy, &claimed, &r.Way, &answered, &r.Keep)
	if err != nil {
		return Request{}, err
	}
	r.Asked, r.Expires, r.codeAt = store.FromMillis(asked), store.FromMillis(expires), store.FromMillis(codeAt)
	r.Claimed, r.Answered = store.FromMillis(claimed), store.FromMillis(answered)
	for _, k := range []struct {
		text string
		key  *browser.Key
	}{{ephemeral, &r.Ephemeral}, {lasting, &r.Lasting}} {
		if k.text == "" {
			continue
		}
		if *k.key, err = browser.ParseKey(k.text); err != nil {
			return Request{}, fmt.Errorf("request %s: %w", r.ID, err)
		}
	}
	return r, nil
}

// Find returns the request with this id, or ErrUnknown.
func (l *Logins) Find(ctx context.Context, tx *store.Tx, id string) (Request, error) {
	r, err := scanRequest(tx.QueryRow(ctx, `SELECT `+requestColumns+` FROM requests WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Request{}, ErrUnknown
	}
	if err != nil {
		return Request{}, fmt.Errorf("reading request %s: %w", id, err)
	}
	return r, nil
}

// ByAuthorization returns the latest request of an authorization.
func (l *Logins) ByAuthorization(ctx context.Context, tx *store.Tx, authorization string) (Request, bool, error) {
	r, err := scanRequest(tx.QueryRow(ctx, `SELECT `+requestColumns+` FROM requests WHERE authorization_id = $1 ORDER BY CASE WHEN state = 'replaced' THEN 1 ELSE 0 END, asked DESC, id LIMIT 1`, authorization))
	if errors.Is(err, sql.ErrNoRows) {
		return Request{}, false, nil
	}
	if err != nil {
		return Request{}, false, fmt.Errorf("reading the request of an authorization: %w", err)
	}
	return r, true, nil
}

// move takes a live request from one state to another, once, and returns it as
// it is then: the second of two callers gets ErrAnswered, one who comes too late
// ErrExpired. It is the only writer of state. Expires is the end of the new
// state; keep is what the professional chose, "" for nothing.
func (l *Logins) move(ctx context.Context, tx *store.Tx, r Request, from, to State, expires time.Time, keep string) (Request, error) {
	now := store.Millis(tx.Now)
	if r.Answered.IsZero() {
		r.Answered = tx.Now
	}
	if keep != "" {
		r.Keep = keep
	}
	n, err := tx.Exec(ctx, `UPDATE requests SET state = $1, expires = $2, answered = $3, keep = $4, changed = $5 WHERE id = $6 AND state = $7 AND expires > $5`,
		string(to), store.Millis(expires), store.Millis(r.Answered), r.Keep, now, r.ID, string(from))
	if err != nil {
		return Request{}, fmt.Errorf("moving request %s to %s: %w", r.ID, to, err)
	}
	if n == 1 {
		r.State, r.Expires = to, expires
		l.changed(tx, r)
		return r, nil
	}
	current, err := l.Find(ctx, tx, r.ID)
	if err != nil {
		return Request{}, err
	}
	if current.State == from {
		return Request{}, ErrExpired
	}
	return Request{}, ErrAnswered
}

// changed wakes, after commit, the pages and phones of this node that wait.
func (l *Logins) changed(tx *store.Tx, r Request) {
	keys := []string{r.ID}
	if r.Lane == RingLane || r.ClaimedBy != "" {
		keys = append(keys, string(r.Professional)) // whom a stranger merely names is not woken
	}
	tx.OnCommit(func() { l.hub.tell(keys...) })
}
