package oidc_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"vigie/oidc"
	"vigie/session"
	"vigie/store"
)

func TestLoggingOutInAService(t *testing.T) {
	eachWorld(t, func(w *world) {
		logout := func(b *surfer, method string, q url.Values) (string, int) {
			address := w.issuer + "/protocol/openid-connect/logout"
			var resp *http.Response
			var err error
			if method == http.MethodPost {
				resp, err = b.PostForm(address, q)
			} else {
				resp, err = b.Get(address + "?" + q.Encode())
			}
			if err != nil {
				w.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			to, _ := resp.Location()
			if to == nil {
				return "", resp.StatusCode
			}
			return to.String(), resp.StatusCode
		}
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			b := w.browser()
			answer := w.tokens(b)
			w.clock.Add(20 * time.Minute) // the ID token has long expired
			_, answer2 := w.refresh(text(answer, "refresh_token"))
			to, _ := logout(b, method, url.Values{"id_token_hint": {text(answer, "id_token")}, "post_logout_redirect_uri": {goodbye}, "state": {"a&b"}})
			if to != goodbye+"?state=a%26b" {
				w.Errorf("%s: leads to %s", method, to)
			}
			w.dead(answer2, "logout by "+method)

			answer = w.tokens(b)
			to, status := logout(b, method, url.Values{"id_token_hint": {text(answer, "id_token")}})
			if status != http.StatusOK || to != "" {
				w.Errorf("%s without a redirect URI: %d %s", method, status, to)
			}
			w.dead(answer, "logout without a redirect URI")
			if to, status := logout(b, method, url.Values{"id_token_hint": {text(answer, "id_token")}}); status != http.StatusOK {
				w.Errorf("%s again: %d %s", method, status, to)
			}

			// Nobody is sent where the service never said.
			answer = w.tokens(b)
			to, status = logout(b, method, url.Values{"id_token_hint": {text(answer, "id_token")}, "post_logout_redirect_uri": {"https://evil.example/"}, "state": {"x"}})
			if status != http.StatusOK || to != "" {
				w.Errorf("%s to an address that is not registered: %d %s", method, status, to)
			}
		}

		// Everything else asks a person, and ends nothing.
		b := w.browser()
		old := w.tokens(b)
		w.write(func(ctx context.Context, tx *store.Tx) error {
			_, err := session.EndAllOf(ctx, tx, anne, "undo", "professional")
			return err
		})
		answer := w.tokens(b)
		stranger := w.tokens(w.browser())
		loose, _ := w.add(oidc.Service{ID: "labo", Name: "Laboratoire", LogoutURIs: []string{"https://labo.example/bye"}})
		for name, q := range map[string]url.Values{
			"no hint":                             {},
			"no hint, but an address":             {"client_id": {"vaccin"}, "post_logout_redirect_uri": {goodbye}},
			"nonsense":                            {"id_token_hint": {"x"}},
			"an access token":                     {"id_token_hint": {text(answer, "access_token")}},
			"a refresh token":                     {"id_token_hint": {text(answer, "refresh_token")}},
			"a changed token":                     {"id_token_hint": {text(answer, "id_token") + "A"}},
			"another service's name":              {"id_token_hint": {text(answer, "id_token")}, "client_id": {loose.ID}},
			"the token of a session that is over": {"id_token_hint": {text(old, "id_token")}},
		} {
			to, status := logout(b, http.MethodGet, q)
			if status != http.StatusSeeOther || !strings.HasPrefix(to, w.base+"/logout/") {
				w.Errorf("%s: %d %s", name, status, to)
			}
		}
		w.alive(answer, "logout without a good hint")
		w.write(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `DELETE FROM sessions_services WHERE session = $1`, text(stranger, "session_state"))
			return err
		})
		if to, _ := logout(b, http.MethodGet, url.Values{"id_token_hint": {text(stranger, "id_token")}}); !strings.HasPrefix(to, w.base+"/logout/") {
			w.Errorf("the token of a session that the service did not join: %s", to)
		}
		w.alive(stranger, "logout of another browser")

		// Who confirms is logged out, here and in all services.
		to, _ := logout(b, http.MethodGet, url.Values{"client_id": {"vaccin"}, "post_logout_redirect_uri": {goodbye}, "state": {"s"}})
		r, _ := http.NewRequestWithContext(w.Context(), http.MethodGet, to, nil)
		for _, ck := range b.Jar.Cookies(r.URL) {
			r.AddCookie(ck)
		}
		_, token, _ := strings.Cut(to, "/logout/")
		var asks oidc.Logout
		err := w.db.Read(w.Context(), func(tx *store.Tx) (err error) {
			asks, err = w.p.Logout(w.Context(), tx, r, token)
			return err
		})
		if err != nil || asks.ServiceName != "Vaccin AmeliPRO" || asks.Session.Professional != anne || asks.ReturnURI != goodbye {
			w.Errorf("the page knows %+v, %v", asks, err)
		}
		resp, err := b.Post(to, "", nil)
		if err != nil {
			w.Fatal(err)
		}
		resp.Body.Close()
		if after, _ := resp.Location(); after == nil || after.String() != goodbye+"?state=s" {
			w.Errorf("confirmed: %d %v", resp.StatusCode, after)
		}
		w.dead(answer, "logout was confirmed")
		w.alive(stranger, "another browser logged out")
		raw, _ := base64.RawURLEncoding.DecodeString(token)
		forged := base64.RawURLEncoding.EncodeToString(bytes.Replace(raw, []byte("vaccin.example"), []byte("thieves.example"), 1))
		for _, bad := range []string{token[:len(token)-3], forged, "x", ""} {
			if err := w.p.ConfirmLogout(&silent{}, r, bad); err != oidc.ErrExpired {
				w.Errorf("token %q: %v", bad, err)
			}
		}
		w.clock.Add(10 * time.Minute)
		if err := w.p.ConfirmLogout(&silent{}, r, token); err != oidc.ErrExpired {
			w.Errorf("an old token: %v", err)
		}
	})
}

func TestASecondServiceJoinsTheSession(t *testing.T) {
	eachWorld(t, func(w *world) {
		b := w.browser()
		first := w.tokens(b)
		w.clock.Add(5 * time.Minute)
		other, secret := w.add(oidc.Service{ID: "labo", Name: "Laboratoire"})
		conf := w.oauth(other, secret)
		back, _ := b.goes(conf.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), "")
		u, _ := url.Parse(back)
		_, second := w.postAs(other.ID, secret, "/protocol/openid-connect/token", url.Values{"grant_type": {"authorization_code"},
			"code": {u.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}})
		if first["session_state"] != second["session_state"] || second["session_state"] == nil {
			w.Errorf("sessions %v and %v", first["session_state"], second["session_state"])
		}
		var services []session.Joined
		w.write(func(ctx context.Context, tx *store.Tx) (err error) {
			services, err = session.Services(ctx, tx, text(first, "session_state"))
			return err
		})
		if len(services) != 2 || services[0].Service != "vaccin" || services[1].Service != "labo" {
			w.Errorf("joined: %v", services)
		}
		if a := w.introspect(text(second, "access_token")); a["auth_time"] != float64(w.clock.Now().Add(-5*time.Minute).Unix()) {
			w.Errorf("auth_time is not that of the first sign-in: %v", a)
		}
		// A click on "log out" in either ends both.
		resp, err := b.Get(w.issuer + "/protocol/openid-connect/logout?id_token_hint=" + text(second, "id_token"))
		if err != nil {
			w.Fatal(err)
		}
		resp.Body.Close()
		w.dead(first, "the other service logged out")
	})
}
