package oidc

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"vigie/session"
	"vigie/store"
)

// A leaving is a wish to log out: who wishes it and where to go afterwards.
type leaving struct {
	Service string `json:"service,omitempty"`
	To      string `json:"to,omitempty"` // registered for that service, or ""
	State   string `json:"state,omitempty"`
	Until   int64  `json:"until"` // Unix milliseconds
}

// logout is RP-initiated logout: a click on "log out" in a service ends the
// session for all services, as with Pro Santé Connect. An ID token of ours says
// which session is meant, however old it is, and ends that one alone, if the
// service joined it. Without a good one a person is asked: nobody is logged out
// by an address that a stranger made.
func (p *Provider) logout(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	q := r.URL.Query()
	if r.Method == http.MethodPost {
		if err := parseForm(w, r); err != nil {
			p.o.Error(w, r, http.StatusBadRequest, WrongRequest)
			return
		}
		q = r.PostForm
	}
	if malformed(q) {
		p.o.Error(w, r, http.StatusBadRequest, WrongRequest)
		return
	}
	h, err := p.readHint(r.Context(), q.Get("id_token_hint"))
	if id := q.Get("client_id"); err != nil || (id != "" && id != h.Service) {
		h = hint{}
	}
	run := p.db.Read
	if h.Session != "" {
		run = p.db.Write
	}
	var l leaving
	var done, ours bool
	err = run(r.Context(), func(tx *store.Tx) (err error) {
		l, done, ours, err = p.leave(r, tx, q, h)
		return err
	})
	if err != nil {
		p.trouble(r, err)
		p.o.Error(w, r, http.StatusServiceUnavailable, Unavailable)
		return
	}
	if !done {
		w.Header().Set("Location", "/logout/"+p.sealLeaving(l))
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	if ours {
		p.o.Session.Clear(w)
	}
	p.left(w, r, l)
}

// leave does at once what a good hint asks for; when it was not done a person
// must confirm it. Ours says that the session was that of this browser.
func (p *Provider) leave(r *http.Request, tx *store.Tx, q url.Values, h hint) (l leaving, done, ours bool, err error) {
	ctx, id := r.Context(), h.Service
	if id == "" {
		id = q.Get("client_id")
	}
	l = leaving{Until: store.Millis(tx.Now.Add(confirmLife))}
	s, ok, err := findService(ctx, tx, id)
	if err != nil {
		return l, false, false, err
	}
	if ok && s.Disabled.IsZero() {
		l.Service = s.ID
		if to := q.Get("post_logout_redirect_uri"); slices.Contains(s.LogoutURIs, to) {
			l.To, l.State = to, q.Get("state")
		}
	}
	if h.Session == "" || l.Service == "" {
		return l, false, false, nil
	}
	joined, err := session.Joins(ctx, tx, h.Session, h.Service)
	if err != nil || !joined {
		return l, false, false, err
	}
	held, holds, err := session.Held(ctx, tx, p.o.Session.Secret(r))
	if err != nil {
		return l, false, false, err
	}
	ours = holds && held.ID == h.Session
	ended, err := session.End(ctx, tx, h.Session, "logged out in a service", "service:"+h.Service)
	// When it was over before, another session of this browser is not meant; and
	// where there is none, nothing is left to ask.
	return l, ended || !holds, ours, err
}

// left answers once the session is over.
func (p *Provider) left(w http.ResponseWriter, r *http.Request, l leaving) {
	if l.To == "" {
		p.o.LoggedOut(w, r)
		return
	}
	to := l.To
	if u, err := url.Parse(to); err == nil && l.State != "" {
		q := u.Query()
		q.Set("state", l.State)
		u.RawQuery = q.Encode()
		to = u.String()
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// Logout is a wish to log out that a person must confirm.
type Logout struct {
	Service     string // that wishes it, "" when unknown
	ServiceName string
	ReturnURI   string          // where confirming leads to, "" for a page of ours
	Session     session.Session // that would end; zero when this browser has none
}

// Logout reads the token of the page that asks for confirmation. It answers
// ErrExpired when the token is old or not ours.
func (p *Provider) Logout(ctx context.Context, tx *store.Tx, r *http.Request, token string) (Logout, error) {
	l, ok := p.openLeaving(token, tx.Now)
	if !ok {
		return Logout{}, ErrExpired
	}
	out := Logout{ReturnURI: l.To}
	if l.Service != "" {
		s, ok, err := findService(ctx, tx, l.Service)
		if err != nil {
			return Logout{}, err
		}
		if ok {
			out.Service, out.ServiceName = s.ID, s.Name
		}
	}
	s, ok, err := session.Held(ctx, tx, p.o.Session.Secret(r))
	if ok {
		out.Session = s
	}
	return out, err
}

// ConfirmLogout ends the session of this browser, whatever there is of it, and
// answers: back to the service where it asked for that, else Options.LoggedOut.
// The caller has made sure that the page of this portal sent r.
func (p *Provider) ConfirmLogout(w http.ResponseWriter, r *http.Request, token string) error {
	l, ok := p.openLeaving(token, p.db.Now())
	if !ok {
		return ErrExpired
	}
	err := p.db.Write(r.Context(), func(tx *store.Tx) error {
		s, ok, err := session.Held(r.Context(), tx, p.o.Session.Secret(r))
		if err != nil || !ok {
			return err
		}
		_, err = session.End(r.Context(), tx, s.ID, "logged out at the portal", "professional")
		return err
	})
	if err != nil {
		return err
	}
	p.o.Session.Clear(w)
	p.left(w, r, l)
	return nil
}

// sealLeaving makes the token of a confirmation page: nothing is stored for it,
// and nobody else can make one that leads elsewhere.
func (p *Provider) sealLeaving(l leaving) string {
	body, err := json.Marshal(l)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(p.leavingMAC(body), body...))
}

func (p *Provider) openLeaving(token string, now time.Time) (leaving, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimSpace(token))
	if err != nil || len(raw) < sha256.Size {
		return leaving{}, false
	}
	var l leaving
	if mac, body := raw[:sha256.Size], raw[sha256.Size:]; !hmac.Equal(mac, p.leavingMAC(body)) || json.Unmarshal(body, &l) != nil {
		return leaving{}, false
	}
	return l, now.Before(store.FromMillis(l.Until))
}

func (p *Provider) leavingMAC(body []byte) []byte {
	mac := hmac.New(sha256.New, p.confirmKey)
	mac.Write(body)
	return mac.Sum(nil)
}
