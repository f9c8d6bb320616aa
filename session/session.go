// Package session knows who is signed in where, which services joined, and how
// it ends.
//
// A session is a professional's connection at the portal. Services join it:
// whatever a service holds (access token, refresh token) is worth something
// only while its session is alive, so ending a session ends all of them in the
// same transaction, without touching a row of theirs.
package session

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"vigie/audit"
	"vigie/directory"
	"vigie/store"
)

// Kind says on whose browser a session lives.
type Kind string

// The kinds of sessions.
const (
	Mine   Kind = "mine"   // a browser kept as personal
	Shared Kind = "shared" // a browser kept as a shared post
	None   Kind = "none"   // a browser that was not kept
)

// Means are what a professional signed in with, spelled as the claim authMode.
type Means string

// The means.
const (
	Mobile Means = "MOBILE"
	Card   Means = "CARD"
)

// How long sessions live.
const (
	Life        = 4 * time.Hour       // from opening, whatever happens
	IdleMine    = 30 * time.Minute    // without use
	IdleShared  = 15 * time.Minute    // the same for shared and none
	Provisional = 10 * time.Minute    // after a sign-in by the silent lane
	kept        = 30 * 24 * time.Hour // how long a row stays, for undo and history
)

// ErrEnded says that a session is not alive.
var ErrEnded = errors.New("the session has ended")

// Session is one professional's connection on one browser.
type Session struct {
	ID               string // also "sid" and "session_state" on the wire; public
	Professional     directory.ID
	Kind             Kind
	Means            Means
	Opened           time.Time
	AuthTime         time.Time // the latest approval
	LastSeen         time.Time // the browser's last visit at the portal
	Used             time.Time // the last use, by the browser or by a service that refreshes its tokens
	ProvisionalUntil time.Time // zero when the session was opened by a proven browser
	FirstService     string    // the service that the latest approval was for
	Browser          string    // thumbprint of the lasting key, "" without
	Request          string    // of the latest approval
	Phone            string    // that approved
	Agent            string
	Address          string
	Ended            time.Time // zero while nobody ended it; may lie ahead (EndAllLater); Alive also knows the clock
	EndedWhy         string

	// Secret opens the session at the portal. Only Open and Renew know it.
	Secret string
}

// LogValue hides who it is and what opens it.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.ID) }

// Idle is how long the session lives without use.
func (s Session) Idle() time.Duration {
	if s.Kind == Mine {
		return IdleMine
	}
	return IdleShared
}

// Ends is the instant at which s is over unless it is used before, and at the
// latest whatever happens.
func (s Session) Ends() (unused, latest time.Time) {
	latest = s.Opened.Add(Life)
	if unused = s.Used.Add(s.Idle()); unused.After(latest) {
		unused = latest
	}
	return unused, latest
}

// Alive says whether s lives at now: nobody ended it, it was used within its
// idle time, and it is not older than Life.
func Alive(s Session, now time.Time) bool {
	unused, _ := s.Ends()
	return s.ID != "" && (s.Ended.IsZero() || now.Before(s.Ended)) && now.Before(unused)
}

// opens says whether the cookie of s still opens it at now. On a browser that
// is not personal, services that refresh their tokens keep their own access,
// but do not keep the portal open for whoever sits down next.
func (s Session) opens(now time.Time) bool {
	return Alive(s, now) && (s.Kind == Mine || now.Before(s.LastSeen.Add(IdleShared)))
}

// New describes a session to open. Professional, Kind, Means and Service are
// required.
type New struct {
	Professional directory.ID
	Kind         Kind
	Means        Means
	Provisional  bool   // approved in the silent lane
	Service      string // that asked
	Browser      string // thumbprint of the lasting key, "" without
	Request      string
	Phone        string
	Agent        string
	Address      string
	Cookie       string // the session secret that the browser presents, "" without
}

// Open opens a session after an approval, and returns it with the secret of its
// cookie. A session of another professional on the same cookie ends. One of the
// same professional goes on: it keeps its id, its age and the services that
// joined, takes everything else from n, and gets a new secret.
func Open(ctx context.Context, tx *store.Tx, n New) (Session, string, error) {
	if n.Kind != Mine && n.Kind != Shared && n.Kind != None {
		return Session{}, "", fmt.Errorf("opening a session of kind %q", n.Kind)
	}
	if n.Means != Mobile && n.Means != Card {
		return Session{}, "", fmt.Errorf("opening a session by %q", n.Means)
	}
	old, ok, err := find(ctx, tx, `secret = $1`, hash(n.Cookie))
	if err != nil {
		return Session{}, "", err
	}
	again := ok && Alive(old, tx.Now) && old.Professional == n.Professional
	if ok && !again {
		if _, err := End(ctx, tx, old.ID, "another sign-in on this browser", "professional"); err != nil {
			return Session{}, "", err
		}
	}
	s := Session{ID: rand.Text(), Professional: n.Professional, Kind: n.Kind, Means: n.Means, Opened: tx.Now, AuthTime: tx.Now,
		LastSeen: tx.Now, Used: tx.Now, FirstService: n.Service, Browser: n.Browser, Request: n.Request, Phone: n.Phone,
		Agent: n.Agent, Address: n.Address, Secret: rand.Text()}
	if n.Provisional {
		s.ProvisionalUntil = tx.Now.Add(Provisional)
	}
	if again {
		s.ID, s.Opened = old.ID, old.Opened
	}
	_, err = tx.Exec(ctx, `INSERT INTO sessions (id, secret, professional, kind, means, opened, auth_time, seen, used, provisional, first_service,
			browser, request, phone, agent, address, ended, ended_why)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $7, $8, $9, $10, $11, $12, $13, $14, 0, '')
		ON CONFLICT (id) DO UPDATE SET secret = excluded.secret, kind = excluded.kind, means = excluded.means, auth_time = excluded.auth_time,
			seen = excluded.seen, used = excluded.used, provisional = excluded.provisional, first_service = excluded.first_service,
			browser = excluded.browser, request = excluded.request, phone = excluded.phone, agent = excluded.agent, address = excluded.address`,
		s.ID, hash(s.Secret), string(s.Professional), string(s.Kind), string(s.Means), store.Millis(s.Opened), store.Millis(tx.Now),
		store.Millis(s.ProvisionalUntil), s.FirstService, s.Browser, s.Request, s.Phone, s.Agent, s.Address)
	if err != nil {
		return Session{}, "", fmt.Errorf("opening a session: %w", err)
	}
	detail := map[string]string{"kind": string(s.Kind), "means": string(s.Means)}
	if again {
		detail["again"] = "yes"
	}
	err = audit.Record(ctx, tx, audit.Event{Kind: audit.SessionOpened, Actor: "professional", Professional: string(s.Professional),
		Phone: s.Phone, Request: s.Request, Session: s.ID, Service: s.FirstService, Browser: s.Browser, Address: s.Address, Agent: s.Agent, Detail: detail})
	return s, s.Secret, err
}

// Renew gives the session a new secret, for a browser that proved itself again
// because the answer that carried the old one may have been lost. The old
// secret opens nothing any more. It answers ErrEnded when the session is over.
func Renew(ctx context.Context, tx *store.Tx, id string) (Session, string, error) {
	s, ok, err := Find(ctx, tx, id)
	if err != nil {
		return Session{}, "", err
	}
	if !ok || !Alive(s, tx.Now) {
		return Session{}, "", ErrEnded
	}
	s.Secret = rand.Text()
	if _, err := tx.Exec(ctx, `UPDATE sessions SET secret = $1 WHERE id = $2`, hash(s.Secret), id); err != nil {
		return Session{}, "", fmt.Errorf("renewing the secret of session %s: %w", id, err)
	}
	return s, s.Secret, nil
}

const columns = `id, professional, kind, means, opened, auth_time, seen, used, provisional, first_service, browser, request, phone, agent, address, ended, ended_why`

func scan(row interface{ Scan(...any) error }) (Session, error) {
	var s Session
	var opened, auth, seen, used, provisional, ended int64
	err := row.Scan(&s.ID, &s.Professional, &s.Kind, &s.Means, &opened, &auth, &seen, &used, &provisional, &s.FirstService,
		&s.Browser, &s.Request, &s.Phone, &s.Agent, &s.Address, &ended, &s.EndedWhy)
	s.Opened, s.AuthTime, s.LastSeen, s.Used = store.FromMillis(opened), store.FromMillis(auth), store.FromMillis(seen), store.FromMillis(used)
	s.ProvisionalUntil, s.Ended = store.FromMillis(provisional), store.FromMillis(ended)
	return s, err
}

func find(ctx context.Context, tx *store.Tx, where, arg string) (Session, bool, error) {
	s, err := scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM sessions WHERE `+where, arg))
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, false, nil
	}
	if err != nil {
		return Session{}, false, fmt.Errorf("looking up a session: %w", err)
	}
	return s, true, nil
}

// Find returns the session with this id, alive or not.
func Find(ctx context.Context, tx *store.Tx, id string) (Session, bool, error) {
	return find(ctx, tx, `id = $1`, id)
}

// Current returns the session that a browser with this cookie secret may go on
// with at tx.Now.
func Current(ctx context.Context, tx *store.Tx, secret string) (Session, bool, error) {
	if secret == "" {
		return Session{}, false, nil
	}
	s, ok, err := find(ctx, tx, `secret = $1`, hash(secret))
	if err != nil || !ok || !s.opens(tx.Now) {
		return Session{}, false, err
	}
	return s, true, nil
}

// Held returns the session with this cookie secret that is alive, be the portal
// open for it or not: what "end everything on this post" ends.
func Held(ctx context.Context, tx *store.Tx, secret string) (Session, bool, error) {
	if secret == "" {
		return Session{}, false, nil
	}
	s, ok, err := find(ctx, tx, `secret = $1`, hash(secret))
	if err != nil || !ok || !Alive(s, tx.Now) {
		return Session{}, false, err
	}
	return s, true, nil
}

// Of returns the sessions of professional that are alive, latest first.
func Of(ctx context.Context, tx *store.Tx, professional directory.ID) ([]Session, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM sessions WHERE professional = $1 AND opened > $2 AND (ended = 0 OR ended > $3) ORDER BY opened DESC, id`,
		string(professional), store.Millis(tx.Now.Add(-Life)), store.Millis(tx.Now))
	if err != nil {
		return nil, fmt.Errorf("listing sessions: %w", err)
	}
	defer rows.Close()
	var all []Session
	for rows.Next() {
		s, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("listing sessions: %w", err)
		}
		if Alive(s, tx.Now) {
			all = append(all, s)
		}
	}
	return all, rows.Err()
}

// Touch notes that the browser of s is at the portal. It answers ErrEnded when
// s is not alive: nothing brings a session back.
func Touch(ctx context.Context, tx *store.Tx, s Session) error {
	return touch(ctx, tx, s, `UPDATE sessions SET seen = $1, used = $1 WHERE id = $2 AND (ended = 0 OR ended > $1)`)
}

// Use notes that a service uses s, as when it refreshes its tokens. It answers
// ErrEnded when s is not alive.
func Use(ctx context.Context, tx *store.Tx, s Session) error {
	return touch(ctx, tx, s, `UPDATE sessions SET used = $1 WHERE id = $2 AND (ended = 0 OR ended > $1)`)
}

func touch(ctx context.Context, tx *store.Tx, s Session, statement string) error {
	if !Alive(s, tx.Now) {
		return ErrEnded
	}
	n, err := tx.Exec(ctx, statement, store.Millis(tx.Now), s.ID)
	if err != nil {
		return fmt.Errorf("noting the use of session %s: %w", s.ID, err)
	}
	if n == 0 {
		return ErrEnded
	}
	return nil
}

// Holders returns who has a session that nobody ended, each once. Some of these
// sessions may be over by the clock.
func Holders(ctx context.Context, tx *store.Tx) ([]directory.ID, error) {
	rows, err := tx.Query(ctx, `SELECT DISTINCT professional FROM sessions WHERE opened > $1 AND ended = 0`, store.Millis(tx.Now.Add(-Life)))
	if err != nil {
		return nil, fmt.Errorf("listing who is signed in: %w", err)
	}
	defer rows.Close()
	var all []directory.ID
	for rows.Next() {
		var id directory.ID
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("listing who is signed in: %w", err)
		}
		all = append(all, id)
	}
	return all, rows.Err()
}

// Joined is a service in a session.
type Joined struct {
	Service string
	At      time.Time
}

// Join notes that service takes part in the session, because it redeemed what
// it was given. Joining again changes nothing.
func Join(ctx context.Context, tx *store.Tx, s Session, service string) error {
	n, err := tx.Exec(ctx, `INSERT INTO sessions_services (session, service, joined) VALUES ($1, $2, $3) ON CONFLICT (session, service) DO NOTHING`,
		s.ID, service, store.Millis(tx.Now))
	if err != nil {
		return fmt.Errorf("joining session %s: %w", s.ID, err)
	}
	if n == 0 {
		return nil
	}
	return audit.Record(ctx, tx, audit.Event{Kind: audit.SessionJoined, Actor: "service:" + service, Professional: string(s.Professional),
		Session: s.ID, Service: service})
}

// Services returns who joined the session, first come first.
func Services(ctx context.Context, tx *store.Tx, id string) ([]Joined, error) {
	rows, err := tx.Query(ctx, `SELECT service, joined FROM sessions_services WHERE session = $1 ORDER BY joined, service`, id)
	if err != nil {
		return nil, fmt.Errorf("listing the services of session %s: %w", id, err)
	}
	defer rows.Close()
	var all []Joined
	for rows.Next() {
		var j Joined
		var at int64
		if err := rows.Scan(&j.Service, &at); err != nil {
			return nil, fmt.Errorf("listing the services of session %s: %w", id, err)
		}
		j.At = store.FromMillis(at)
		all = append(all, j)
	}
	return all, rows.Err()
}

// Joins says whether service joined the session.
func Joins(ctx context.Context, tx *store.Tx, id, service string) (bool, error) {
	var n int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM sessions_services WHERE session = $1 AND service = $2`, id, service).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("looking up a service of session %s: %w", id, err)
	}
	return n > 0, nil
}

// End ends the session; it says whether it was alive until now. With the
// session ends everything that services hold of it, in this transaction. Actor
// is as in audit.Event.
func End(ctx context.Context, tx *store.Tx, id, why, actor string) (bool, error) {
	s, ok, err := Find(ctx, tx, id)
	if err != nil || !ok || !Alive(s, tx.Now) {
		return false, err
	}
	return true, end(ctx, tx, s, why, actor)
}

func end(ctx context.Context, tx *store.Tx, s Session, why, actor string) error {
	_, err := tx.Exec(ctx, `UPDATE sessions SET ended = $1, ended_why = $2 WHERE id = $3 AND (ended = 0 OR ended > $1)`, store.Millis(tx.Now), why, s.ID)
	if err != nil {
		return fmt.Errorf("ending session %s: %w", s.ID, err)
	}
	return audit.Record(ctx, tx, audit.Event{Kind: audit.SessionEnded, Actor: actor, Professional: string(s.Professional), Session: s.ID,
		Service: s.FirstService, Browser: s.Browser, Detail: map[string]string{"why": why}})
}

// EndAllOf ends all sessions of professional and says how many were alive.
func EndAllOf(ctx context.Context, tx *store.Tx, professional directory.ID, why, actor string) (int, error) {
	all, err := Of(ctx, tx, professional)
	if err != nil {
		return 0, err
	}
	for _, s := range all {
		if err := end(ctx, tx, s, why, actor); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

// EndAllLater lets the sessions of professional go on until at, and no longer.
// It says how many are alive. Nothing brings them beyond it.
func EndAllLater(ctx context.Context, tx *store.Tx, professional directory.ID, at time.Time, why string) (int, error) {
	all, err := Of(ctx, tx, professional)
	if err != nil {
		return 0, err
	}
	for _, s := range all {
		_, err := tx.Exec(ctx, `UPDATE sessions SET ended = $1, ended_why = $2 WHERE id = $3 AND (ended = 0 OR ended > $1)`, store.Millis(at), why, s.ID)
		if err != nil {
			return 0, fmt.Errorf("limiting session %s: %w", s.ID, err)
		}
	}
	return len(all), nil
}

const batch = 500 // rows of one transaction

// Clean deletes the rows of sessions that were opened 30 days ago, in small
// transactions between which sign-ins go on, until nothing is left to delete.
func Clean(ctx context.Context, db *store.DB) error {
	for more := true; more; {
		err := db.Write(ctx, func(tx *store.Tx) error {
			const old = `SELECT id FROM sessions WHERE opened < $1 ORDER BY opened, id LIMIT $2`
			before := store.Millis(tx.Now.Add(-kept))
			if _, err := tx.Exec(ctx, `DELETE FROM sessions_services WHERE session IN (`+old+`)`, before, batch); err != nil {
				return err
			}
			n, err := tx.Exec(ctx, `DELETE FROM sessions WHERE id IN (`+old+`)`, before, batch)
			more = n == batch
			return err
		})
		if err != nil {
			return fmt.Errorf("cleaning sessions: %w", err)
		}
	}
	return nil
}
