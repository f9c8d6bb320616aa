package web

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"vigie/oidc"
	"vigie/session"
	"vigie/store"
)

// homePage is what templates/portal_home.html shows.
type homePage struct {
	Name    string // who is signed in on this browser, "" for nobody
	App     string
	Support string
	Demo    bool
}

// home says what this is, to whoever comes by.
func (s *Site) home(w http.ResponseWriter, r *http.Request) error {
	page := homePage{App: s.o.App, Support: s.o.Support, Demo: s.o.Demo != nil}
	err := s.DB.Read(r.Context(), func(tx *store.Tx) error {
		current, signedIn, err := session.Current(r.Context(), tx, s.o.Session.Secret(r))
		if err != nil || !signedIn {
			return err
		}
		page.Name, err = nameOf(r.Context(), tx, current.Professional)
		return err
	})
	if err != nil {
		return err
	}
	return render(w, r, http.StatusOK, "portal_home", page)
}

// outcomePage is what templates/portal_outcome.html shows: what happened, what
// it means, what to do now.
type outcomePage struct {
	Kind      string      // words: portal.out_*
	ID        string      // of the authorization, where there is a way back
	Service   servicePart // zero when no service is involved
	Again     bool        // one may ask again
	Support   string
	Reference string // names the log line, for the support line
}

func (s *Site) showOutcome(w http.ResponseWriter, r *http.Request, v visit, kind string) error {
	s.allowReturn(w, v)
	return render(w, r, http.StatusOK, "portal_outcome", outcomePage{Kind: kind, ID: v.authorization.ID, Service: v.service, Again: true, Support: s.o.Support})
}

// Title is the key of what happened.
func (p outcomePage) Title() string { return fmt.Sprintf("portal.out_%s_title", p.Kind) }

// Text is the key of what it means and what to do now.
func (p outcomePage) Text() string { return fmt.Sprintf("portal.out_%s_text", p.Kind) }

// Icon is the picture of the outcome.
func (p outcomePage) Icon() string {
	switch p.Kind {
	case "refused":
		return "no"
	case "reported", "crossed":
		return "shield"
	case "left", "logged_out":
		return "log-out"
	case "expired", "gone", "busy", "letter_gone", "logout_gone":
		return "clock"
	case "elsewhere", "cookies":
		return "screen"
	case "finished":
		return "check"
	case "not_found":
		return "help"
	}
	return "alert"
}

// Tone colours the picture.
func (p outcomePage) Tone() string {
	switch p.Kind {
	case "finished", "logged_out", "left", "not_found":
		return ""
	case "refused", "reported", "crossed":
		return "danger"
	}
	return "warn"
}

// logo serves the picture of a service, as it was re-encoded at registration.
func (s *Site) logo(w http.ResponseWriter, r *http.Request) error {
	var service oidc.Service
	err := s.DB.Read(r.Context(), func(tx *store.Tx) (err error) {
		service, _, err = oidc.FindService(r.Context(), tx, r.PathValue("service"))
		return err
	})
	if err != nil {
		return err
	}
	if len(service.Logo) == 0 {
		return notFound(w, r)
	}
	sum := sha256.Sum256(service.Logo)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("Etag", etag)
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("Content-Type", "image/png")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	_, _ = w.Write(service.Logo) // whoever went away needs no answer
	return nil
}

// logoutPage is what templates/portal_logout.html shows.
type logoutPage struct {
	Token   string
	Service string // that asks, "" when unknown
	Name    string // whose session would end, "" when this browser has none
}

// askLogout asks whether to end the session, where a service could not show
// that it is its own.
func (s *Site) askLogout(w http.ResponseWriter, r *http.Request) error {
	page := logoutPage{Token: r.PathValue("token")}
	err := s.DB.Read(r.Context(), func(tx *store.Tx) error {
		asked, err := s.Provider.Logout(r.Context(), tx, r, page.Token)
		if err != nil {
			return err
		}
		page.Service = asked.ServiceName
		if asked.Session.ID == "" {
			return nil
		}
		page.Name, err = nameOf(r.Context(), tx, asked.Session.Professional)
		return err
	})
	if errors.Is(err, oidc.ErrExpired) {
		return fault{http.StatusGone, "logout_gone", err}
	}
	if err != nil {
		return err
	}
	return render(w, r, http.StatusOK, "portal_logout", page)
}

func (s *Site) logout(w http.ResponseWriter, r *http.Request) error {
	err := s.Provider.ConfirmLogout(leaving(w, r), r, r.PathValue("token"))
	if errors.Is(err, oidc.ErrExpired) {
		return fault{http.StatusGone, "logout_gone", err}
	}
	return err
}

// discovery tells phones where their API is: GET /.well-known/vigie.
func (s *Site) discovery(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]string{"issuer": s.o.Issuer, "portal": s.o.Portal, "phone": s.o.App, "vapid": s.o.VAPID})
}

// alive answers as long as the process does.
func alive(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
}

// ready answers 200 while a sign-in would find its database.
func (s *Site) ready(w http.ResponseWriter, r *http.Request) error {
	if err := s.DB.Ready(r.Context()); err != nil {
		lineOf(r).err = err
		return writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "database unavailable"})
	}
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}
