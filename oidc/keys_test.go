package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	foreign "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"

	"vigie/oidc"
	"vigie/secrets"
	"vigie/store"
	"vigie/store/storetest"
)

func TestAServicePresentsItsSecretEitherWay(t *testing.T) {
	eachWorld(t, func(w *world) {
		b := w.browser()
		form := func() url.Values {
			return url.Values{"grant_type": {"authorization_code"}, "code": {w.code(b, verifier)}, "redirect_uri": {callback}, "code_verifier": {verifier}}
		}
		f := form()
		f.Set("client_id", w.service.ID)
		f.Set("client_secret", w.secret)
		if status, a := w.postAs("", "", "/protocol/openid-connect/token", f); status != http.StatusOK {
			w.Errorf("in the form: %d %v", status, a)
		}
		if status, a := w.post("/protocol/openid-connect/token", form()); status != http.StatusOK {
			w.Errorf("by Basic: %d %v", status, a)
		}
		f = form()
		f.Set("client_id", w.service.ID)
		if status, a := w.postAs("", "", "/protocol/openid-connect/token", f); status != http.StatusUnauthorized || a["error"] != "invalid_client" {
			w.Errorf("without: %d %v", status, a)
		}
		for name, f := range map[string]url.Values{
			"an unknown grant type": {"grant_type": {"password"}, "username": {"x"}},
			"no code":               {"grant_type": {"authorization_code"}},
			"no refresh token":      {"grant_type": {"refresh_token"}},
			"two codes":             {"grant_type": {"authorization_code"}, "code": {"a", "b"}},
		} {
			if status, a := w.post("/protocol/openid-connect/token", f); status != http.StatusBadRequest || a["error"] == "" {
				w.Errorf("%s: %d %v", name, status, a)
			}
		}
	})
}

func TestAServiceProvesItselfByItsKeyOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) { // go-oidc judges assertions by the machine's clock
		w := newWorld(t, db, storetest.NewClock())
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
		if err != nil {
			t.Fatal(err)
		}
		s, secret := w.add(oidc.Service{ID: "labo", Name: "Laboratoire", AuthMethod: oidc.PrivateKeyJWT, JWKS: string(set), Alg: "ES256"})
		if secret != "" {
			t.Error("it got a secret")
		}
		assertion := func(jti string) string {
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := jwt.Signed(signer).Claims(jwt.Claims{Issuer: s.ID, Subject: s.ID, Audience: jwt.Audience{w.issuer + "/protocol/openid-connect/token"},
				ID: jti, Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute)), IssuedAt: jwt.NewNumericDate(time.Now())}).Serialize()
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		b := w.browser()
		redeem := func(assertion string) (int, map[string]any) {
			conf := w.oauth(s, "")
			back, _ := b.goes(conf.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), "")
			u, _ := url.Parse(back)
			return w.postAs("", "", "/protocol/openid-connect/token", url.Values{"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")},
				"redirect_uri": {callback}, "code_verifier": {verifier}, "client_assertion": {assertion},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}})
		}
		first := assertion("1")
		status, answer := redeem(first)
		if status != http.StatusOK {
			t.Fatalf("by its key: %d %v", status, answer)
		}
		if _, err := w.foreign.Verifier(&foreign.Config{ClientID: s.ID, SupportedSigningAlgs: []string{"ES256"}}).Verify(t.Context(), text(answer, "id_token")); err != nil {
			t.Errorf("its ID token is not signed with ES256: %v", err)
		}
		if status, a := redeem(first); status != http.StatusUnauthorized || a["error"] != "invalid_client" {
			t.Errorf("the same assertion again: %d %v", status, a)
		}
		if status, _ := redeem(assertion("2")); status != http.StatusOK {
			t.Errorf("another assertion: %d", status)
		}
	})
}

func TestServicesKeepVerifyingWhileKeysRotate(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		keys, err := secrets.Generate() // of its own: they change
		if err != nil {
			t.Fatal(err)
		}
		w := newWorldOf(t, db, clock, keys)
		kids := func() []string {
			r, _ := http.NewRequest(http.MethodGet, w.issuer+"/protocol/openid-connect/certs", nil)
			_, set := w.do(r)
			var all []string
			for _, k := range set["keys"].([]any) {
				k := k.(map[string]any)
				if k["use"] != "sig" || k["alg"] == nil || k["d"] != nil {
					w.Errorf("published key %v", k)
				}
				all = append(all, k["kid"].(string))
			}
			return all
		}
		before := kids()
		if len(before) != 4 {
			w.Errorf("%d keys are published, want current and next of two algorithms", len(before))
		}
		old := w.tokens(w.browser())
		// A client that pasted the JWKS when it was configured.
		pasted := foreign.NewRemoteKeySet(w.Context(), w.issuer+"/protocol/openid-connect/certs")
		verify := func(raw string) error {
			_, err := foreign.NewVerifier(w.issuer, pasted, &foreign.Config{ClientID: "vaccin", Now: w.clock.Now}).Verify(w.Context(), raw)
			return err
		}
		if err := verify(text(old, "id_token")); err != nil {
			w.Fatal(err)
		}
		if err := w.keys.RotateSigning(w.clock.Now()); err != nil {
			w.Fatal(err)
		}
		after := kids()
		for _, kid := range before {
			if !contains(after, kid) {
				w.Errorf("key %s is no more published", kid)
			}
		}
		fresh := w.tokens(w.browser())
		if err := verify(text(fresh, "id_token")); err != nil {
			w.Errorf("a token of the key that was announced: %v", err)
		}
		if kidOf(w, text(old, "id_token")) == kidOf(w, text(fresh, "id_token")) {
			w.Error("the old key still signs")
		}
		w.alive(old, "the keys rotated")
	})
}

func contains(all []string, s string) bool {
	return strings.Contains(" "+strings.Join(all, " ")+" ", " "+s+" ")
}

func kidOf(w *world, raw string) string {
	t, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		w.Fatal(err)
	}
	return t.Headers[0].KeyID
}
