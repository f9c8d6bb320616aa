package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"vigie/browser"
	"vigie/directory"
	"vigie/login"
	"vigie/oidc"
	"vigie/phone"
	"vigie/push"
	"vigie/secrets"
	"vigie/session"
	"vigie/store"
)

// Deps are the parts of Vigie that a Site shows to people.
type Deps struct {
	DB       *store.DB
	Keys     *secrets.Secrets
	Logins   *login.Logins
	Provider *oidc.Provider
	Log      *slog.Logger // nil: nobody hears

	Activation *phone.Activation                          // nil: there is no phone API
	Push       func(push.Subscription, push.Message) bool // does not wait; false: the queue is full. nil: nothing is pushed
}

// Options of a Site. Portal, App and Issuer are required.
type Options struct {
	Portal string // origin of the portal as browsers see it: "https://HOST"
	App    string // origin of the phone app, another one
	Issuer string // whom phones address their documents to

	Browser browser.Cookie
	Session session.Cookie

	VAPID   string           // the key that push services know us by: push.PublicKey
	Support string           // telephone number of the support line as people read it; "" if there is none
	IDs     directory.Parser // how typed national ids are read

	// Proxies are the networks of our own proxies, whose X-Forwarded-For is
	// believed; none: the other end of the connection is who asks.
	Proxies []netip.Prefix

	// Streams is how many pages and phones may hear what happens as it happens, 0
	// for 10 000: each takes a connection and some 50 kB for as long as it likes.
	// Who comes later asks every two seconds instead.
	Streams int

	Demo http.Handler // GET /demo, for demonstrations; nil: none
}

// Site is everything people see: the portal, and on an origin of its own the
// phone app with its API.
type Site struct {
	Deps
	o      Options
	cross  *http.CrossOriginProtection
	portal http.Handler
	app    http.Handler

	phoneNonces phone.Nonces

	streams chan struct{} // holds one value for each stream
	ending  chan struct{} // closed when streams must end
	end     sync.Once
}

// New makes the site. It fails when the pages or words that were built in do
// not hold together.
func New(d Deps, o Options) (*Site, error) {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	for _, origin := range []string{o.Portal, o.App} {
		if origin == "" || strings.HasSuffix(origin, "/") {
			return nil, fmt.Errorf("the origin %q: give https://HOST without a slash at its end", origin)
		}
	}
	o.Support = strings.ReplaceAll(o.Support, " ", "\u00a0") // a number does not break
	if _, err := pages(); err != nil {
		return nil, err
	}
	s := &Site{Deps: d, o: o, cross: http.NewCrossOriginProtection(), phoneNonces: phone.NewNonces(d.Keys.MAC("phone nonce")),
		streams: make(chan struct{}, cmp.Or(o.Streams, 10_000)), ending: make(chan struct{})}
	s.portal = behind(o.Proxies, s.logged(secure(s.portalMux())))
	app, err := s.appMux()
	if err != nil {
		return nil, err
	}
	s.app = behind(o.Proxies, s.logged(app))
	return s, nil
}

// Portal serves the portal's origin: what services and browsers meet.
func (s *Site) Portal() http.Handler { return s.portal }

// App serves the phone app's origin: the app and the phone API.
func (s *Site) App() http.Handler { return s.app }

// Run waits until ctx ends, and then ends the streams of pages and phones that
// wait, so that a server which shuts down does not wait for them. They come
// back by themselves, to another node.
func (s *Site) Run(ctx context.Context) {
	<-ctx.Done()
	s.end.Do(func() { close(s.ending) })
}

// stream runs f, which answers for as long as its reader stays, if there is room.
func (s *Site) stream(f func()) error {
	select {
	case s.streams <- struct{}{}:
	default:
		return fault{http.StatusServiceUnavailable, "unavailable", errors.New("too many streams")}
	}
	defer func() { <-s.streams }()
	f()
	return nil
}

// address is where r comes from: the other end of the connection, or who is
// behind our own proxies.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
