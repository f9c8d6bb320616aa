package oidc_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"vigie/oidc"
	"vigie/store"
	"vigie/store/storetest"
)

// alone is a provider with one service and one handler, without network.
func alone(f *testing.F) (*oidc.Provider, string) {
	keys, err := generated()
	if err != nil {
		f.Fatal(err)
	}
	db := storetest.Open(f, store.Options{})
	p, err := oidc.New(db, keys, oidc.Options{Issuer: "https://vigie.example" + oidc.Realm, Provider: providerUUID})
	if err != nil {
		f.Fatal(err)
	}
	var secret string
	if err := db.Write(f.Context(), func(tx *store.Tx) error {
		_, secret, err = oidc.AddService(f.Context(), tx, oidc.Service{ID: "vaccin", Name: "Vaccin AmeliPRO", RedirectURIs: []string{callback}, LogoutURIs: []string{goodbye}}, "operator:f")
		return err
	}); err != nil {
		f.Fatal(err)
	}
	return p, secret
}

// FuzzAddresses: whatever address a stranger makes for /auth or logout, the
// browser is led to the portal or to an address of the service, and nothing
// breaks.
func FuzzAddresses(f *testing.F) {
	p, _ := alone(f)
	h := p.Handler()
	for _, q := range []string{
		"client_id=vaccin&redirect_uri=" + url.QueryEscape(callback) + "&response_type=code&scope=openid+scope_all&state=s&nonce=n&code_challenge=" +
			oauth2.S256ChallengeFromVerifier(verifier) + "&code_challenge_method=S256",
		"client_id=vaccin&redirect_uri=" + url.QueryEscape(callback) + "&response_type=code&scope=openid&prompt=none&max_age=0&response_mode=fragment",
		"client_id=vaccin&request_uri=urn:ietf:params:oauth:request_uri:x", "client_id=vaccin&redirect_uri=https://thieves.example/",
		"id_token_hint=a.b.c&post_logout_redirect_uri=" + url.QueryEscape(goodbye) + "&client_id=vaccin", "%", "a=b;c", "scope=%00",
	} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		for _, path := range []string{"/auth", oidc.Realm + "/protocol/openid-connect/logout"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.URL.RawQuery = q
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			to := w.Header().Get("Location")
			u, err := url.Parse(to)
			switch {
			case w.Code == http.StatusBadRequest, w.Code == http.StatusOK && path != "/auth":
			case w.Code == http.StatusSeeOther && err == nil && (strings.HasPrefix(to, "/login/") || strings.HasPrefix(to, "/logout/")):
			case w.Code == http.StatusSeeOther && err == nil && u.Scheme+"://"+u.Host+u.Path == callback && u.Query().Get("code") == "":
			default:
				t.Errorf("%s?%s: %d, leads to %q", path, q, w.Code, to)
			}
		}
	})
}

// FuzzForms: whatever a service posts is answered, never with tokens, and
// nothing breaks.
func FuzzForms(f *testing.F) {
	p, secret := alone(f)
	h := p.Handler()
	for _, form := range []string{
		"grant_type=authorization_code&code=x&redirect_uri=" + url.QueryEscape(callback) + "&code_verifier=" + verifier,
		"grant_type=refresh_token&refresh_token=ABC-1-x", "grant_type=refresh_token&refresh_token=-1-&scope=openid", "token=a.b.c", "token=ABC-1-x&token_type_hint=refresh_token",
		"client_assertion=a.b.c&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_id=vaccin&client_secret=x", "grant_type=%00",
		"response_type=code&scope=openid&redirect_uri=" + url.QueryEscape(callback) + "&max_age=x", "token", "%", "a=1&a=2",
	} {
		f.Add(form, true)
		f.Add(form, false)
	}
	f.Fuzz(func(t *testing.T, form string, authenticated bool) {
		for _, path := range []string{"token", "token/introspect", "revoke", "ext/par/request"} {
			r := httptest.NewRequest(http.MethodPost, oidc.Realm+"/protocol/openid-connect/"+path, strings.NewReader(form))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if authenticated {
				r.SetBasicAuth("vaccin", secret)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code >= 500 || strings.Contains(w.Body.String(), "access_token") || strings.Contains(w.Body.String(), `"active":true`) ||
				!authenticated && w.Code < 400 {
				t.Errorf("%s %q: %d %s", path, form, w.Code, w.Body)
			}
		}
	})
}
