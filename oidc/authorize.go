package oidc

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"vigie/directory"
)

const (
	longestQuery = 16 << 10 // bytes of the address that a browser comes with
	longestHint  = 128      // bytes of a login_hint or of ui_locales that are kept
	pushedPrefix = "urn:ietf:params:oauth:request_uri:"
)

// understood are the parameters of an authorization request that mean
// something here. Others are ignored, as OpenID Connect Core §3.1.2.1 asks.
var understood = []string{"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "prompt", "max_age", "acr_values", "login_hint", "id_token_hint", "ui_locales", "request", "request_uri"}

// credentials are what a service may prove itself with in a form.
var credentials = []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"}

// authorize is GET /auth.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(r.URL.RawQuery) > longestQuery || malformed(q) {
		p.o.Error(w, r, http.StatusBadRequest, WrongRequest)
		return
	}
	if uri := q.Get("request_uri"); strings.HasPrefix(uri, pushedPrefix) {
		// What was pushed stands alone (RFC 9126 §4).
		q = url.Values{"client_id": {q.Get("client_id")}, "request_uri": {uri}}
	}
	c := &call{cookie: p.o.Browser.Ensure(w, r)}
	r2 := r.Clone(r.Context())
	r2.URL.RawQuery = p.understand(c, r2, q).Encode()
	b := p.run(r2, c)
	if c.failed != nil {
		p.trouble(r, c.failed)
		p.o.Error(w, r, http.StatusServiceUnavailable, Unavailable)
		return
	}
	b.send(w)
}

// authorizeForm is POST /auth. A form of another site arrives without the
// browser's cookie; what it asks for comes back as an address, with it.
func (p *Provider) authorizeForm(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if err := parseForm(w, r); err != nil {
		p.o.Error(w, r, http.StatusBadRequest, WrongRequest)
		return
	}
	query := only(r.PostForm, understood).Encode()
	if len(query) > longestQuery {
		p.o.Error(w, r, http.StatusBadRequest, WrongRequest)
		return
	}
	w.Header().Set("Location", "/auth?"+query)
	w.WriteHeader(http.StatusSeeOther)
}

// push is the pushed authorization request (RFC 9126).
func (p *Provider) push(w http.ResponseWriter, r *http.Request) {
	if !p.form(w, r) {
		return
	}
	c := &call{}
	kept := only(r.PostForm, credentials)
	for name, v := range p.understand(c, r, r.PostForm) {
		kept[name] = v
	}
	r.PostForm = kept
	p.relay(w, r, c, p.run(below(r), c))
}

// understand returns what go-oidc is to see of an authorization request, and
// keeps in c what it need not see.
func (p *Provider) understand(c *call, r *http.Request, asked url.Values) url.Values {
	q := only(asked, understood)
	take := func(name string) string {
		v := q.Get(name)
		q.Del(name)
		return v
	}
	wrong := func(code goidc.ErrorCode, why string) {
		if c.wrong == nil {
			c.wrong = goidc.NewError(code, why)
		}
	}
	c.redirect = q.Get("redirect_uri")
	c.asked.LoginHint, c.asked.Locales = shortened(take("login_hint")), shortened(take("ui_locales"))
	for name, known := range map[string][]string{"scope": scopeNames, "acr_values": {acr}} {
		kept := slices.DeleteFunc(strings.Fields(take(name)), func(s string) bool { return !slices.Contains(known, s) })
		if len(kept) > 0 {
			q.Set(name, strings.Join(kept, " "))
		}
	}
	prompts := strings.Fields(take("prompt"))
	switch {
	case slices.Contains(prompts, "none") && len(prompts) > 1:
		wrong(goidc.ErrorCodeInvalidRequest, "prompt none stands alone")
	case slices.Contains(prompts, "none"):
		c.asked.Prompt = PromptNone
	case slices.Contains(prompts, "login"), slices.Contains(prompts, "select_account"):
		c.asked.Prompt = PromptLogin
	}
	if v := take("max_age"); v != "" {
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			wrong(goidc.ErrorCodeInvalidRequest, "max_age is a number of seconds")
		}
		seconds := int(n)
		c.asked.MaxAge = &seconds
	}
	if mode := take("response_mode"); mode == "query" || mode == "fragment" {
		q.Set("response_mode", mode)
	} else if mode != "" {
		wrong(goidc.ErrorCodeInvalidRequest, "response_mode is not supported")
	}
	if v := take("request"); v != "" {
		wrong("request_not_supported", "send the parameters, or push them")
	}
	if v := take("id_token_hint"); v != "" {
		hint, err := p.readHint(r.Context(), v)
		if err != nil {
			wrong(goidc.ErrorCodeInvalidRequest, "id_token_hint is not a token of ours")
		}
		c.hinted, c.asked.Professional = hint.Service, directory.ID(hint.Professional)
	}
	return q
}

// only returns the named values of q, the first of each.
func only(q url.Values, names []string) url.Values {
	kept := url.Values{}
	for _, name := range names {
		if v := q.Get(name); v != "" {
			kept.Set(name, v)
		}
	}
	return kept
}

// shortened cuts s where it is too long to be meant.
func shortened(s string) string {
	if len(s) > longestHint {
		return ""
	}
	return s
}
