package web

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"vigie/phone"
)

// handler answers a request: it writes the whole response, or returns an error
// and writes nothing. Errors become statuses and words in fail.
type handler func(http.ResponseWriter, *http.Request) error

// route is one door of an origin.
type route struct {
	pattern string // of http.ServeMux
	handle  handler
}

const maxBody = 32 << 10 // bytes of a posted body

// portalRoutes are the doors of the portal, by whom they are for. What services
// call, /auth and below it, is the provider's own.
func (s *Site) portalRoutes() []route {
	return []route{
		// Whoever comes by.
		{"GET /{$}", s.home},
		{"GET /fin-de-poste", s.endOfPost},
		{"POST /fin-de-poste", s.closePost},
		{"/", notFound},

		// Browsers that a service sent to sign in.
		{"GET /login/{id}", s.showLogin},
		{"POST /login/{id}", s.ask},
		{"GET /login/{id}/events", s.events},
		{"GET /login/{id}/state", s.state},
		{"POST /login/{id}/redeem", s.redeem},
		{"POST /login/{id}/cancel", s.cancel},
		{"POST /login/{id}/continue", s.goOn},
		{"POST /login/{id}/other", s.notMe},
		{"GET /logos/{service}", s.logo},

		// Browsers that a service sent to sign out.
		{"GET /logout/{token}", s.askLogout},
		{"POST /logout/{token}", s.logout},

		// Whoever got a letter with a code.
		{"GET /activation/{token}", s.letter},
		{"POST /activation/{token}/send", s.pressLetter((*phone.Activation).SendNext)},
		{"POST /activation/{token}/stop", s.pressLetter((*phone.Activation).StopAsks)},

		// Phones that look for their API.
		{"GET /.well-known/vigie", s.discovery},

		// Machines that watch over us.
		{"GET /livez", alive},
		{"GET /readyz", s.ready},
	}
}

func (s *Site) portalMux() http.Handler {
	mux := s.mux(s.portalRoutes())
	mux.Handle("/static/", Assets())
	// Outside of cross-origin protection: services post to it from elsewhere.
	mux.Handle("/auth", s.Provider.Handler())
	mux.Handle("/auth/", s.Provider.Handler())
	if s.o.Demo != nil {
		mux.Handle("/demo", s.o.Demo)
	}
	return mux
}

func (s *Site) appMux() (http.Handler, error) {
	shell, err := Shell{Issuer: s.o.Issuer, Portal: s.o.Portal, Support: s.o.Support}.Handler()
	if err != nil {
		return nil, fmt.Errorf("making the phone app: %w", err)
	}
	routes := []route{
		{"GET /livez", alive},
		{"GET /readyz", s.ready},
		{"GET /logos/{service}", s.logo},
	}
	if s.Activation != nil {
		routes = append(routes, s.phoneRoutes()...)
	}
	mux := s.mux(routes)
	mux.Handle("/", shell)
	return mux, nil
}

// mux makes routes answer.
func (s *Site) mux(routes []route) *http.ServeMux {
	mux := http.NewServeMux()
	for _, rt := range routes {
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := s.serve(rt, w, r); err != nil {
				s.fail(w, r, err)
			}
		})
	}
	return mux
}

func (s *Site) serve(rt route, w http.ResponseWriter, r *http.Request) error {
	if err := s.cross.Check(r); err != nil {
		return fault{http.StatusForbidden, "crossed", err}
	}
	if !utf8.ValidString(r.URL.Path) || strings.Contains(r.URL.Path, "\x00") { // text that PostgreSQL does not take
		return notFound(w, r)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if r.Method == http.MethodPost && !strings.HasPrefix(r.URL.Path, "/phone/") { // whose bodies are signed JSON
		if err := r.ParseForm(); err != nil {
			return badForm(err)
		}
	}
	return rt.handle(w, r)
}
