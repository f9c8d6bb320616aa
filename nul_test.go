package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"vigie/stage"
	"vigie/store"
	"vigie/store/storetest"
)

// PostgreSQL takes no text with a zero byte, nor what is not UTF-8: to whoever
// sends such things they are things that do not exist, on both databases.
func TestBytesThatNoDatabaseTakesAreNobodys(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db, clock)
		portal, app, base := w.server.Site.Portal(), w.server.Site.App(), w.app(t)
		c, key := w.newClient(t), newJWK(t)
		real, _, err := w.Activate(t.Context(), w.People[0], pin)
		if err != nil {
			t.Fatal(err)
		}
		for _, odd := range []string{"\x00", "a\x00b", "\xff", "\xc3\x28"} {
			path := url.PathEscape(odd)
			cookie, id := come(t, portal, w.Services[0])
			for _, r := range []*http.Request{
				httptest.NewRequest(http.MethodGet, "/login/"+path, nil),
				httptest.NewRequest(http.MethodGet, "/login/"+path+"/state", nil),
				httptest.NewRequest(http.MethodGet, "/login/"+path+"/events", nil),
				form("/login/"+path, url.Values{"national_id": {"899700000017"}}),
				form("/login/"+path+"/redeem", nil), form("/login/"+path+"/cancel", nil), form("/login/"+path+"/continue", nil), form("/login/"+path+"/other", nil),
				form("/login/"+id, url.Values{"national_id": {odd}}),
				form("/login/"+id, url.Values{"choice": {odd}, "key": {odd}, "proof": {odd}}),
				form("/login/"+id+"/redeem", url.Values{"proof": {odd}}),
				httptest.NewRequest(http.MethodGet, "/logos/"+path, nil),
				httptest.NewRequest(http.MethodGet, "/logout/"+path, nil), form("/logout/"+path, nil),
				httptest.NewRequest(http.MethodGet, "/activation/"+path, nil), form("/activation/"+path+"/send", nil), form("/activation/"+path+"/stop", nil),
				httptest.NewRequest(http.MethodGet, "/auth?client_id="+url.QueryEscape(odd), nil),
				httptest.NewRequest(http.MethodGet, "/auth?"+authQuery(c)+"&login_hint="+url.QueryEscape(odd), nil),
				httptest.NewRequest(http.MethodGet, "/auth?"+strings.Replace(authQuery(c), "state=s", "state="+url.QueryEscape(odd), 1), nil),
				httptest.NewRequest(http.MethodGet, "/auth?"+strings.Replace(authQuery(c), "nonce=n", "nonce="+url.QueryEscape(odd), 1), nil),
				c.request(t, "/token", url.Values{"grant_type": {"authorization_code"}, "code": {odd}, "redirect_uri": {landing}, "code_verifier": {odd}}),
				c.request(t, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {odd + "-1-x"}}),
				c.request(t, "/token/introspect", url.Values{"token": {odd}}), c.request(t, "/revoke", url.Values{"token": {odd}}),
				(&client{id: odd, secret: odd, portal: w.Portal}).request(t, "/token", url.Values{"grant_type": {"authorization_code"}, "code": {"x"}}),
				(&client{id: odd, secret: odd, portal: w.Portal}).request(t, "/ext/par/request", url.Values{"client_id": {odd}}),
			} {
				r.AddCookie(cookie)
				w.notOurs(t, portal, r)
			}
			inJSON := strings.ToValidUTF8(strings.ReplaceAll(odd, "\x00", `\u0000`), `\ufffd`)
			for path, body := range map[string]string{
				"/phone/codes":           `{"national_id":"899700000017","mobile":"` + inJSON + `","email":"` + inJSON + `"}`,
				"/phone/tickets":         `{"national_id":"` + inJSON + `","sms":"` + inJSON + `","email":"x"}`,
				"/phone/epochs":          `{"ticket":"` + inJSON + `"}`,
				"/phone/epochs/evaluate": `{"epoch":"` + inJSON + `","element":"A2sX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKW"}`,
				"/phone/activations":     `{"document":"` + inJSON + `"}`,
			} {
				w.notOurs(t, app, w.proven(t, base, key, http.MethodPost, path, []byte(body)))
			}
			_, opened := real.Open(t.Context(), path)
			_, more := real.More(t.Context(), path)
			_, claimed := real.Claim(t.Context(), odd)
			_, refused := real.Refuse(t.Context(), path)
			for _, err := range []error{opened, more, claimed, refused, real.Undo(t.Context(), odd)} {
				if r, is := errors.AsType[*stage.Refused](err); !is || r.Status >= 500 {
					t.Errorf("a phone that sends %q is answered %v", odd, err)
				}
			}
		}
	})
}

func (w *world) notOurs(t *testing.T, h http.Handler, r *http.Request) {
	t.Helper()
	out := httptest.NewRecorder()
	h.ServeHTTP(out, r)
	if out.Code >= 500 {
		t.Errorf("%s %q is answered %d: %.200s", r.Method, r.URL.RequestURI(), out.Code, out.Body)
	}
}
