package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"vigie/store"
)

// tokens is the answer of the token endpoint, in Keycloak's spelling.
type tokens struct {
	Access           string `json:"access_token"`
	ExpiresIn        int64  `json:"expires_in"`
	RefreshExpiresIn int64  `json:"refresh_expires_in"`
	Refresh          string `json:"refresh_token"`
	Type             string `json:"token_type"`
	ID               string `json:"id_token"`
	NotBefore        int64  `json:"not-before-policy"`
	SessionState     string `json:"session_state"`
	Scope            string `json:"scope"`
}

// token is the token endpoint. go-oidc checks the request and has the tokens
// signed; only then one transaction takes the code or rotates the refresh token,
// and the answer leaves if that went well. So a request that fails for whatever
// reason changes nothing, and of many at once exactly one takes the code.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if !p.form(w, r) {
		return
	}
	c := &call{door: tokenPath}
	b := p.run(below(r), c)
	switch {
	case c.failed != nil || b.status >= http.StatusInternalServerError:
		p.relay(w, r, c, b)
		return
	case b.status != http.StatusOK && c.deed != replayed:
		e := b.refusal()
		if c.deed == redeem && !c.grant.taken.IsZero() {
			e = invalidGrant // whatever else is wrong with it
		}
		refuseCall(w, r, e)
		return
	}
	good := false
	if err := p.db.Write(r.Context(), func(tx *store.Tx) (err error) {
		good, err = c.settle(r.Context(), tx)
		return err
	}); err != nil {
		p.unavailable(w, r, err)
		return
	}
	if !good {
		refuseCall(w, r, invalidGrant)
		return
	}
	var t tokens
	if err := json.Unmarshal(b.body.Bytes(), &t); err != nil {
		p.unavailable(w, r, fmt.Errorf("reading the answer of go-oidc: %w", err))
		return
	}
	_, t.ExpiresIn = c.until(AccessLife)
	_, t.RefreshExpiresIn = c.until(RefreshLife)
	t.SessionState = c.grant.session.ID
	answer(w, http.StatusOK, t)
}

// until is when something that lives for life from now on is over, and in how
// many seconds: nothing outlives its session.
func (c *call) until(life time.Duration) (time.Time, int64) {
	end := c.now.Add(life)
	if _, latest := c.grant.session.Ends(); latest.Before(end) {
		end = latest
	}
	return end, int64(end.Sub(c.now) / time.Second)
}

// accessClaims are what an access token says.
type accessClaims struct {
	Expires      int64  `json:"exp"`
	IssuedAt     int64  `json:"iat"`
	AuthTime     int64  `json:"auth_time"`
	ID           string `json:"jti"` // begins with the id of the grant
	Issuer       string `json:"iss"`
	Subject      string `json:"sub"`
	Type         string `json:"typ"`
	Service      string `json:"azp"`
	SessionState string `json:"session_state"`
	ACR          string `json:"acr"`
	Scope        string `json:"scope"`
	Session      string `json:"sid"`
	AuthMode     string `json:"authMode"`
	Username     string `json:"preferred_username"`
}

const (
	typeBearer  = "Bearer"
	typeID      = "ID"
	typeRefresh = "Refresh"
)

// issue makes the access token. To go-oidc it is an opaque string, so that it
// looks as with Pro Santé Connect down to its header.
func (c *call) issue(ctx context.Context) string {
	if c.grant == nil {
		return ""
	}
	g := c.grant
	ends, _ := c.until(AccessLife)
	token, err := c.p.sign(ctx, accessClaims{
		Expires: ends.Unix(), IssuedAt: c.now.Unix(), AuthTime: g.authTime.Unix(), ID: g.id + "." + rand.Text(), Issuer: c.p.o.Issuer,
		Subject: c.p.sub(string(g.session.Professional)), Type: typeBearer, Service: g.service, SessionState: g.session.ID, ACR: acr,
		Scope: g.scope, Session: g.session.ID, AuthMode: string(g.session.Means), Username: string(g.session.Professional),
	})
	if err != nil {
		c.trouble(fmt.Errorf("signing an access token: %w", err))
	}
	c.access = token
	return token
}

// idTokenClaims are what an ID token says beside iss, sub, aud and nonce, which
// go-oidc writes. Times are by the database's clock.
func (p *Provider) idTokenClaims(c *call) map[string]any {
	if c == nil || c.grant == nil {
		return nil
	}
	g := c.grant
	ends, _ := c.until(AccessLife)
	half := sha256.Sum256([]byte(c.access))
	return map[string]any{
		"exp": ends.Unix(), "iat": c.now.Unix(), "auth_time": g.authTime.Unix(), "jti": rand.Text(), "typ": typeID, "azp": g.service,
		"session_state": g.session.ID, "sid": g.session.ID, "acr": acr, "amr": amr(g.session.Means),
		"at_hash":            base64.RawURLEncoding.EncodeToString(half[:16]),
		"preferred_username": string(g.session.Professional),
	}
}

// A hint is what an ID token of ours says about a sign-in, whenever it was.
type hint struct {
	Service      string
	Session      string
	Professional string
}

// readHint reads an id_token_hint. An expired one is as good: it only says who
// was meant (OpenID Connect Core §3.1.2.1, RP-Initiated Logout §2).
func (p *Provider) readHint(ctx context.Context, token string) (hint, error) {
	var claims struct {
		Subject string `json:"sub"`
		Service string `json:"aud"`
		Session string `json:"sid"`
	}
	if err := p.verify(ctx, token, typeID, &claims); err != nil {
		return hint{}, err
	}
	who, ok := strings.CutPrefix(claims.Subject, p.sub(""))
	if !ok || claims.Service == "" || claims.Session == "" {
		return hint{}, errToken
	}
	return hint{claims.Service, claims.Session, who}, nil
}
