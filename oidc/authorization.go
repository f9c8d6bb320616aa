package oidc

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"vigie/browser"
	"vigie/directory"
	"vigie/session"
	"vigie/store"
)

// Prompt is what the service wants the person to be asked; "" leaves it to us.
type Prompt string

// The prompts.
const (
	PromptNone  Prompt = "none"  // nobody may be asked anything: sign in silently or answer login_required
	PromptLogin Prompt = "login" // ask anew, whatever session there is
)

// Authorization is what a service asked for, until the browser returns to it.
type Authorization struct {
	ID           string
	Service      string
	ServiceName  string
	HasLogo      bool         // the service has a picture: FindService
	RedirectURI  string       // where the answer goes: where forms of our pages may lead to
	LoginHint    string       // as the service sent it: only fills the field
	Professional directory.ID // named by an id_token_hint of ours: nobody else may be signed in; "" without
	Locales      string       // ui_locales
	Prompt       Prompt
	MaxAge       *int // seconds since the latest approval; nil without
	Created      time.Time
	Expires      time.Time
	Session      string // the session it was finished with, "" before
	Taken        bool   // the service has redeemed the code

	cookie       string
	responseMode string
	scope        string
	state        string
	nonce        string
	challenge    string
}

// OfBrowser says whether the browser with this cookie secret asked a.
func (a Authorization) OfBrowser(cookieSecret string) bool {
	return cookieSecret != "" && equal(browser.Bind(cookieSecret, a.ID), a.cookie)
}

// Accepts says whether signing in by s answers what the service asked for:
// prompt, max_age and id_token_hint (OpenID Connect Core §3.1.2.1, §3.1.2.2).
func (a Authorization) Accepts(s session.Session) bool {
	oldest := time.Time{}
	if a.MaxAge != nil {
		oldest = a.Created.Add(-time.Duration(*a.MaxAge) * time.Second)
	}
	if a.Prompt == PromptLogin {
		oldest = a.Created
	}
	return !s.AuthTime.Before(oldest) && (a.Professional == "" || a.Professional == s.Professional)
}

// Authorization returns the authorization, also when it has expired or is
// finished. It answers ErrUnknown when there is none, its row has left, or its
// service was disabled.
func (p *Provider) Authorization(ctx context.Context, tx *store.Tx, id string) (Authorization, error) {
	a, _, err := loadAuthorization(ctx, tx, `a.id = $1`, id)
	return a, err
}

func loadAuthorization(ctx context.Context, tx *store.Tx, where, arg string) (Authorization, registered, error) {
	var a Authorization
	var s registered
	if !utf8.ValidString(arg) || strings.ContainsRune(arg, 0) {
		return a, s, ErrUnknown // a path of a stranger, which PostgreSQL would not even compare
	}
	var created, expires, taken, maxAge, logo int64
	fields, done := s.fields()
	err := tx.QueryRow(ctx, `SELECT a.id, a.cookie, a.redirect_uri, a.response_mode, a.scope, a.state, a.nonce, a.challenge, a.prompt, a.max_age,
			a.login_hint, a.professional, a.locales, a.created, a.expires, COALESCE(g.session, ''), COALESCE(g.taken, 0), length(s.logo), `+serviceColumns+`
		FROM oidc_authorizations a JOIN services s ON s.id = a.service LEFT JOIN oidc_grants g ON g.authorization_id = a.id
		WHERE s.disabled = 0 AND `+where, arg).
		Scan(append([]any{&a.ID, &a.cookie, &a.RedirectURI, &a.responseMode, &a.scope, &a.state, &a.nonce, &a.challenge, &a.Prompt, &maxAge,
			&a.LoginHint, &a.Professional, &a.Locales, &created, &expires, &a.Session, &taken, &logo}, fields...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return Authorization{}, registered{}, ErrUnknown
	}
	if err != nil {
		return Authorization{}, registered{}, fmt.Errorf("looking up an authorization: %w", err)
	}
	done()
	a.Service, a.ServiceName, a.HasLogo = s.ID, s.Name, logo > 0
	a.Created, a.Expires, a.Taken = store.FromMillis(created), store.FromMillis(expires), taken != 0
	if maxAge >= 0 {
		n := int(maxAge)
		a.MaxAge = &n
	}
	return a, s, nil
}

// session is a as go-oidc knows it. Everything in it was checked when it was
// stored; what is only for the portal stays out.
func (a Authorization) session() *goidc.AuthnSession {
	params := goidc.AuthorizationParameters{RedirectURI: a.RedirectURI, ResponseType: goidc.ResponseTypeCode,
		ResponseMode: goidc.ResponseMode(a.responseMode), Scopes: a.scope, State: a.state, Nonce: a.nonce, CodeChallenge: a.challenge}
	if a.challenge != "" {
		params.CodeChallengeMethod = goidc.CodeChallengeMethodSHA256
	}
	return &goidc.AuthnSession{ID: a.ID, Status: goidc.StatusPending, ClientID: a.Service, PolicyID: policyID, ExpiresAt: far,
		AuthorizationParameters: params}
}

// SaveSession stores an authorization, or gives a pushed one to the browser that
// opens it. Refused and finished ones leave nothing: the first because strangers
// would fill the table, the second because the grant says it.
func (*manager) SaveSession(ctx context.Context, as *goidc.AuthnSession) error {
	c := of(ctx)
	if as.Status != goidc.StatusPending || c.signed != nil {
		return nil
	}
	if c.cookie != "" && as.PushedAuthReqID != "" {
		return c.write(ctx, func(tx *store.Tx) error { return openPushed(ctx, tx, as, c.cookie) })
	}
	a := c.asked
	cookie, life, maxAge := "", PushedLife, -1
	var pushed any
	if c.cookie != "" {
		cookie, life = browser.Bind(c.cookie, as.ID), AuthorizationLife
	} else {
		pushed = hash(as.PushedAuthReqID)
	}
	if a.MaxAge != nil {
		maxAge = *a.MaxAge
	}
	return c.write(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO oidc_authorizations (id, service, pushed, cookie, redirect_uri, response_mode, scope, state, nonce,
				challenge, prompt, max_age, login_hint, professional, locales, created, expires)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
			as.ID, as.ClientID, pushed, cookie, as.RedirectURI, string(as.ResponseMode), as.Scopes, as.State, as.Nonce,
			as.CodeChallenge, string(a.Prompt), maxAge, a.LoginHint, string(a.Professional), a.Locales, store.Millis(tx.Now), store.Millis(tx.Now.Add(life)))
		if err != nil {
			return fmt.Errorf("storing an authorization: %w", err)
		}
		return nil
	})
}

// openPushed binds a pushed request to the first browser that comes with it.
// The same browser may come again (RFC 9126 §4 allows a reload), nobody else.
func openPushed(ctx context.Context, tx *store.Tx, as *goidc.AuthnSession, cookie string) error {
	bound := browser.Bind(cookie, as.ID)
	n, err := tx.Exec(ctx, `UPDATE oidc_authorizations SET cookie = $1, expires = CASE WHEN cookie = '' THEN $2 ELSE expires END
		WHERE id = $3 AND (cookie = '' OR cookie = $1)`, bound, store.Millis(tx.Now.Add(AuthorizationLife)), as.ID)
	if err != nil {
		return fmt.Errorf("opening a pushed authorization: %w", err)
	}
	if n == 0 {
		return errPushed
	}
	return nil
}

var errPushed = goidc.NewError(goidc.ErrorCodeInvalidRequest, "the request_uri is unknown, was used, or has expired")

// SessionByPushedAuthReqID finds a pushed request that this browser may open.
func (*manager) SessionByPushedAuthReqID(ctx context.Context, handle string) (*goidc.AuthnSession, error) {
	c := of(ctx)
	err := c.read(ctx, func(tx *store.Tx) error {
		a, _, err := loadAuthorization(ctx, tx, `a.pushed = $1`, hash(handle))
		if errors.Is(err, ErrUnknown) {
			return goidc.ErrNotFound
		}
		if err == nil && (!tx.Now.Before(a.Expires) || a.Session != "" || (a.cookie != "" && !a.OfBrowser(c.cookie))) {
			return goidc.ErrNotFound
		}
		c.asked = a
		return err
	})
	if err != nil {
		return nil, err
	}
	as := c.asked.session()
	as.PushedAuthReqID = handle
	return as, nil
}

// Session is asked for by Finish only, which has loaded the authorization.
func (*manager) Session(ctx context.Context, id string) (*goidc.AuthnSession, error) {
	if c := of(ctx); c.signed != nil && c.asked.ID == id {
		return c.asked.session(), nil
	}
	return nil, goidc.ErrNotFound
}

const policyID = "portal"

// policy is where go-oidc asks who is there. At /auth nobody is: the browser
// goes to the portal. In Finish the session says it.
func (p *Provider) policy(w http.ResponseWriter, r *http.Request, as *goidc.AuthnSession, client *goidc.Client) (goidc.Status, error) {
	c := of(r.Context())
	if c.signed == nil {
		if err := admit(r.Context(), as, client); err != nil {
			return goidc.StatusFailure, err
		}
		w.Header().Set("Location", "/login/"+url.PathEscape(as.ID))
		w.WriteHeader(http.StatusSeeOther)
		return goidc.StatusPending, nil
	}
	as.Subject, as.Username = p.sub(string(c.signed.Professional)), string(c.signed.Professional)
	as.GrantedScopes = as.Scopes
	return goidc.StatusSuccess, nil
}

// admit refuses what go-oidc would accept.
func admit(ctx context.Context, as *goidc.AuthnSession, _ *goidc.Client) error {
	c := of(ctx)
	invalid := func(why string) error { return goidc.NewError(goidc.ErrorCodeInvalidRequest, why) }
	switch {
	case c.wrong != nil:
		return c.wrong
	case as.CodeChallenge == "" && !c.client.NoPKCE:
		return invalid("code_challenge is required")
	case as.CodeChallenge == "" && as.Nonce == "":
		return invalid("nonce is required without code_challenge")
	case as.CodeChallenge != "" && (as.CodeChallengeMethod != goidc.CodeChallengeMethodSHA256 || len(as.CodeChallenge) != 43):
		return invalid("code_challenge_method must be S256")
	case c.hinted != "" && c.hinted != as.ClientID:
		return invalid("id_token_hint is another client's")
	}
	return nil
}

func newID(context.Context) string { return rand.Text() }

// scopeNames are the scopes that mean something here; others are dropped.
var scopeNames = []string{"openid", "scope_all", "profile"}

func scopes() []goidc.Scope {
	var all []goidc.Scope
	for _, s := range scopeNames {
		all = append(all, goidc.NewScope(s))
	}
	return all
}
