// Package oidc is the protocol that services speak: OpenID Connect as Pro Santé
// Connect spells it, so that a service written for Pro Santé Connect changes
// nothing but addresses.
//
// The rules of the protocol are those of github.com/luikyv/go-oidc, which only
// this package imports. What belongs to us stands here: the tables, what may
// happen once, whose sessions are alive, what tokens look like.
//
// A sign-in passes through four doors. GET /auth stores an Authorization and
// sends the browser to the portal's page of it. Once the professional is known
// there, Finish opens the session and the grant in one transaction and sends the
// browser back with a code. At the token endpoint the service redeems the code,
// once. And every later door (userinfo, introspection, refresh) asks whether the
// session is alive.
package oidc

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"vigie/browser"
	"vigie/session"
)

// How long things live.
const (
	AuthorizationLife = 30 * time.Minute  // from /auth to the code
	CodeLife          = 60 * time.Second  // from the code to its redemption
	AccessLife        = 120 * time.Second // access and ID tokens
	RefreshLife       = 29 * time.Minute  // a refresh token that is not used
	RefreshGrace      = 10 * time.Second  // in which a rotated token still gets its successor
	PushedLife        = 90 * time.Second  // a pushed authorization request
	confirmLife       = 10 * time.Minute  // a page that asks whether to log out
)

// Errors that callers act on.
var (
	ErrUnknown  = errors.New("no such authorization")
	ErrNotYours = errors.New("the authorization is another browser's")
	ErrExpired  = errors.New("the authorization has expired")
	ErrTaken    = errors.New("the service has already taken its code")
	ErrStale    = errors.New("the session is older than the service accepts")
)

// Options of a Provider. All but Error, LoggedOut and Log are required.
type Options struct {
	// Issuer is the full address of the realm, ending in /auth/realms/esante-wallet.
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
	Log       *slog.Logger
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
