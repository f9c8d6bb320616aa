package web_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"vigie/browser"
	"vigie/oidc"
	"vigie/session"
	"vigie/store"
	"vigie/store/storetest"
	"vigie/web"
)

// TestWhoAsksIsWhoStandsBehindOurProxyAndNobodyWhoSaysSo looks at the address
// that the log, and with it every budget, is told.
func TestWhoAsksIsWhoStandsBehindOurProxyAndNobodyWhoSaysSo(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db, clock)
		proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:1::/48")}
		for _, c := range []struct {
			name      string
			proxies   []netip.Prefix
			from      string
			forwarded []string
			want      string
		}{
			{"through our proxy", proxies, "192.0.2.1:4000", []string{"198.51.100.7"}, "198.51.100.7"},
			{"through two of ours", proxies, "192.0.2.1:4000", []string{"198.51.100.7, 192.0.2.9"}, "198.51.100.7"},
			{"in two lines", proxies, "192.0.2.1:4000", []string{"203.0.113.5", "198.51.100.7"}, "198.51.100.7"},
			{"what the sender wrote", proxies, "192.0.2.1:4000", []string{"203.0.113.5, 198.51.100.7"}, "198.51.100.7"},
			{"a proxy's name forged", proxies, "192.0.2.1:4000", []string{"203.0.113.5, 192.0.2.77, 198.51.100.7"}, "198.51.100.7"},
			{"IPv6", proxies, "[2001:db8:1::1]:4000", []string{"2001:db8:2::7"}, "2001:db8:2::7"},
			{"IPv4 in IPv6", proxies, "[::ffff:192.0.2.1]:4000", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
			{"not through our proxy", proxies, "203.0.113.9:4000", []string{"198.51.100.7"}, "203.0.113.9"},
			{"no proxy of ours", nil, "192.0.2.1:4000", []string{"198.51.100.7"}, "192.0.2.1"},
			{"a proxy that says nothing", proxies, "192.0.2.1:4000", nil, "192.0.2.1"},
			{"nonsense", proxies, "192.0.2.1:4000", []string{"198.51.100.7, unknown"}, "192.0.2.1"},
		} {
			var log bytes.Buffer
			site, err := web.New(web.Deps{DB: db, Keys: w.keys, Logins: w.logins, Provider: w.provider, Log: slog.New(slog.NewJSONHandler(&log, nil))},
				web.Options{Portal: w.base, App: "https://app.example", Issuer: w.base + oidc.Realm, Browser: browser.Cookie{}, Session: session.Cookie{}, Proxies: c.proxies})
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range []http.Handler{site.Portal(), site.App()} {
				r := httptest.NewRequest(http.MethodGet, "/livez", nil)
				r.RemoteAddr, r.Header["X-Forwarded-For"] = c.from, c.forwarded
				log.Reset()
				h.ServeHTTP(httptest.NewRecorder(), r)
				var line struct{ Address string }
				if err := json.Unmarshal(log.Bytes(), &line); err != nil || line.Address != c.want {
					t.Errorf("%s: %q asked, not %q (%v)", c.name, line.Address, c.want, err)
				}
			}
		}
	})
}
