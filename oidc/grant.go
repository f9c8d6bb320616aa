package oidc

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"vigie/audit"
	"vigie/session"
	"vigie/store"
)

// A grant is what a service was given by one sign-in: first a code, then access
// tokens and refresh tokens. It is worth something while its session is alive.
type grant struct {
	id          string
	service     string
	session     session.Session
	scope       string
	redirectURI string
	nonce       string
	challenge   string
	authTime    time.Time
	code        string // hash
	codeExpires time.Time
	taken       time.Time // when the code was redeemed
	generation  int       // of the refresh token that is good now; 0 before the code was redeemed
	rotated     time.Time // when that generation began
	ended       time.Time
}

// alive says whether the grant is worth something at now.
func (g grant) alive(now time.Time) bool { return g.ended.IsZero() && session.Alive(g.session, now) }

// graced says whether the refresh token before the current one still gets its
// successor: an answer may have been lost, or two threads of one service raced.
func (g grant) graced(generation int, now time.Time) bool {
	return generation == g.generation-1 && generation > 0 && now.Sub(g.rotated) <= RefreshGrace
}

// findGrant returns the grant with its session. Grants of disabled services are
// not found.
func findGrant(ctx context.Context, tx *store.Tx, where, arg string) (grant, bool, error) {
	var g grant
	var sid string
	var auth, codeExpires, taken, rotated, ended int64
	err := tx.QueryRow(ctx, `SELECT g.id, g.service, g.session, g.scope, g.redirect_uri, g.nonce, g.challenge, g.auth_time, g.code, g.code_expires,
			g.taken, g.generation, g.rotated, g.ended
		FROM oidc_grants g JOIN services s ON s.id = g.service WHERE s.disabled = 0 AND `+where, arg).
		Scan(&g.id, &g.service, &sid, &g.scope, &g.redirectURI, &g.nonce, &g.challenge, &auth, &g.code, &codeExpires, &taken, &g.generation, &rotated, &ended)
	if errors.Is(err, sql.ErrNoRows) {
		return grant{}, false, nil
	}
	if err != nil {
		return grant{}, false, fmt.Errorf("looking up a grant: %w", err)
	}
	g.authTime, g.codeExpires, g.taken = store.FromMillis(auth), store.FromMillis(codeExpires), store.FromMillis(taken)
	g.rotated, g.ended = store.FromMillis(rotated), store.FromMillis(ended)
	s, ok, err := session.Find(ctx, tx, sid)
	if err != nil || !ok {
		return grant{}, false, err
	}
	g.session = s
	return g, true, nil
}

// library is g as go-oidc knows it. Whether the code was used, and whether
// anything has expired, is ours to say, and later: first it must be clear that
// the request is good in every other way.
func (g grant) library(p *Provider) *goidc.Grant {
	lib := &goidc.Grant{ID: g.id, ClientID: g.service, Subject: p.sub(string(g.session.Professional)), Username: string(g.session.Professional),
		Scopes: g.scope, AuthCodeExpiresAt: far,
		AuthParams: goidc.AuthorizationParameters{RedirectURI: g.redirectURI, Nonce: g.nonce, CodeChallenge: g.challenge}}
	if g.challenge != "" {
		lib.AuthParams.CodeChallengeMethod = goidc.CodeChallengeMethodSHA256
	}
	return lib
}

// GrantByAuthCode finds the grant whose code is presented, also one that was
// redeemed before.
func (*manager) GrantByAuthCode(ctx context.Context, code string) (*goidc.Grant, error) {
	c := of(ctx)
	return c.lookUp(ctx, redeem, `g.code = $1`, hash(code), func(g grant) bool {
		return !g.taken.IsZero() || c.now.Before(g.codeExpires)
	})
}

// GrantByRefreshToken finds the grant of a refresh token, be it the current
// one, its predecessor or an older one. Introspection and revocation have found
// the token's grant themselves, or none.
func (m *manager) GrantByRefreshToken(ctx context.Context, token string) (*goidc.Grant, error) {
	c := of(ctx)
	switch c.door {
	case introspectPath:
		return nil, goidc.ErrNotFound
	case revokePath:
		if c.grant == nil {
			return nil, goidc.ErrNotFound
		}
		return c.grant.library(m.p), nil
	}
	id, generation, ok := m.p.parseRefresh(token)
	if !ok {
		return nil, goidc.ErrNotFound
	}
	c.presents = generation
	return c.lookUp(ctx, rotate, `g.id = $1`, id, func(g grant) bool {
		return generation < g.generation || generation == g.generation && c.now.Before(g.rotated.Add(RefreshLife))
	})
}

func (c *call) lookUp(ctx context.Context, d deed, where, arg string, good func(grant) bool) (*goidc.Grant, error) {
	err := c.read(ctx, func(tx *store.Tx) error {
		c.now = tx.Now
		g, ok, err := findGrant(ctx, tx, where, arg)
		if err == nil && (!ok || !g.alive(tx.Now) || !good(g)) {
			err = goidc.ErrNotFound
		}
		c.grant = &g
		return err
	})
	if err != nil {
		c.grant = nil
		return nil, err
	}
	c.deed = d
	return c.grant.library(c.p), nil
}

// SaveGrant is called by go-oidc in four places, and the call knows which: to
// write a new grant, to take a code, to rotate a refresh token, and to revoke.
// What the token endpoint does is only checked here and written by settle.
func (*manager) SaveGrant(ctx context.Context, lib *goidc.Grant) error {
	c := of(ctx)
	switch {
	case c.signed != nil:
		return c.write(ctx, func(tx *store.Tx) error { return c.insertGrant(ctx, tx, lib) })
	case c.door == revokePath:
		return c.write(ctx, func(tx *store.Tx) error {
			return endGrant(ctx, tx, *c.grant, "revoked by the service", "service:"+c.grant.service)
		})
	case lib.RevokedAt != 0:
		// go-oidc revokes after any failed redemption. A stranger who presents a
		// code must not be able to end what its service holds.
		return nil
	case c.deed == redeem && c.grant.taken.IsZero():
		lib.RefreshToken = c.p.refreshToken(c.grant.id, 1)
		return nil
	case c.deed == rotate && (c.presents == c.grant.generation || c.grant.graced(c.presents, c.now)):
		return nil
	}
	c.deed = replayed
	return goidc.NewError(goidc.ErrorCodeInvalidGrant, invalidGrant.Description)
}

// insertGrant writes the grant of a sign-in. While its code is untaken, the same
// authorization gets another code, and the first is dead.
func (c *call) insertGrant(ctx context.Context, tx *store.Tx, lib *goidc.Grant) error {
	now, a := store.Millis(tx.Now), c.asked
	n, err := tx.Exec(ctx, `INSERT INTO oidc_grants (id, authorization_id, service, session, scope, redirect_uri, nonce, challenge, auth_time, created,
			code, code_expires, taken, generation, rotated, ended)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 0, 0, 0)
		ON CONFLICT (authorization_id) DO UPDATE SET session = excluded.session, auth_time = excluded.auth_time, code = excluded.code,
			code_expires = excluded.code_expires WHERE oidc_grants.taken = 0`,
		lib.ID, a.ID, a.Service, c.signed.ID, a.scope, a.RedirectURI, a.nonce, a.challenge, store.Millis(c.signed.AuthTime), now,
		hash(lib.AuthCode), store.Millis(tx.Now.Add(CodeLife)))
	if err != nil {
		return fmt.Errorf("writing a grant: %w", err)
	}
	if n == 0 {
		return ErrTaken
	}
	return nil
}

// settle writes the deed of a token request that is good in every way that
// could be seen before, and says whether it still is.
func (c *call) settle(ctx context.Context, tx *store.Tx) (bool, error) {
	g, now := c.grant, store.Millis(tx.Now)
	var n int64
	var err error
	switch c.deed {
	case redeem:
		n, err = tx.Exec(ctx, `UPDATE oidc_grants SET taken = $1, generation = 1, rotated = $1 WHERE id = $2 AND code = $3 AND taken = 0 AND ended = 0`,
			now, g.id, g.code)
	case rotate:
		n, err = tx.Exec(ctx, `UPDATE oidc_grants SET generation = $1, rotated = $2 WHERE id = $3 AND generation = $4 AND ended = 0`,
			c.presents+1, now, g.id, c.presents)
	}
	if err != nil {
		return false, fmt.Errorf("settling a token request: %w", err)
	}
	if n == 0 {
		return c.late(ctx, tx)
	}
	s, ok, err := session.Find(ctx, tx, g.session.ID)
	switch {
	case err != nil || !ok || !session.Alive(s, tx.Now):
		return false, err // what was just written is worth nothing
	case c.deed == redeem:
		return true, session.Join(ctx, tx, s, g.service)
	}
	return true, session.Use(ctx, tx, s)
}

// late judges a code or refresh token that was not there to be taken: another
// request was quicker, or it was used long ago.
func (c *call) late(ctx context.Context, tx *store.Tx) (bool, error) {
	g, ok, err := findGrant(ctx, tx, `g.id = $1`, c.grant.id)
	switch {
	case err != nil || !ok || !g.alive(tx.Now):
		return false, err
	case c.presents > 0 && g.graced(c.presents, tx.Now):
		return true, nil
	case c.presents == 0 && g.taken.IsZero():
		return false, nil // the browser came again meanwhile, and the code was replaced
	}
	return false, endGrant(ctx, tx, g, "presented twice", "system")
}

// endGrant ends what a service holds of a session, and leaves the session.
func endGrant(ctx context.Context, tx *store.Tx, g grant, why, actor string) error {
	n, err := tx.Exec(ctx, `UPDATE oidc_grants SET ended = $1 WHERE id = $2 AND ended = 0`, store.Millis(tx.Now), g.id)
	if err != nil {
		return fmt.Errorf("ending a grant: %w", err)
	}
	if n == 0 {
		return nil
	}
	return audit.Record(ctx, tx, audit.Event{Kind: audit.GrantEnded, Actor: actor, Professional: string(g.session.Professional),
		Session: g.session.ID, Service: g.service, Detail: map[string]string{"why": why}})
}

// refreshToken is the refresh token of a generation of a grant. It is computed,
// never stored: whoever reads the database has none. The id finds the row, the
// MAC opens it.
func (p *Provider) refreshToken(grantID string, generation int) string {
	head := grantID + "-" + strconv.Itoa(generation)
	mac := hmac.New(sha256.New, p.refreshKey)
	mac.Write([]byte(head))
	return head + "-" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// parseRefresh reads a refresh token of ours.
func (p *Provider) parseRefresh(token string) (grantID string, generation int, ok bool) {
	parts := strings.SplitN(token, "-", 3)
	if len(parts) != 3 {
		return "", 0, false
	}
	generation, err := strconv.Atoi(parts[1])
	if err != nil || !equal(token, p.refreshToken(parts[0], generation)) {
		return "", 0, false
	}
	return parts[0], generation, true
}

// successor is the refresh token that follows the presented one. For a new grant
// go-oidc asks for one too; the first is made when the code is redeemed.
func (c *call) successor() string {
	if c.deed != rotate {
		return ""
	}
	return c.p.refreshToken(c.grant.id, c.presents+1)
}

func newCode(context.Context) string { return rand.Text() }
