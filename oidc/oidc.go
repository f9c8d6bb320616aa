// Package oidc is the protocol that services speak: OpenID Connect as Pro Santé
// Connect spells it, so that a service written for Pro Santé Connect changes
// nothing but addresses.
//
// The rules of the protocol are those of github.com/luikyv/go-oidc, which only
// this package imports. What belongs to us stands here: the tables, what may
// happen once, whose sessions are alive, what tokens look like.
//
// A sign-in passes through four doors. GET /auth stores an [Authorization] and
// sends the browser to the portal's page of it. Once the professional is known
// there, [Provider.Finish] writes the session and the grant in one transaction
// and sends the browser back with a code. At the token endpoint the service
// redeems the code, once. And every later door (userinfo, introspection,
// refresh) asks whether the session is alive.
package oidc

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"vigie/browser"
	"vigie/secrets"
	"vigie/session"
	"vigie/store"
)

// How long things live.
const (
	AuthorizationLife = 30 * time.Minute  // from /auth to the code
	CodeLife          = 60 * time.Second  // from the code to its redemption
	AccessLife        = 120 * time.Second // access and ID tokens
	RefreshLife       = 29 * time.Minute  // a refresh token that is not used
	RefreshGrace      = 10 * time.Second  // in which a rotated token still gets its successor
	PushedLife        = 90 * time.Second  // a pushed request, until its browser comes
	confirmLife       = 10 * time.Minute  // a page that asks whether to log out
)

// Errors that callers act on.
var (
	ErrUnknown  = errors.New("no such authorization")
	ErrNotYours = errors.New("the authorization is another browser's")
	ErrExpired  = errors.New("the page has expired")
	ErrTaken    = errors.New("the service has already taken its code")
	ErrStale    = errors.New("the session is older than the service accepts")
)

// Realm is the path under which everything but /auth is served.
const Realm = "/auth/realms/esante-wallet"

// Paths below the issuer, those of a Keycloak realm.
const (
	tokenPath      = "/protocol/openid-connect/token"
	userinfoPath   = "/protocol/openid-connect/userinfo"
	keysPath       = "/protocol/openid-connect/certs"
	introspectPath = "/protocol/openid-connect/token/introspect"
	revokePath     = "/protocol/openid-connect/revoke"
	logoutPath     = "/protocol/openid-connect/logout"
	pushPath       = "/protocol/openid-connect/ext/par/request"
)

// Options of a Provider. All but Error, LoggedOut and Log are required.
type Options struct {
	// Issuer is the full address of the realm: https://HOST/auth/realms/esante-wallet.
	Issuer string
	// Provider is the UUID that stands in every sub: f:<Provider>:<national id>.
	// It must never change.
	Provider string
	Browser  browser.Cookie
	Session  session.Cookie
	// Error shows a person that an address is wrong in a way that cannot be told
	// to the service. Nil answers in plain English.
	Error func(w http.ResponseWriter, r *http.Request, status int, key ErrorKey)
	// LoggedOut shows a person that the session is closed, with status 200.
	// Nil answers in plain English.
	LoggedOut func(w http.ResponseWriter, r *http.Request)
	Log       *slog.Logger // hears of refused requests and of trouble; nil means nobody
}

// ErrorKey says what to explain.
type ErrorKey string

// What Options.Error explains.
const (
	WrongService  ErrorKey = "service"     // no such service, or it is disabled
	WrongRedirect ErrorKey = "redirect"    // the address to return to is not the service's
	WrongRequest  ErrorKey = "request"     // anything else in the address
	Unavailable   ErrorKey = "unavailable" // try again
)

// Provider answers services. Its methods may be called from many goroutines.
type Provider struct {
	db         *store.DB
	keys       *secrets.Secrets
	o          Options
	base       string // the issuer without Realm
	engine     http.Handler
	discovery  []byte
	refreshKey []byte
	confirmKey []byte
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// New returns the provider of db.
func New(db *store.DB, keys *secrets.Secrets, o Options) (*Provider, error) {
	base, ok := strings.CutSuffix(o.Issuer, Realm)
	if u, err := url.Parse(base); !ok || err != nil || u.Host == "" || u.Path != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("issuer %q: must be https://HOST%s", o.Issuer, Realm)
	}
	if !uuid.MatchString(o.Provider) {
		return nil, fmt.Errorf("provider %q: must be a UUID in small letters", o.Provider)
	}
	if o.Error == nil {
		o.Error = func(w http.ResponseWriter, _ *http.Request, status int, key ErrorKey) {
			http.Error(w, "This sign-in address is not valid ("+string(key)+").", status)
		}
	}
	if o.LoggedOut == nil {
		o.LoggedOut = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Your session is closed.") }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Provider{db: db, keys: keys, o: o, base: base, refreshKey: keys.MAC("oidc refresh"), confirmKey: keys.MAC("oidc logout")}
	var err error
	if p.engine, err = p.newEngine(); err != nil {
		return nil, fmt.Errorf("setting up OpenID Connect: %w", err)
	}
	if p.discovery, err = p.newDiscovery(); err != nil {
		return nil, fmt.Errorf("describing OpenID Connect: %w", err)
	}
	return p, nil
}

// Handler serves /auth and everything below Realm. It must stand outside of
// cross-origin protection: services and their pages post to it from elsewhere.
// It reads no cookie on a POST.
func (p *Provider) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /auth", p.authorize)
	mux.HandleFunc("POST /auth", p.authorizeForm)
	for path, h := range map[string]http.HandlerFunc{
		"GET /.well-known/wallet-openid-configuration": p.serveDiscovery,
		"GET /.well-known/openid-configuration":        p.serveDiscovery,
		"GET " + keysPath:                              p.serveKeys,
		"POST " + pushPath:                             p.push,
		"POST " + tokenPath:                            p.token,
		"POST " + introspectPath:                       p.introspect,
		"POST " + revokePath:                           p.revoke,
		"GET " + userinfoPath:                          p.userinfo,
		"POST " + userinfoPath:                         p.userinfo,
		"GET " + logoutPath:                            p.logout,
		"POST " + logoutPath:                           p.logout,
	} {
		method, path, _ := strings.Cut(path, " ")
		mux.HandleFunc(method+" "+Realm+path, h)
	}
	return mux
}

// Sub is how services know a professional: the same for all of them.
func (p *Provider) sub(nationalID string) string { return "f:" + p.o.Provider + ":" + nationalID }

// acr is the one level of assurance that Pro Santé Connect knows.
const acr = "eidas1"

// amr names what a session was opened with (RFC 8176).
func amr(m session.Means) []string {
	if m == session.Card {
		return []string{"hwk", "mfa", "pin"}
	}
	return []string{"mfa", "pin", "swk"}
}
