package oidc_test

import (
	"context"
	"crypto"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/luikyv/go-oidc/pkg/provider"
	"golang.org/x/oauth2"

	"vigie/directory"
	"vigie/oidc"
	"vigie/session"
	"vigie/store"
	"vigie/store/storetest"
)

// A code flow without network: /auth, the code, the token endpoint, userinfo.
// The bare one is go-oidc alone, as its documentation sets it up, in memory; it
// is what ours is measured against.

func BenchmarkCodeFlow(b *testing.B) {
	b.Run("bare", func(b *testing.B) { benchmarkFlow(b, bare(b)) })
	b.Run("sqlite", func(b *testing.B) { benchmarkOurs(b, storetest.Open(b, store.Options{})) })
	b.Run("postgres", func(b *testing.B) { benchmarkOurs(b, storetest.OpenPostgres(b, store.Options{})) })
}

// benched is a provider and how to sign in there.
type benched struct {
	http.Handler
	id, secret            string
	auth, token, userinfo string // paths
	finish                func(path string, cookies []*http.Cookie) *httptest.ResponseRecorder
}

func benchmarkFlow(b *testing.B, p benched) {
	b.ReportAllocs()
	for b.Loop() {
		q := url.Values{"client_id": {p.id}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"}, "nonce": {"n"},
			"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"}}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, p.auth+"?"+q.Encode(), nil))
		to := w.Header().Get("Location")
		if p.finish != nil {
			to = p.finish(to, w.Result().Cookies()).Header().Get("Location")
		}
		u, err := url.Parse(to)
		if err != nil || u.Query().Get("code") == "" {
			b.Fatalf("no code: %q", to)
		}
		form := url.Values{"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}}
		r := httptest.NewRequest(http.MethodPost, p.token, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(p.id, p.secret)
		w = httptest.NewRecorder()
		p.ServeHTTP(w, r)
		var t struct {
			Access string `json:"access_token"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &t); err != nil || w.Code != http.StatusOK {
			b.Fatalf("token endpoint: %d %s", w.Code, w.Body)
		}
		r = httptest.NewRequest(http.MethodGet, p.userinfo, nil)
		r.Header.Set("Authorization", "Bearer "+t.Access)
		w = httptest.NewRecorder()
		if p.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatalf("userinfo: %d %s", w.Code, w.Body)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sign-ins/s")
}

func benchmarkOurs(b *testing.B, db *store.DB) {
	keys, err := generated()
	if err != nil {
		b.Fatal(err)
	}
	p, err := oidc.New(db, keys, oidc.Options{Issuer: "https://vigie.example" + oidc.Realm, Provider: providerUUID})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := directory.Load(b.Context(), db, directory.Demo()); err != nil {
		b.Fatal(err)
	}
	var secret string
	if err := db.Write(b.Context(), func(tx *store.Tx) error {
		_, secret, err = oidc.AddService(b.Context(), tx, oidc.Service{ID: "vaccin", Name: "Vaccin AmeliPRO", RedirectURIs: []string{callback}}, "operator:b")
		return err
	}); err != nil {
		b.Fatal(err)
	}
	before := db.Stats()
	benchmarkFlow(b, benched{Handler: p.Handler(), id: "vaccin", secret: secret, auth: "/auth",
		token: oidc.Realm + "/protocol/openid-connect/token", userinfo: oidc.Realm + "/protocol/openid-connect/userinfo",
		finish: func(path string, cookies []*http.Cookie) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			for _, c := range cookies {
				r.AddCookie(c)
			}
			w := httptest.NewRecorder()
			err := p.Finish(w, r, strings.TrimPrefix(path, "/login/"), func(ctx context.Context, tx *store.Tx, a oidc.Authorization) (session.Session, error) {
				s, _, err := session.Open(ctx, tx, session.New{Professional: anne, Kind: session.None, Means: session.Mobile, Service: a.Service})
				return s, err
			})
			if err != nil {
				b.Fatal(err)
			}
			return w
		}})
	after := db.Stats()
	b.ReportMetric(float64(after.Statements-before.Statements)/float64(b.N), "statements/op")
	b.ReportMetric(float64(after.Writes-before.Writes)/float64(b.N), "writes/op")
}

// bare is go-oidc as it comes: ID tokens RS256, access tokens ES256.
func bare(b *testing.B) benched {
	keys, err := generated()
	if err != nil {
		b.Fatal(err)
	}
	var set goidc.JSONWebKeySet
	for _, k := range keys.SigningKeys() {
		if k.Current {
			set.Keys = append(set.Keys, goidc.JSONWebKey{Key: crypto.PrivateKey(k.Private), KeyID: k.ID, Algorithm: k.Alg, Use: "sig"})
		}
	}
	client := &goidc.Client{ID: "vaccin", Secret: "secret", ClientMeta: goidc.ClientMeta{RedirectURIs: []string{callback}, ScopeIDs: "openid",
		GrantTypes: []goidc.GrantType{goidc.GrantAuthorizationCode, goidc.GrantRefreshToken}, ResponseTypes: []goidc.ResponseType{goidc.ResponseTypeCode},
		TokenAuthnMethod: goidc.AuthnMethodSecretBasic}}
	op, err := provider.New(provider.Config{Issuer: "https://vigie.example", JWKS: func(context.Context) (goidc.JSONWebKeySet, error) { return set, nil },
		IDTokenAlgs: []goidc.SignatureAlgorithm{jose.RS256, jose.ES256}},
		provider.WithScopes(goidc.ScopeOpenID), provider.WithSecretBasicAuthn(), provider.WithStaticClients(client), provider.WithRefreshTokenGrant(nil),
		provider.WithJTIConsumer(func(context.Context, string) error { return nil }),
		provider.WithTokenOptions(func(context.Context, *goidc.Grant, *goidc.Client) goidc.TokenOptions {
			return goidc.NewJWTTokenOptions(jose.ES256, 120)
		}),
		provider.WithAuthCodeGrant(provider.AuthCodeGrantConfig{ResponseTypes: []goidc.ResponseType{goidc.ResponseTypeCode}},
			provider.WithPKCE([]goidc.CodeChallengeMethod{goidc.CodeChallengeMethodSHA256}),
			provider.WithAuthPolicies(goidc.NewPolicy("yes", func(*http.Request, *goidc.AuthnSession, *goidc.Client) bool { return true },
				func(_ http.ResponseWriter, _ *http.Request, as *goidc.AuthnSession, _ *goidc.Client) (goidc.Status, error) {
					as.Subject, as.GrantedScopes = "f:x:899700000017", as.Scopes
					return goidc.StatusSuccess, nil
				}))))
	if err != nil {
		b.Fatal(err)
	}
	return benched{Handler: op.Handler(), id: "vaccin", secret: "secret", auth: "/authorize", token: "/token", userinfo: "/userinfo"}
}
