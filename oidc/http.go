package oidc

import (
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

const longestForm = 64 << 10 // bytes of a posted form

// refusal is an error answer (RFC 6749 §5.2).
type refusal struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// answer writes v as JSON that nobody keeps, unless the header says otherwise.
func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Pragma", "no-cache")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// refuseCall answers with an error of the protocol.
func refuseCall(w http.ResponseWriter, r *http.Request, e refusal) {
	status := http.StatusBadRequest
	if e.Code == "invalid_client" {
		status = http.StatusUnauthorized
		if r.Header.Get("Authorization") != "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="vigie"`)
		}
	}
	answer(w, status, e)
}

var invalidGrant = refusal{"invalid_grant", "the code or the refresh token is not, or no longer, good"}

// unavailable answers a service that it may try again.
func (p *Provider) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	p.trouble(r, err)
	w.Header().Set("Retry-After", "2")
	answer(w, http.StatusServiceUnavailable, refusal{"temporarily_unavailable", "try again"})
}

// trouble logs what went wrong on our side.
func (p *Provider) trouble(r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the caller went away
	}
	p.o.Log.LogAttrs(r.Context(), slog.LevelError, "OpenID Connect failed", slog.String("path", r.URL.Path), slog.String("error", err.Error()))
}

// relay answers what go-oidc answered to a call of a service.
func (p *Provider) relay(w http.ResponseWriter, r *http.Request, c *call, b *buffer) {
	switch {
	case c.failed != nil:
		p.unavailable(w, r, c.failed)
	case b.status >= http.StatusInternalServerError:
		p.unavailable(w, r, errors.Join(errors.New("go-oidc failed"), c.refused))
	case b.status >= http.StatusBadRequest:
		refuseCall(w, r, b.refusal())
	default:
		b.send(w)
	}
}

// refusal reads the error that go-oidc answered.
func (b *buffer) refusal() refusal {
	var e refusal
	if err := json.Unmarshal(b.body.Bytes(), &e); err != nil || e.Code == "" {
		return refusal{Code: "invalid_request"}
	}
	return e
}

// send writes the answer as it is.
func (b *buffer) send(w http.ResponseWriter) {
	for name, v := range b.header {
		w.Header()[name] = v
	}
	w.WriteHeader(b.status)
	w.Write(b.body.Bytes())
}

// form reads the form that a service posts; where it is no good, form answers
// and returns false.
func (p *Provider) form(w http.ResponseWriter, r *http.Request) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		refuseCall(w, r, refusal{"invalid_request", "send a form: application/x-www-form-urlencoded"})
		return false
	}
	if err := parseForm(w, r); err != nil {
		refuseCall(w, r, refusal{"invalid_request", err.Error()})
		return false
	}
	return true
}

var errForm = errors.New("the form is too large, repeats a parameter, or is not text")

func parseForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, longestForm)
	if err := r.ParseForm(); err != nil || malformed(r.PostForm) {
		return errForm
	}
	return nil
}

// malformed says whether q repeats a parameter (RFC 6749 §3.1), or holds what no
// database stores as text.
func malformed(q url.Values) bool {
	for name, values := range q {
		if len(values) > 1 && name != "resource" && name != "audience" {
			return true
		}
		for _, v := range values {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				return true
			}
		}
	}
	return false
}

// renderError is called by go-oidc when an error at /auth cannot be told to the
// service: a person reads it.
func (p *Provider) renderError(w http.ResponseWriter, r *http.Request, err error) error {
	c := of(r.Context())
	if c.signed != nil {
		return err // in Finish there is nothing to show: it returns the error
	}
	if b, ok := w.(*buffer); ok {
		b.reset() // the way to the portal may be written already
	}
	key := WrongRequest
	var e goidc.Error
	if errors.As(err, &e) {
		switch {
		case e.Code == goidc.ErrorCodeInvalidClient:
			key = WrongService
		case c.client != nil && strings.Contains(e.Error(), "redirect_uri"):
			key = WrongRedirect
		}
	}
	p.o.Error(w, r, http.StatusBadRequest, key)
	return nil
}
