package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"vigie/browser"
	"vigie/login"
	"vigie/oidc"
	"vigie/session"
	"vigie/store"
)

// fault is an error that a person is told about; key chooses the words of
// outcomePage.
type fault struct {
	status int
	key    string
	err    error
}

func (f fault) Error() string {
	if f.err == nil {
		return f.key
	}
	return f.key + ": " + f.err.Error()
}

func (f fault) Unwrap() error { return f.err }

// statusGone is what nginx calls a request whose sender went away.
const statusGone = 499

// comeAgain is when to ask again a node whose database is away, in seconds.
const comeAgain = "5"

// explain finds the fault in err. What nobody foresaw is ours: 500, and its
// text stays in the log.
func explain(err error) fault {
	var f fault
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &large):
		return fault{http.StatusRequestEntityTooLarge, "bad", err}
	case errors.Is(err, store.ErrUnavailable):
		return fault{http.StatusServiceUnavailable, "unavailable", err}
	case errors.Is(err, context.Canceled):
		return fault{statusGone, "unavailable", err}
	case errors.Is(err, oidc.ErrUnknown), errors.Is(err, login.ErrUnknown):
		return fault{http.StatusNotFound, "gone", err}
	case errors.Is(err, oidc.ErrExpired):
		return fault{http.StatusGone, "gone", err}
	case errors.Is(err, oidc.ErrTaken):
		return fault{http.StatusGone, "finished", err}
	case errors.Is(err, oidc.ErrNotYours), errors.Is(err, login.ErrNotYours), errors.Is(err, browser.ErrProof):
		return fault{http.StatusForbidden, "elsewhere", err}
	case errors.Is(err, login.ErrExpired), errors.Is(err, session.ErrEnded):
		return fault{http.StatusGone, "expired", err}
	case errors.Is(err, oidc.ErrStale):
		return fault{http.StatusConflict, "stale", err}
	case errors.Is(err, login.ErrAnswered):
		return fault{http.StatusConflict, "finished", err}
	case errors.Is(err, login.ErrBusy):
		return fault{http.StatusServiceUnavailable, "busy", err}
	}
	return fault{http.StatusInternalServerError, "ours", err}
}

// fail answers a request whose handler returned err and wrote nothing.
func (s *Site) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := explain(err)
	l := lineOf(r)
	l.err = err
	if f.status == statusGone {
		l.status = statusGone
		return
	}
	if f.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", comeAgain)
	}
	if wantsJSON(r) {
		if err := writeJSON(w, f.status, map[string]string{"error": f.key}); err == nil {
			return
		}
	}
	page := outcomePage{Kind: f.key, Support: s.o.Support}
	if f.key == "ours" {
		page.Reference = l.id
	}
	if err := render(w, r, f.status, "portal_outcome", page); err != nil {
		l.err = errors.Join(l.err, err)
		http.Error(w, http.StatusText(f.status), f.status)
	}
}

// Wrong shows a person that the address a service sent them with is wrong in a
// way that the service cannot be told: oidc.Options.Error.
func Wrong(w http.ResponseWriter, r *http.Request, status int, key oidc.ErrorKey) {
	words := map[oidc.ErrorKey]string{oidc.WrongService: "wrong_service", oidc.WrongRedirect: "wrong_redirect", oidc.Unavailable: "unavailable"}[key]
	if words == "" {
		words = "wrong_request"
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", comeAgain)
	}
	if err := render(w, r, status, "portal_outcome", outcomePage{Kind: words}); err != nil {
		lineOf(r).err = err
		http.Error(w, http.StatusText(status), status)
	}
}

// LoggedOut shows a person that the session is closed: oidc.Options.LoggedOut.
func LoggedOut(w http.ResponseWriter, r *http.Request) {
	if err := render(w, r, http.StatusOK, "portal_outcome", outcomePage{Kind: "logged_out"}); err != nil {
		lineOf(r).err = err
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	}
}

func notFound(http.ResponseWriter, *http.Request) error {
	return fault{http.StatusNotFound, "not_found", nil}
}

func badForm(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return fault{http.StatusRequestEntityTooLarge, "bad", err}
	}
	return fault{http.StatusBadRequest, "bad", err}
}

func wantsJSON(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Accept"), "application/json")
}

// writeJSON answers with v; on error nothing has been written.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // whoever went away needs no answer
	return nil
}
