package web_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"vigie/browser"
	"vigie/oidc"
	"vigie/session"
	"vigie/web"
)

func TestWhereThereIsNoRoomToHearOneMayAsk(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		site, err := web.New(web.Deps{DB: w.db, Keys: w.keys, Logins: w.logins, Provider: w.provider}, web.Options{Portal: w.base, App: "https://app.example",
			Issuer: w.base + oidc.Realm, Browser: browser.Cookie{Suffix: "_t"}, Session: session.Cookie{Suffix: "_t"}, Streams: 1})
		if err != nil {
			t.Fatal(err)
		}
		small := httptest.NewServer(site.Portal())
		defer small.Close()
		b := w.scripted()
		p := b.asks(b.comes("vaccin"), string(anne))
		at, err := url.Parse(p.form())
		if err != nil {
			t.Fatal(err)
		}
		get := func(path string) *http.Response {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, small.URL+strings.TrimPrefix(p.form(), w.base)+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range b.Jar.Cookies(at) {
				r.AddCookie(c)
			}
			r.Header.Set("Accept", "application/json")
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		first := get("/events")
		defer first.Body.Close()
		if st := hears(t, bufio.NewScanner(first.Body)); st.Status != "pending" {
			t.Fatalf("the first is told %+v", st)
		}
		second := get("/events")
		second.Body.Close()
		if second.StatusCode != http.StatusServiceUnavailable || second.Header.Get("Retry-After") == "" {
			t.Errorf("the second is answered %s", second.Status)
		}
		asks := get("/state")
		asks.Body.Close()
		if asks.StatusCode != http.StatusOK {
			t.Errorf("who asks is answered %s", asks.Status)
		}
		first.Body.Close()
		for range 100 { // until the server has seen that the first is gone
			third := get("/events")
			third.Body.Close()
			if third.StatusCode == http.StatusOK {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Error("the place of a reader who went away stays taken")
	})
}
