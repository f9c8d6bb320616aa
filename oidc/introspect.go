package oidc

import (
	"context"
	"net/http"
	"strings"
	"time"

	"vigie/directory"
	"vigie/store"
)

// presented is a token of ours that somebody presents.
type presented struct {
	grant      grant
	claims     accessClaims // of an access token
	generation int          // of a refresh token; 0 for an access token
}

func (t presented) refresh() bool { return t.generation > 0 }

// good says whether the token is worth something at now: it has not expired and
// was not replaced, and its grant and session are alive.
func (t presented) good(now time.Time) bool {
	if t.refresh() {
		return t.grant.alive(now) && t.generation == t.grant.generation && now.Before(t.grant.rotated.Add(RefreshLife))
	}
	return t.grant.alive(now) && now.Unix() < t.claims.Expires
}

// present finds what a token stands for, be it good or not. A token that was not
// made here, or whose service was disabled, stands for nothing.
func (p *Provider) present(ctx context.Context, tx *store.Tx, token string) (t presented, ok bool, err error) {
	id, generation, ok := p.parseRefresh(token)
	if t.generation = generation; !ok {
		if err := p.verify(ctx, token, typeBearer, &t.claims); err != nil {
			return presented{}, false, nil
		}
		id, _, _ = strings.Cut(t.claims.ID, ".")
	}
	t.grant, ok, err = findGrant(ctx, tx, `g.id = $1`, id)
	return t, ok, err
}

// OtherID is another name of the same person, as in the claim otherIds.
type OtherID struct {
	ID      string `json:"identifiant"`
	Origin  string `json:"origine"`
	Quality int    `json:"qualite"`
}

// otherIDs lists the identifiers of a professional: the national id.
func otherIDs(id directory.ID) []OtherID {
	return []OtherID{{ID: string(id), Origin: id.Origin(), Quality: 1}}
}

// introspection is what Pro Santé Connect answers about a token that is good.
type introspection struct {
	Active       bool      `json:"active"`
	Expires      int64     `json:"exp"`
	IssuedAt     int64     `json:"iat"`
	AuthTime     int64     `json:"auth_time"`
	ID           string    `json:"jti,omitempty"`
	Issuer       string    `json:"iss"`
	Subject      string    `json:"sub"`
	Type         string    `json:"typ"`
	TokenType    string    `json:"token_type,omitempty"` // RFC 7662; of an access token
	Service      string    `json:"azp"`
	SessionState string    `json:"session_state"`
	ACR          string    `json:"acr"`
	Scope        string    `json:"scope"`
	Session      string    `json:"sid"`
	ClientID     string    `json:"client_id"`
	Username     string    `json:"username"`
	Preferred    string    `json:"preferred_username"`
	NameID       string    `json:"SubjectNameID,omitempty"` // of an access token
	AuthMode     string    `json:"authMode"`
	OtherIDs     []OtherID `json:"otherIds"`
}

// introspect tells a service about a token (RFC 7662): about an access token any
// service, because whoever is given one must be able to check it; about a
// refresh token only the service that holds it.
func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) {
	if !p.form(w, r) {
		return
	}
	token := r.PostForm.Get("token")
	if token != "" {
		r.PostForm.Set("token", "hidden") // go-oidc only says who asks
	}
	c := &call{door: introspectPath}
	b := p.run(below(r), c)
	if b.status != http.StatusOK || c.failed != nil {
		p.relay(w, r, c, b)
		return
	}
	var t presented
	var good bool
	if err := p.db.Read(r.Context(), func(tx *store.Tx) (err error) {
		t, good, err = p.present(r.Context(), tx, token)
		good = good && t.good(tx.Now)
		return err
	}); err != nil {
		p.unavailable(w, r, err)
		return
	}
	if !good || (t.refresh() && t.grant.service != c.client.ID) {
		answer(w, http.StatusOK, struct {
			Active bool `json:"active"`
		}{})
		return
	}
	answer(w, http.StatusOK, p.introspection(t))
}

func (p *Provider) introspection(t presented) introspection {
	g, id := t.grant, t.grant.session.Professional
	in := introspection{Active: true, AuthTime: g.authTime.Unix(), Issuer: p.o.Issuer, Subject: p.sub(string(id)), Service: g.service,
		SessionState: g.session.ID, ACR: acr, Scope: g.scope, Session: g.session.ID, ClientID: g.service, Username: string(id),
		Preferred: string(id), AuthMode: string(g.session.Means), OtherIDs: otherIDs(id)}
	if t.refresh() {
		in.Type, in.IssuedAt, in.Expires = typeRefresh, g.rotated.Unix(), refreshEnds(g).Unix()
		return in
	}
	in.Type, in.TokenType, in.IssuedAt, in.Expires = typeBearer, typeBearer, t.claims.IssuedAt, t.claims.Expires
	in.ID, in.Scope, in.NameID = t.claims.ID, t.claims.Scope, string(id)
	return in
}

func refreshEnds(g grant) time.Time {
	end := g.rotated.Add(RefreshLife)
	if _, latest := g.session.Ends(); latest.Before(end) {
		return latest
	}
	return end
}

// revoke ends the grant of a token that its service gives back (RFC 7009), be
// the token still good or not: its service wants no more of it. An access token
// ends it too, since there is no other way to take one back.
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) {
	if !p.form(w, r) {
		return
	}
	c := &call{door: revokePath}
	if token := r.PostForm.Get("token"); token != "" {
		r.PostForm.Set("token", "hidden") // go-oidc says who asks, and whether it is theirs
		if err := p.db.Read(r.Context(), func(tx *store.Tx) error {
			t, ok, err := p.present(r.Context(), tx, token)
			if c.grant = nil; ok {
				c.grant = &t.grant
			}
			return err
		}); err != nil {
			p.unavailable(w, r, err)
			return
		}
	}
	p.relay(w, r, c, p.run(below(r), c))
}
