package oidc

import (
	"context"
	"errors"
	"net/http"
	"time"

	"vigie/directory"
	"vigie/secrets"
	"vigie/session"
	"vigie/store"
)

var errSoon = errors.New("not built yet")

// Provider answers services.
type Provider struct{}

// New returns the provider of db.
func New(db *store.DB, keys *secrets.Secrets, o Options) (*Provider, error) { return nil, errSoon }

// Handler serves /auth and everything below /auth/realms/esante-wallet/. It must
// stand outside of cross-origin protection: services post to it from elsewhere.
func (p *Provider) Handler() http.Handler { return nil }

// Authorization is what a service asked for, until the browser returns to it.
type Authorization struct {
	ID           string
	Service      string
	ServiceName  string
	RedirectURI  string       // where the answer goes: its origin is where forms of pages may lead
	LoginHint    string       // as typed by the service: only fills the field
	Professional directory.ID // named by an id_token_hint of ours, "" without
	Locales      string       // ui_locales
	Prompt       Prompt
	MaxAge       *int // seconds
	Created      time.Time
	Expires      time.Time
	Session      string // the session it was finished with, "" before
	Taken        bool   // the service has redeemed the code

	cookie string
}

// Prompt is what the service wants the person to be asked.
type Prompt string

// The prompts; "" leaves it to us.
const (
	PromptNone  Prompt = "none"
	PromptLogin Prompt = "login"
)

// OfBrowser says whether the browser with this cookie secret asked a.
func (a Authorization) OfBrowser(cookieSecret string) bool { return false }

// Fresh says whether a sign-in by s answers a: prompt and max_age.
func (a Authorization) Fresh(s session.Session) bool { return false }

// Authorization returns the authorization, also when it has expired or is
// finished, or ErrUnknown.
func (p *Provider) Authorization(ctx context.Context, tx *store.Tx, id string) (Authorization, error) {
	return Authorization{}, errSoon
}

// Finish sends the browser back to the service with a code, in one transaction:
// f says which session signs in, and must itself check that this browser may
// have it; then the grant is written, and after the commit w gets the answer,
// with the cookie of the session when f opened or renewed it.
//
// Until the service has redeemed the code, the same browser may come again,
// because an answer may be lost: then Authorization.Session names the session of
// the first time, f returns that one (session.Renew), and a new code replaces
// the untaken one. Afterwards the answer is ErrTaken.
//
// f may run more than once. Its error comes back untouched and nothing is
// written to w.
func (p *Provider) Finish(w http.ResponseWriter, r *http.Request, id string, f func(ctx context.Context, tx *store.Tx, a Authorization) (session.Session, error)) error {
	return errSoon
}

// Deny sends the browser back to the service with an error of the protocol:
// "access_denied" when the person gave up, "login_required" for prompt=none.
func (p *Provider) Deny(w http.ResponseWriter, r *http.Request, id, code, description string) error {
	return errSoon
}

// Logout is a wish to log out that a person must confirm.
type Logout struct {
	Service     string // that asks, "" when unknown
	ServiceName string
	Session     session.Session // that would end; zero when this browser has none
}

// Logout reads the token of a confirmation page, or answers ErrExpired.
func (p *Provider) Logout(ctx context.Context, tx *store.Tx, r *http.Request, token string) (Logout, error) {
	return Logout{}, errSoon
}

// ConfirmLogout ends the session of this browser and answers: back to the
// service where it asked for that, else Options.LoggedOut.
func (p *Provider) ConfirmLogout(w http.ResponseWriter, r *http.Request, token string) error {
	return errSoon
}

// Clean deletes what expired, in small batches, until nothing is left or ctx ends.
func Clean(ctx context.Context, db *store.DB) error { return nil }
