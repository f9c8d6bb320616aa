package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"vigie/session"
	"vigie/store"
)

// Finish sends the browser back to the service with a code, in one transaction:
// f says which session signs in, and must itself check that this browser may
// have it; then the grant is written, and after the commit w gets the answer,
// with the session's cookie when f opened or renewed it.
//
// Until the service has redeemed the code the same browser may come again,
// because an answer may be lost. Then the authorization's Session names the
// session of the first time; f, which must have the browser prove itself as
// before, returns that one (session.Renew), and a new code replaces the untaken
// one.
//
// It answers ErrUnknown, ErrNotYours, ErrExpired, ErrTaken, ErrStale (the
// service wanted a younger session or another person) or session.ErrEnded; an
// error of f comes back untouched. With an error nothing was written, neither to
// the database nor to w. f may run more than once.
func (p *Provider) Finish(w http.ResponseWriter, r *http.Request, id string, f func(ctx context.Context, tx *store.Tx, a Authorization) (session.Session, error)) error {
	var s session.Session
	var b *buffer
	err := p.db.Write(r.Context(), func(tx *store.Tx) error {
		a, service, err := p.open(r.Context(), tx, r, id)
		if err != nil {
			return err
		}
		if s, err = f(r.Context(), tx, a); err != nil {
			return err
		}
		if b, err = p.finish(r, tx, a, service, s); err != nil {
			return err
		}
		if s.LastSeen.Equal(tx.Now) {
			return nil
		}
		return session.Touch(r.Context(), tx, s)
	})
	if err != nil {
		return err
	}
	if s.Secret != "" {
		p.o.Session.Set(w, s.Secret)
	}
	b.send(w)
	return nil
}

// open returns the authorization if the browser of r may go on with it.
func (p *Provider) open(ctx context.Context, tx *store.Tx, r *http.Request, id string) (Authorization, registered, error) {
	a, service, err := loadAuthorization(ctx, tx, `a.id = $1`, id)
	switch {
	case err != nil:
	case !a.OfBrowser(p.o.Browser.Secret(r)):
		err = ErrNotYours
	case a.Taken:
		err = ErrTaken
	case !tx.Now.Before(a.Expires):
		err = ErrExpired
	}
	return a, service, err
}

// finish has go-oidc make the grant and the answer to the service.
func (p *Provider) finish(r *http.Request, tx *store.Tx, a Authorization, service registered, s session.Session) (*buffer, error) {
	if !session.Alive(s, tx.Now) {
		return nil, session.ErrEnded
	}
	if !a.Accepts(s) {
		return nil, ErrStale
	}
	c := &call{tx: tx, asked: a, client: &service, signed: &s}
	r2 := r.Clone(r.Context())
	r2.Method, r2.URL, r2.Body = http.MethodGet, &url.URL{Path: "/auth/" + a.ID}, http.NoBody
	b := p.run(r2, c)
	if c.failed != nil {
		return nil, c.failed
	}
	if b.status != http.StatusSeeOther {
		return nil, fmt.Errorf("finishing authorization %s: go-oidc answered %d: %w", a.ID, b.status, errors.Join(errEngine, c.refused))
	}
	return b, nil
}

var errEngine = errors.New("unexpected answer")

// Deny sends the browser back to the service with an error of the protocol:
// "access_denied" when the person gave up, "login_required" for PromptNone. It
// answers ErrUnknown, ErrNotYours, ErrExpired or ErrTaken as Finish does.
func (p *Provider) Deny(w http.ResponseWriter, r *http.Request, id, code, description string) error {
	var a Authorization
	err := p.db.Read(r.Context(), func(tx *store.Tx) (err error) {
		a, _, err = p.open(r.Context(), tx, r, id)
		return err
	})
	if err != nil {
		return err
	}
	to, err := url.Parse(a.RedirectURI)
	if err != nil {
		return fmt.Errorf("redirect URI of authorization %s: %w", id, err)
	}
	q := url.Values{}
	if a.responseMode != "fragment" {
		q = to.Query()
	}
	q.Set("error", code)
	q.Set("error_description", description)
	q.Set("iss", p.o.Issuer)
	if a.state != "" {
		q.Set("state", a.state)
	}
	location := to.String() + "#" + q.Encode()
	if a.responseMode != "fragment" {
		to.RawQuery = q.Encode()
		location = to.String()
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}
