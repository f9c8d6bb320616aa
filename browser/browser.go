// Package browser knows the browsers that a professional has accepted, and how
// they prove it.
//
// A browser holds up to three things: a cookie secret (one per browser, never
// stored here), a key made for one request, and, once a professional kept it,
// a lasting key. Only the lasting key can ask for a ring.
package browser

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"vigie/audit"
	"vigie/directory"
	"vigie/store"
)

// Kind says whose browser it is.
type Kind string

// The two ways of keeping a browser.
const (
	Mine   Kind = "mine"   // a personal browser: ends after MineIdle without use
	Shared Kind = "shared" // a shared post: ends SharedLife after it was kept
)

// How long a browser stays kept.
const (
	MineIdle   = 90 * 24 * time.Hour
	SharedLife = 12 * time.Hour
)

// Kept is a browser that is proven for one professional.
type Kept struct {
	Thumbprint   string
	Professional directory.ID
	Kind         Kind
	Key          Key
	Agent        string // "Firefox"
	System       string // "Windows"
	Since        time.Time
	LastUse      time.Time
	dropped      bool
}

// Ends is the instant at which k stops being kept unless it is used before.
func (k Kept) Ends() time.Time {
	if k.Kind == Shared {
		return k.Since.Add(SharedLife)
	}
	return k.LastUse.Add(MineIdle)
}

const keptColumns = `k.browser, k.professional, k.kind, b.jwk, b.agent, b.system, k.since, k.last_use, k.dropped
	FROM browsers_kept k JOIN browsers b ON b.thumbprint = k.browser`

func scanKept(row interface{ Scan(...any) error }) (Kept, error) {
	var k Kept
	var jwk string
	var since, lastUse, dropped int64
	if err := row.Scan(&k.Thumbprint, &k.Professional, &k.Kind, &jwk, &k.Agent, &k.System, &since, &lastUse, &dropped); err != nil {
		return Kept{}, err
	}
	key, err := ParseKey(jwk)
	if err != nil {
		return Kept{}, fmt.Errorf("browser %s: %w", k.Thumbprint, err)
	}
	k.Key, k.Since, k.LastUse, k.dropped = key, store.FromMillis(since), store.FromMillis(lastUse), dropped != 0
	return k, nil
}

// FindKept returns the browser with this lasting key if professional keeps it
// at tx.Now.
func FindKept(ctx context.Context, tx *store.Tx, thumbprint string, professional directory.ID) (Kept, bool, error) {
	k, err := scanKept(tx.QueryRow(ctx, `SELECT `+keptColumns+` WHERE k.browser = $1 AND k.professional = $2`, thumbprint, string(professional)))
	if errors.Is(err, sql.ErrNoRows) {
		return Kept{}, false, nil
	}
	if err != nil {
		return Kept{}, false, fmt.Errorf("looking up a kept browser: %w", err)
	}
	return k, !k.dropped && tx.Now.Before(k.Ends()), nil
}

// Remembered returns the professionals who keep the browser that holds this
// cookie secret, latest first. The cookie alone shows names; it opens nothing.
func Remembered(ctx context.Context, tx *store.Tx, cookieSecret string) ([]Kept, error) {
	if cookieSecret == "" {
		return nil, nil
	}
	return list(ctx, tx, `WHERE b.cookie = $1 AND k.dropped = 0 ORDER BY k.last_use DESC, k.professional`, hash(cookieSecret))
}

// Of returns the browsers that professional keeps, latest first.
func Of(ctx context.Context, tx *store.Tx, professional directory.ID) ([]Kept, error) {
	return list(ctx, tx, `WHERE k.professional = $1 AND k.dropped = 0 ORDER BY k.last_use DESC, k.browser`, string(professional))
}

func list(ctx context.Context, tx *store.Tx, where string, arg any) ([]Kept, error) {
	rows, err := tx.Query(ctx, `SELECT `+keptColumns+` `+where, arg)
	if err != nil {
		return nil, fmt.Errorf("listing kept browsers: %w", err)
	}
	defer rows.Close()
	var kept []Kept
	for rows.Next() {
		k, err := scanKept(rows)
		if err != nil {
			return nil, fmt.Errorf("listing kept browsers: %w", err)
		}
		if tx.Now.Before(k.Ends()) {
			kept = append(kept, k)
		}
	}
	return kept, rows.Err()
}

// Keep registers the lasting key for professional. CookieSecret is the cookie
// of the browser that holds it, agent and system what it called itself.
// Keeping again, also under another kind, starts anew.
func Keep(ctx context.Context, tx *store.Tx, key Key, professional directory.ID, kind Kind, cookie Cookied, agent, system string) error {
	if kind != Mine && kind != Shared {
		return fmt.Errorf("keeping a browser as %q: mine or shared", kind)
	}
	now := store.Millis(tx.Now)
	_, err := tx.Exec(ctx, `INSERT INTO browsers (thumbprint, jwk, cookie, agent, system, created) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (thumbprint) DO UPDATE SET cookie = excluded.cookie, agent = excluded.agent, system = excluded.system`,
		key.Thumbprint(), key.JWK(), string(cookie), agent, system, now)
	if err != nil {
		return fmt.Errorf("keeping a browser: %w", err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO browsers_kept (browser, professional, kind, since, last_use, dropped) VALUES ($1, $2, $3, $4, $4, 0)
		ON CONFLICT (browser, professional) DO UPDATE SET kind = excluded.kind, since = excluded.since, last_use = excluded.last_use, dropped = 0`,
		key.Thumbprint(), string(professional), string(kind), now)
	if err != nil {
		return fmt.Errorf("keeping a browser: %w", err)
	}
	return audit.Record(ctx, tx, audit.Event{Kind: audit.BrowserKept, Actor: "professional", Professional: string(professional),
		Browser: key.Thumbprint(), Agent: agent + " " + system, Detail: map[string]string{"kind": string(kind)}})
}

// Used notes that the browser served its professional at tx.Now.
func Used(ctx context.Context, tx *store.Tx, thumbprint string, professional directory.ID) error {
	_, err := tx.Exec(ctx, `UPDATE browsers_kept SET last_use = $1 WHERE browser = $2 AND professional = $3 AND dropped = 0`,
		store.Millis(tx.Now), thumbprint, string(professional))
	if err != nil {
		return fmt.Errorf("noting the use of a browser: %w", err)
	}
	return nil
}

// Drop takes from the browser what it was for professional; it says whether
// there was anything to take. Why is recorded.
func Drop(ctx context.Context, tx *store.Tx, thumbprint string, professional directory.ID, why string) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE browsers_kept SET dropped = $1 WHERE browser = $2 AND professional = $3 AND dropped = 0`,
		store.Millis(tx.Now), thumbprint, string(professional))
	if err != nil {
		return false, fmt.Errorf("dropping a browser: %w", err)
	}
	if n == 0 {
		return false, nil
	}
	return true, audit.Record(ctx, tx, audit.Event{Kind: audit.BrowserDropped, Actor: "professional", Professional: string(professional),
		Browser: thumbprint, Detail: map[string]string{"why": why}})
}
