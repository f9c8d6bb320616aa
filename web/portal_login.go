package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"vigie/browser"
	"vigie/directory"
	"vigie/login"
	"vigie/oidc"
	"vigie/store"
)

// showLogin is the dispatcher: what is stored decides which page of an
// authorization this browser sees.
func (s *Site) showLogin(w http.ResponseWriter, r *http.Request) error {
	ctx, id := r.Context(), r.PathValue("id")
	form := r.URL.Query().Get("step") == "form"
	var v visit
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if v, err = s.visit(ctx, tx, r, id); err != nil || v.underWay() && !form {
			return err
		}
		v, err = s.withSession(ctx, tx, r, v)
		return err
	})
	if err != nil {
		return err
	}
	speak(r, v.authorization.Locales)
	next := v.step(form)
	if next == stepJoin && v.authorization.Prompt == oidc.PromptNone && framed(r) {
		next = stepDeny // no page of ours can be framed, so none could sign
	}
	note(r, "service", v.authorization.Service, "step", string(next))
	switch next {
	case stepElsewhere:
		if s.o.Browser.Secret(r) == "" {
			return fault{http.StatusForbidden, "cookies", oidc.ErrNotYours}
		}
		return oidc.ErrNotYours
	case stepGone:
		return oidc.ErrExpired
	case stepFinished:
		return oidc.ErrTaken
	case stepRedeem:
		return s.finish(w, r, "")
	case stepDeny:
		return s.Provider.Deny(w, r, id, "login_required", "")
	case stepWait:
		return s.showWaiting(w, r, v)
	case stepOver:
		return s.showOutcome(w, r, v, string(v.request.Status(v.now)))
	case stepJoin, stepContinue:
		return s.showSession(w, r, v, next)
	default:
		return s.showForm(w, r, http.StatusOK, v, typed{Value: v.authorization.LoginHint})
	}
}

// speak prefers the languages that the service asked for (ui_locales, OpenID
// Connect Core §3.1.2.1) to those of the browser, not to what its reader chose.
func speak(r *http.Request, locales string) {
	if locales != "" {
		r.Header.Set("Accept-Language", strings.Join(append(strings.Fields(locales), r.Header.Get("Accept-Language")), ","))
	}
}

// framed says that r would be shown inside of another page (Fetch Metadata).
func framed(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "iframe", "frame", "embed", "object":
		return true
	}
	return false
}

// formPage is what templates/portal_form.html shows.
type formPage struct {
	ID         string // of the authorization
	Service    servicePart
	ServiceID  string
	Remembered []remembered
	Typed      typed
	Nonce      string // for ring proofs
	Name       string // who is signed in already, "" for nobody
	App        string
	Support    string
}

// typed is what stands in the field of the national id.
type typed struct {
	Value  string
	Reason directory.Reason // what is wrong with it, "" for nothing
}

// Fault is the key of what is wrong, words: portal.id_*
func (t typed) Fault() string { return fmt.Sprintf("portal.id_%s", t.Reason) }

func (s *Site) showForm(w http.ResponseWriter, r *http.Request, status int, v visit, in typed) error {
	page := formPage{ID: v.authorization.ID, Service: v.service, ServiceID: v.authorization.Service, Typed: in, Name: v.name,
		Nonce: s.Logins.Nonce(v.now, v.authorization.ID), App: s.o.App, Support: s.o.Support}
	err := s.DB.Read(r.Context(), func(tx *store.Tx) (err error) {
		page.Remembered, err = s.remembered(r.Context(), tx, r)
		return err
	})
	if err != nil {
		return err
	}
	s.allowReturn(w, v)
	return render(w, r, status, "portal_form", page)
}

// allowReturn lets the forms of this page lead back to the service.
func (s *Site) allowReturn(w http.ResponseWriter, v visit) {
	u, err := url.Parse(v.authorization.RedirectURI)
	switch {
	case err != nil || u.Scheme == "":
	case u.Scheme == "http" || u.Scheme == "https":
		allowForms(w, u.Scheme+"://"+u.Host)
	default: // an app's own scheme
		allowForms(w, u.Scheme+":")
	}
}

// ask opens a request for the number that was typed or the name that was
// chosen. The number is parsed and stored; nobody looks it up.
func (s *Site) ask(w http.ResponseWriter, r *http.Request) error {
	ctx, id := r.Context(), r.PathValue("id")
	var v visit
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		v, err = s.visit(ctx, tx, r, id)
		return err
	})
	if err != nil {
		return err
	}
	speak(r, v.authorization.Locales)
	switch v.step(true) {
	case stepForm:
	case stepElsewhere:
		return oidc.ErrNotYours
	case stepGone:
		return oidc.ErrExpired
	default: // approved meanwhile, or done
		http.Redirect(w, r, "/login/"+id, http.StatusSeeOther)
		return nil
	}
	a := login.Ask{Authorization: id, Service: v.authorization.Service, ServiceName: v.authorization.ServiceName,
		Cookie: s.o.Browser.Secret(r), RingProof: r.PostForm.Get("proof"), Address: address(r)}
	a.Agent, a.System = browser.Agent(r.UserAgent())
	number := r.PostForm.Get("national_id")
	if choice := r.PostForm.Get("choice"); choice != "" {
		number = choice
	}
	a.Professional, err = s.o.IDs.Parse(number)
	var wrong *directory.IDError
	if errors.As(err, &wrong) {
		return s.showForm(w, r, http.StatusUnprocessableEntity, v, typed{Value: shorten(number), Reason: wrong.Reason})
	}
	if err != nil {
		return err
	}
	if a.Ephemeral, err = postedKey(r, "key"); err != nil {
		return err
	}
	if a.Lasting, err = postedKey(r, "lasting"); err != nil {
		return err
	}
	var request login.Request
	err = s.DB.Write(ctx, func(tx *store.Tx) (err error) {
		request, err = s.Logins.Ask(ctx, tx, a)
		return err
	})
	if err != nil {
		return err
	}
	note(r, "service", a.Service, "request", request.ID, "lane", string(request.Lane))
	http.Redirect(w, r, "/login/"+id, http.StatusSeeOther)
	return nil
}

// postedKey reads a public key that script put into the form; without script
// there is none.
func postedKey(r *http.Request, field string) (browser.Key, error) {
	text := r.PostForm.Get(field)
	if text == "" {
		return browser.Key{}, nil
	}
	k, err := browser.ParseKey(text)
	if err != nil {
		return browser.Key{}, fault{http.StatusBadRequest, "bad", fmt.Errorf("the field %s: %w", field, err)}
	}
	return k, nil
}

// shorten keeps a page from repeating more than a number could be.
func shorten(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), 64)], "")
}

// cancel is the person giving up: the service is told.
func (s *Site) cancel(w http.ResponseWriter, r *http.Request) error {
	ctx, id := r.Context(), r.PathValue("id")
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		request, asked, err := s.Logins.ByAuthorization(ctx, tx, id)
		if err != nil || !asked {
			return err
		}
		return s.Logins.Cancel(ctx, tx, request.ID, s.o.Browser.Secret(r))
	})
	if err != nil {
		return err
	}
	return s.Provider.Deny(leaving(w, r), r, id, "access_denied", "the person gave up")
}

// leaving prepares w for an answer that sends the browser away: to a script
// that asked for JSON the address is told as {"location"}. Browsers hold a
// form's redirects to the page's form-action all along the way, and a service
// may send its visitors on to addresses that nobody told us.
func leaving(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if wantsJSON(r) {
		return &told{ResponseWriter: w}
	}
	return w
}

type told struct {
	http.ResponseWriter
	done bool
}

func (w *told) WriteHeader(status int) {
	location := w.Header().Get("Location")
	if status < 300 || status > 399 || location == "" {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.done = true
	for _, name := range []string{"Location", "Content-Type", "Content-Length"} {
		w.Header().Del(name)
	}
	_ = writeJSON(w.ResponseWriter, http.StatusOK, map[string]string{"location": location}) // strings always encode
}

func (w *told) Write(b []byte) (int, error) {
	if w.done {
		return len(b), nil // the page that accompanies a redirect
	}
	return w.ResponseWriter.Write(b)
}
