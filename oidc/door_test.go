package oidc_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"vigie/oidc"
	"vigie/session"
	"vigie/store"
	"vigie/store/storetest"
)

// authorization returns what the page /login/ID knows.
func (w *world) authorization(page string) oidc.Authorization {
	w.Helper()
	_, id, _ := strings.Cut(page, "/login/")
	var a oidc.Authorization
	err := w.db.Read(w.Context(), func(tx *store.Tx) (err error) {
		a, err = w.p.Authorization(w.Context(), tx, id)
		return err
	})
	if err != nil {
		w.Fatalf("authorization of %s: %v", page, err)
	}
	return a
}

func TestThePortalLearnsWhatTheServiceAsked(t *testing.T) {
	eachWorld(t, func(w *world) {
		b := w.browser()
		answer := w.tokens(b)
		w.clock.Add(10 * time.Minute) // the ID token has expired: as a hint it is as good
		page, _ := b.goes(w.ask(verifier, "login_hint", "899700000017", "prompt", "login consent", "max_age", "60", "ui_locales", "fr en",
			"id_token_hint", text(answer, "id_token"), "display", "popup", "claims", "{}", "foo", "bar"), "/login/")
		a := w.authorization(page)
		if a.Service != "vaccin" || a.ServiceName != "Vaccin AmeliPRO" || a.RedirectURI != callback || a.LoginHint != "899700000017" ||
			a.Professional != anne || a.Locales != "fr en" || a.Prompt != oidc.PromptLogin || a.MaxAge == nil || *a.MaxAge != 60 ||
			!a.Created.Equal(w.clock.Now()) || a.Expires.Sub(a.Created) != oidc.AuthorizationLife || a.Session != "" || a.Taken {
			w.Errorf("authorization %+v", a)
		}
		for _, c := range []struct {
			prompt, maxAge string
			age            time.Duration
			who            string
			want           bool
		}{
			{"", "", 3 * time.Hour, "", true},
			{"none", "", 3 * time.Hour, "", true},
			{"login", "", 0, "", true},
			{"login", "", time.Millisecond, "", false},
			{"select_account", "", time.Millisecond, "", false},
			{"consent", "", time.Hour, "", true},
			{"", "60", time.Minute, "", true},
			{"", "60", time.Minute + time.Millisecond, "", false},
			{"", "0", time.Millisecond, "", false},
			{"", "", 0, string(karim()), false},
		} {
			more := []string{}
			for name, v := range map[string]string{"prompt": c.prompt, "max_age": c.maxAge} {
				if v != "" {
					more = append(more, name, v)
				}
			}
			s := session.Session{Professional: anne, AuthTime: w.clock.Now().Add(-c.age)}
			if c.who != "" {
				more = append(more, "id_token_hint", text(answer, "id_token"))
				s.Professional = karim()
			}
			page, _ := b.goes(w.ask(verifier, more...), "/login/")
			if got := w.authorization(page).Accepts(s); got != c.want {
				w.Errorf("%+v: accepts %v", c, got)
			}
		}
	})
}

func TestFinishRefusesASessionThatIsNotWhatWasAsked(t *testing.T) {
	eachWorld(t, func(w *world) {
		var s session.Session
		w.write(func(ctx context.Context, tx *store.Tx) (err error) {
			s, _, err = session.Open(ctx, tx, session.New{Professional: anne, Kind: session.Mine, Means: session.Card, Service: "vaccin"})
			return err
		})
		w.clock.Add(time.Second)
		finish := func(more ...string) error {
			b := w.browser()
			page, _ := b.goes(w.ask(verifier, more...), "/login/")
			r, _ := http.NewRequestWithContext(w.Context(), http.MethodGet, page, nil)
			for _, ck := range b.Jar.Cookies(r.URL) {
				r.AddCookie(ck)
			}
			_, id, _ := strings.Cut(page, "/login/")
			return w.p.Finish(&silent{}, r, id, func(context.Context, *store.Tx, oidc.Authorization) (session.Session, error) { return s, nil })
		}
		if err := finish(); err != nil {
			w.Errorf("a session of a second ago: %v", err)
		}
		if err := finish("prompt", "login"); err != oidc.ErrStale {
			w.Errorf("prompt=login with an old session: %v", err)
		}
		if err := finish("max_age", "0"); err != oidc.ErrStale {
			w.Errorf("max_age=0 with an old session: %v", err)
		}
		w.clock.Add(session.Life)
		if err := finish(); err != session.ErrEnded {
			w.Errorf("a session that is over: %v", err)
		}
	})
}

// silent is an answer nobody reads.
type silent struct{ header http.Header }

func (s *silent) Header() http.Header {
	if s.header == nil {
		s.header = http.Header{}
	}
	return s.header
}
func (s *silent) Write(p []byte) (int, error) { return len(p), nil }
func (s *silent) WriteHeader(int)             {}

func TestWhatTheServiceGetsWrongIsToldToIt(t *testing.T) {
	eachWorld(t, func(w *world) {
		loose, _ := w.add(oidc.Service{ID: "vieux", Name: "Vieux logiciel", NoPKCE: true})
		own := text(w.tokens(w.browser()), "id_token")
		elsewhere := newWorld(w.T, storetest.Open(w, store.Options{Clock: w.clock.Now}), w.clock) // with the same keys
		foreign := text(elsewhere.tokens(elsewhere.browser()), "id_token")
		base := func(id string) url.Values {
			return url.Values{"client_id": {id}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid scope_all"}, "state": {"st"}, "nonce": {"n"}}
		}
		with := func(q url.Values, more ...string) url.Values {
			for i := 0; i < len(more); i += 2 {
				if q.Set(more[i], more[i+1]); more[i+1] == "" {
					q.Del(more[i])
				}
			}
			return q
		}
		challenge := []string{"code_challenge", oauth2.S256ChallengeFromVerifier(verifier), "code_challenge_method", "S256"}
		good := func(more ...string) url.Values { return with(with(base("vaccin"), challenge...), more...) }
		for name, c := range map[string]struct {
			q    url.Values
			want string // error, "" for the portal, "page" for words to the person
		}{
			"as it should be":               {good(), ""},
			"unknown scopes and levels":     {good("scope", "openid scope_all email urn:x", "acr_values", "eidas3 eidas1 x"), ""},
			"only unknown levels":           {good("acr_values", "eidas3"), ""},
			"a response mode":               {good("response_mode", "fragment"), ""},
			"no PKCE":                       {base("vaccin"), "invalid_request"},
			"plain PKCE":                    {good("code_challenge_method", "plain"), "invalid_request"},
			"PKCE without method":           {good("code_challenge_method", ""), "invalid_request"},
			"a short challenge":             {good("code_challenge", "x"), "invalid_request"},
			"no PKCE where it may":          {base(loose.ID), ""},
			"neither PKCE nor nonce":        {with(base(loose.ID), "nonce", ""), "invalid_request"},
			"no openid":                     {good("scope", "scope_all"), "invalid_request"},
			"no scope":                      {good("scope", ""), "invalid_request"},
			"implicit":                      {good("response_type", "id_token"), "invalid_request"},
			"no response type":              {good("response_type", ""), "invalid_request"},
			"a request object":              {good("request", "e30.e30."), "request_not_supported"},
			"prompt none and login":         {good("prompt", "none login"), "invalid_request"},
			"max_age that is no number":     {good("max_age", "-1"), "invalid_request"},
			"an unknown response mode":      {good("response_mode", "form_post"), "invalid_request"},
			"a hint of its own":             {good("id_token_hint", own), ""},
			"a hint that is none":           {good("id_token_hint", "x"), "invalid_request"},
			"another service's hint":        {with(base(loose.ID), "id_token_hint", own), "invalid_request"},
			"another issuer's hint":         {good("id_token_hint", foreign), "invalid_request"},
			"an unknown service":            {with(base("nobody"), challenge...), "page"},
			"no service":                    {good("client_id", ""), "page"},
			"another redirect URI":          {good("redirect_uri", callback+"/"), "page"},
			"a redirect URI in other case":  {good("redirect_uri", "HTTPS://vaccin.example/callback"), "page"},
			"a redirect URI with a hash":    {good("redirect_uri", callback+"#"), "page"},
			"no redirect URI":               {good("redirect_uri", ""), "page"},
			"a request_uri of elsewhere":    {good("request_uri", "https://vaccin.example/r"), "page"},
			"a request_uri that is unknown": {good("request_uri", "urn:ietf:params:oauth:request_uri:x"), "page"},
			"a character no database takes": {good("state", "a\x00b"), "page"},
			"a state twice":                 {url.Values(mapsWith(good(), "state", []string{"a", "b"})), "page"},
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				b := w.browser()
				address := w.base + "/auth"
				if method == http.MethodPost {
					resp, err := b.PostForm(address, c.q)
					if err != nil {
						w.Fatal(err)
					}
					resp.Body.Close()
					if to, err := resp.Location(); err == nil {
						address = to.String()
					} else if c.want == "page" && resp.StatusCode == http.StatusBadRequest {
						continue
					}
				} else {
					address += "?" + c.q.Encode()
				}
				address, resp := b.goes(address, "/login/")
				got, _ := url.Parse(address)
				answer := got.Query()
				if got.Fragment != "" {
					answer, _ = url.ParseQuery(got.Fragment)
				}
				switch {
				case c.want == "page":
					if resp.StatusCode != http.StatusBadRequest {
						w.Errorf("%s: leads to %s, %d", name, address, resp.StatusCode)
					}
				case c.want == "" && !strings.HasPrefix(got.Path, "/login/"):
					w.Errorf("%s: leads to %s", name, address)
				case c.want != "" && (!strings.HasPrefix(address, callback) || answer.Get("error") != c.want || answer.Get("state") != "st" || answer.Get("iss") != w.issuer):
					w.Errorf("%s: leads to %s, want %s", name, address, c.want)
				}
			}
		}
		var n int
		w.write(func(ctx context.Context, tx *store.Tx) error {
			return tx.QueryRow(ctx, `SELECT COUNT(*) FROM oidc_authorizations`).Scan(&n)
		})
		if n != 1+2*6 {
			w.Errorf("%d authorizations are stored, of 1 at first and 6 good ones asked for twice", n)
		}
	})
}

func mapsWith(q url.Values, name string, v []string) map[string][]string {
	q[name] = v
	return q
}

func TestCancellingComesBackAsAccessDenied(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, mode := range []string{"query", "fragment"} {
			b := w.browser()
			page, _ := b.goes(w.ask(verifier, "response_mode", mode), "/login/")
			r, _ := http.NewRequestWithContext(w.Context(), http.MethodPost, page, nil)
			for _, ck := range b.Jar.Cookies(r.URL) {
				r.AddCookie(ck)
			}
			a := w.authorization(page)
			out := &silent{}
			if err := w.p.Deny(out, r, a.ID, "access_denied", "the person gave up"); err != nil {
				w.Fatal(err)
			}
			to, _ := url.Parse(out.Header().Get("Location"))
			q := to.Query()
			if mode == "fragment" {
				q, _ = url.ParseQuery(to.Fragment)
			}
			if !strings.HasPrefix(to.String(), callback) || q.Get("error") != "access_denied" || q.Get("state") != "st-1" || q.Get("iss") != w.issuer || q.Get("code") != "" {
				w.Errorf("%s: the browser goes to %s", mode, to)
			}
			r, _ = http.NewRequestWithContext(w.Context(), http.MethodPost, page, nil)
			if err := w.p.Deny(out, r, a.ID, "access_denied", ""); err != oidc.ErrNotYours {
				w.Errorf("another browser denies: %v", err)
			}
			for _, id := range []string{"nothing", "", "\x00", "\xff"} {
				if err := w.p.Deny(out, r, id, "access_denied", ""); err != oidc.ErrUnknown {
					w.Errorf("denying %q: %v", id, err)
				}
			}
		}
	})
}

func TestAPushedRequestIsForTheFirstBrowserThatComes(t *testing.T) {
	eachWorld(t, func(w *world) {
		push := func(more ...string) (int, map[string]any) {
			form := url.Values{"response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid scope_all unknown"}, "state": {"st-1"},
				"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"}, "login_hint": {"899700000017"},
				"prompt": {"login"}, "acr_values": {"eidas1"}}
			for i := 0; i < len(more); i += 2 {
				form.Set(more[i], more[i+1])
			}
			return w.post("/protocol/openid-connect/ext/par/request", form)
		}
		status, answer := push()
		if status != http.StatusCreated || answer["expires_in"] != 90.0 {
			w.Fatalf("PAR: %d %v", status, answer)
		}
		open := func(uri string) string {
			return w.base + "/auth?" + url.Values{"client_id": {"vaccin"}, "request_uri": {uri}, "nonce": {"added"}, "prompt": {"none"}, "login_hint": {"other"}}.Encode()
		}
		b := w.browser()
		address := open(text(answer, "request_uri"))
		page, resp := b.goes(address, "/login/")
		if !strings.Contains(page, "/login/") {
			w.Fatalf("leads to %s, %d", page, resp.StatusCode)
		}
		if a := w.authorization(page); a.Prompt != oidc.PromptLogin || a.LoginHint != "899700000017" {
			w.Errorf("what is added in the open counts: %+v", a)
		}
		if again, _ := b.goes(address, "/login/"); again != page {
			w.Errorf("the same browser comes again, to %s", again)
		}
		if to, resp := w.browser().goes(address, "/login/"); resp.StatusCode != http.StatusBadRequest {
			w.Errorf("another browser comes to %s", to)
		}
		back, _ := b.goes(page, "")
		u, _ := url.Parse(back)
		if status, a := w.redeem(u.Query().Get("code")); status != http.StatusOK {
			w.Errorf("its code: %d %v", status, a)
		}
		if to, resp := b.goes(address, "/login/"); resp.StatusCode != http.StatusBadRequest {
			w.Errorf("once finished it leads to %s", to)
		}

		_, answer = push()
		var opened atomic.Int32
		atOnce(20, func(int) {
			if to, _ := w.browser().goes(open(text(answer, "request_uri")), "/login/"); strings.Contains(to, "/login/") {
				opened.Add(1)
			}
		})
		if opened.Load() != 1 {
			w.Errorf("%d of 20 browsers open one pushed request", opened.Load())
		}

		_, answer = push()
		w.clock.Add(oidc.PushedLife)
		if to, resp := b.goes(open(text(answer, "request_uri")), "/login/"); resp.StatusCode != http.StatusBadRequest {
			w.Errorf("an old one leads to %s", to)
		}
		other, _ := w.add(oidc.Service{ID: "labo", Name: "Laboratoire"})
		_, answer = push()
		stolen := strings.Replace(open(text(answer, "request_uri")), "client_id=vaccin", "client_id="+other.ID, 1)
		if to, resp := b.goes(stolen, "/login/"); resp.StatusCode != http.StatusBadRequest {
			w.Errorf("another service's leads to %s", to)
		}
		for name, more := range map[string][]string{"no PKCE": {"code_challenge", ""}, "another redirect": {"redirect_uri", callback + "x"},
			"a request_uri": {"request_uri", "urn:ietf:params:oauth:request_uri:x"}, "bad max_age": {"max_age", "x"}} {
			if status, a := push(more...); status != http.StatusBadRequest || a["error"] == nil {
				w.Errorf("PAR with %s: %d %v", name, status, a)
			}
		}
		if status, a := w.postAs("vaccin", "wrong", "/protocol/openid-connect/ext/par/request", url.Values{}); status != http.StatusUnauthorized {
			w.Errorf("PAR without secret: %d %v", status, a)
		}
	})
}

func TestAServiceGivesItsTokensBack(t *testing.T) {
	eachWorld(t, func(w *world) {
		revoke := func(id, secret, token string) int {
			status, _ := w.postAs(id, secret, "/protocol/openid-connect/revoke", url.Values{"token": {token}})
			return status
		}
		other, secret := w.add(oidc.Service{ID: "labo", Name: "Laboratoire"})
		for _, name := range []string{"access_token", "refresh_token"} {
			answer := w.tokens(w.browser())
			if status := revoke(other.ID, secret, text(answer, name)); status == http.StatusOK {
				w.Errorf("another service revokes a %s: %d", name, status)
			}
			w.alive(answer, "another service revoked it")
			if status := revoke(w.service.ID, w.secret, text(answer, name)); status != http.StatusOK {
				w.Errorf("revoking a %s: %d", name, status)
			}
			w.dead(answer, "its "+name+" was revoked")
			if status := revoke(w.service.ID, w.secret, text(answer, name)); status != http.StatusOK {
				w.Errorf("revoking a %s again: %d", name, status)
			}
		}
		answer := w.tokens(w.browser())
		_, newer := w.refresh(text(answer, "refresh_token"))
		revoke(w.service.ID, w.secret, text(answer, "refresh_token"))
		w.dead(newer, "an older refresh token of it was revoked")
		if status := revoke(w.service.ID, w.secret, "nonsense"); status != http.StatusOK {
			w.Errorf("revoking nonsense: %d", status)
		}
		if status := revoke(w.service.ID, "wrong", "nonsense"); status != http.StatusUnauthorized {
			w.Errorf("revoking without secret: %d", status)
		}
	})
}

func TestWhatIsOverLeavesTheTables(t *testing.T) {
	eachWorld(t, func(w *world) {
		b := w.browser()
		answer := w.tokens(b)
		for range 3 {
			b.goes(w.ask(verifier), "/login/")
		}
		count := func() (n int) {
			w.write(func(ctx context.Context, tx *store.Tx) error {
				return tx.QueryRow(ctx, `SELECT (SELECT COUNT(*) FROM oidc_authorizations) + (SELECT COUNT(*) FROM oidc_grants) + (SELECT COUNT(*) FROM sessions)`).Scan(&n)
			})
			return n
		}
		clean := func() {
			if err := oidc.Clean(w.Context(), w.db); err != nil {
				w.Fatal(err)
			}
			if err := session.Clean(w.Context(), w.db); err != nil {
				w.Fatal(err)
			}
		}
		if clean(); count() != 6 {
			w.Errorf("%d rows", count())
		}
		w.alive(answer, "cleaning")
		w.clock.Add(oidc.AuthorizationLife + time.Second)
		if clean(); count() != 2 {
			w.Errorf("half an hour later: %d rows", count())
		}
		w.clock.Add(30 * 24 * time.Hour)
		if clean(); count() != 0 {
			w.Errorf("a month later: %d rows", count())
		}
	})
}
