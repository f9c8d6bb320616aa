package oidc_test

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"vigie/audit"
	"vigie/oidc"
	"vigie/session"
	"vigie/store"
	"vigie/store/storetest"
)

// atOnce runs f n times at the same moment.
func atOnce(n int, f func(i int)) {
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			f(i)
		})
	}
	start.Done()
	done.Wait()
}

func TestOfTwentyRedemptionsOfOneCodeExactlyOneGetsTokensThatThenDie(t *testing.T) {
	eachWorld(t, func(w *world) {
		for range 3 {
			w.twentyRedeemOneCode()
		}
		if n := w.audited(audit.GrantEnded); n != 3 {
			w.Errorf("the log has %d entries about it", n)
		}
	})
}

func (w *world) twentyRedeemOneCode() {
	w.Helper()
	code := w.code(w.browser(), verifier)
	answers := make([]map[string]any, 20)
	statuses := make([]int, 20)
	atOnce(20, func(i int) { statuses[i], answers[i] = w.redeem(code) })
	var winner map[string]any
	for i, status := range statuses {
		switch {
		case status == http.StatusOK && winner == nil:
			winner = answers[i]
		case status == http.StatusOK:
			w.Error("a second redemption got tokens")
		case status != http.StatusBadRequest || answers[i]["error"] != "invalid_grant":
			w.Errorf("a redemption answers %d %v", status, answers[i])
		}
	}
	if winner == nil {
		w.Fatal("nobody got tokens")
	}
	w.dead(winner, "a code that was presented twice")
}

func TestStrangersWhoPresentACodeHurtNobody(t *testing.T) {
	eachWorld(t, func(w *world) {
		other, secret := w.add(oidc.Service{ID: "labo", Name: "Laboratoire"})
		code := w.code(w.browser(), verifier)
		form := func(more ...string) url.Values {
			f := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
			for i := 0; i < len(more); i += 2 {
				f.Set(more[i], more[i+1])
			}
			return f
		}
		const token = "/protocol/openid-connect/token"
		stranger := func(i int) (int, map[string]any) {
			switch i % 5 {
			case 0:
				return w.postAs(other.ID, secret, token, form())
			case 1:
				return w.post(token, form("redirect_uri", "https://vaccin.example/other"))
			case 2:
				return w.post(token, form("code_verifier", verifier+"x"))
			case 3:
				return w.post(token, form("code_verifier", ""))
			}
			return w.postAs(w.service.ID, "wrong", token, form())
		}
		check := func(i, status int, a map[string]any) {
			want, code := "invalid_grant", http.StatusBadRequest
			if i%5 == 4 {
				want, code = "invalid_client", http.StatusUnauthorized
			}
			if status != code || a["error"] != want {
				w.Errorf("stranger %d: %d %v", i%5, status, a)
			}
		}
		for i := range 5 {
			status, a := stranger(i)
			check(i, status, a)
		}
		var good map[string]any
		atOnce(20, func(i int) {
			if i == 10 {
				status, a := w.redeem(code)
				if status != http.StatusOK {
					w.Errorf("the service's own redemption: %d %v", status, a)
				}
				good = a
				return
			}
			status, a := stranger(i)
			check(i, status, a)
		})
		for i := range 5 {
			status, a := stranger(i)
			check(i, status, a)
		}
		w.alive(good, "strangers presented the code")
		if status, a := w.redeem(code); status != http.StatusBadRequest || a["error"] != "invalid_grant" {
			w.Errorf("presenting it again: %d %v", status, a)
		}
		w.dead(good, "its code was presented again")
	})
}

func TestACodeDiesByItself(t *testing.T) {
	eachWorld(t, func(w *world) {
		b := w.browser()
		code := w.code(b, verifier)
		w.clock.Add(oidc.CodeLife)
		if status, a := w.redeem(code); status != http.StatusBadRequest || a["error"] != "invalid_grant" {
			w.Errorf("an old code: %d %v", status, a)
		}
		used := w.code(b, verifier)
		_, answer := w.redeem(used)
		w.clock.Add(5 * time.Minute)
		if status, a := w.redeem(used); status != http.StatusBadRequest || a["error"] != "invalid_grant" {
			w.Errorf("a used code, later: %d %v", status, a)
		}
		if w.introspect(text(answer, "refresh_token"))["active"] != false {
			w.Error("a code that was presented again later leaves its refresh token")
		}
		if status, a := w.redeem("NOTACODEATALL"); status != http.StatusBadRequest || a["error"] != "invalid_grant" {
			w.Errorf("no code: %d %v", status, a)
		}
	})
}

func TestOfTwentyRefreshesWithOneTokenOneRotatesAndAllGetTheSameSuccessor(t *testing.T) {
	eachWorld(t, func(w *world) {
		old := text(w.tokens(w.browser()), "refresh_token")
		tokens := make([]string, 20)
		atOnce(20, func(i int) {
			status, a := w.refresh(old)
			if status != http.StatusOK {
				w.Errorf("refresh: %d %v", status, a)
			}
			tokens[i] = text(a, "refresh_token")
		})
		for _, token := range tokens {
			if token != tokens[0] || token == old || token == "" {
				w.Fatalf("successors differ: %q", tokens)
			}
		}
		w.clock.Add(oidc.RefreshGrace)
		if status, a := w.refresh(old); status != http.StatusOK || text(a, "refresh_token") != tokens[0] {
			w.Errorf("after 10 s: %d %v", status, a)
		}
		status, a := w.refresh(tokens[0])
		if status != http.StatusOK {
			w.Fatalf("the successor: %d %v", status, a)
		}
		w.alive(a, "it was refreshed")
	})
}

func TestARotatedRefreshTokenThatIsPresentedLaterEndsTheGrant(t *testing.T) {
	eachWorld(t, func(w *world) {
		first := text(w.tokens(w.browser()), "refresh_token")
		_, a := w.refresh(first)
		if w.introspect(first)["active"] != false {
			w.Error("a rotated refresh token is active")
		}
		w.clock.Add(oidc.RefreshGrace + time.Millisecond)
		other, secret := w.add(oidc.Service{ID: "labo", Name: "Laboratoire"})
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first}}
		if status, e := w.postAs(other.ID, secret, "/protocol/openid-connect/token", form); status != http.StatusBadRequest || e["error"] != "invalid_grant" {
			w.Errorf("another service with the rotated token: %d %v", status, e)
		}
		w.alive(a, "another service presented a rotated token")
		if status, e := w.refresh(first); status != http.StatusBadRequest || e["error"] != "invalid_grant" {
			w.Errorf("the rotated token: %d %v", status, e)
		}
		w.dead(a, "a rotated refresh token was presented")

		// Two generations back there is no grace at all.
		first = text(w.tokens(w.browser()), "refresh_token")
		_, a = w.refresh(first)
		_, a = w.refresh(text(a, "refresh_token"))
		if status, _ := w.refresh(first); status != http.StatusBadRequest {
			w.Errorf("a token of two generations ago: %d", status)
		}
		w.dead(a, "a refresh token of two generations ago was presented")
	})
}

func TestARefreshTokenDiesUnused(t *testing.T) {
	eachWorld(t, func(w *world) {
		answer := w.tokens(w.browser())
		token := text(answer, "refresh_token")
		for range 3 {
			w.clock.Add(28 * time.Minute)
			status, a := w.refresh(token)
			if status != http.StatusOK {
				w.Fatalf("refresh after 28 minutes: %d %v", status, a)
			}
			if id := w.verify(text(a, "id_token")); id.Subject != "f:"+providerUUID+":899700000017" {
				w.Errorf("sub %q", id.Subject)
			}
			token = text(a, "refresh_token")
		}
		w.clock.Add(oidc.RefreshLife)
		if status, _ := w.refresh(token); status != http.StatusBadRequest {
			w.Errorf("a refresh token lives %v unused", oidc.RefreshLife)
		}
	})
}

func TestNothingOutlivesItsSession(t *testing.T) {
	eachWorld(t, func(w *world) {
		token := text(w.tokens(w.browser()), "refresh_token")
		var a map[string]any
		for range 9 {
			w.clock.Add(26 * time.Minute)
			_, a = w.refresh(token)
			token = text(a, "refresh_token")
		}
		w.clock.Add(5*time.Minute + 10*time.Second) // 3 h 59 min 10 s
		status, a := w.refresh(token)
		if status != http.StatusOK || a["refresh_expires_in"] != 50.0 || a["expires_in"] != 50.0 {
			w.Errorf("near its end: %d %v", status, a)
		}
		w.clock.Add(50 * time.Second)
		if status, _ := w.refresh(text(a, "refresh_token")); status != http.StatusBadRequest {
			w.Error("a refresh token outlives 4 hours")
		}
	})
}

func TestWhatEndsASessionEndsEverythingAtOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		answer := w.tokens(w.browser())
		untaken := w.code(w.browser(), verifier)
		w.alive(answer, "nothing happened")
		w.write(func(ctx context.Context, tx *store.Tx) error {
			n, err := session.EndAllOf(ctx, tx, anne, "undo", "professional")
			if n != 2 {
				w.Errorf("%d sessions ended", n)
			}
			return err
		})
		w.dead(answer, "the session ended")
		if status, a := w.redeem(untaken); status != http.StatusBadRequest || a["error"] != "invalid_grant" {
			w.Errorf("a code of an ended session: %d %v", status, a)
		}
	})
}

func TestADisabledServiceHasNothingLeft(t *testing.T) {
	eachWorld(t, func(w *world) {
		answer := w.tokens(w.browser())
		other, secret := w.add(oidc.Service{ID: "labo", Name: "Laboratoire"})
		w.write(func(ctx context.Context, tx *store.Tx) error {
			_, err := oidc.DisableService(ctx, tx, w.service.ID, "operator:test")
			return err
		})
		if status, _ := w.userinfo(text(answer, "access_token")); status != http.StatusUnauthorized {
			w.Errorf("userinfo: %d", status)
		}
		if status, a := w.refresh(text(answer, "refresh_token")); status != http.StatusUnauthorized || a["error"] != "invalid_client" {
			w.Errorf("refresh: %d %v", status, a)
		}
		if _, a := w.postAs(other.ID, secret, "/protocol/openid-connect/token/introspect", url.Values{"token": {text(answer, "access_token")}}); a["active"] != false {
			w.Errorf("introspection: %v", a)
		}
		if address, resp := w.browser().goes(w.ask(verifier), ""); resp.StatusCode != http.StatusBadRequest {
			w.Errorf("/auth leads to %s, %d", address, resp.StatusCode)
		}
	})
}

func TestTheSameBrowserMayComeAgainUntilTheCodeIsTaken(t *testing.T) {
	eachWorld(t, func(w *world) {
		b := w.browser()
		page, _ := b.goes(w.ask(verifier), "/login/")
		codes := make([]string, 3)
		for i := range codes {
			w.clock.Add(oidc.CodeLife / 2)
			address, _ := b.goes(page, "")
			u, _ := url.Parse(address)
			if codes[i] = u.Query().Get("code"); codes[i] == "" {
				w.Fatalf("visit %d leads to %s: %v", i, address, w.fails)
			}
		}
		for _, code := range codes[:2] {
			if status, a := w.redeem(code); status != http.StatusBadRequest || a["error"] != "invalid_grant" {
				w.Errorf("a replaced code: %d %v", status, a)
			}
		}
		status, answer := w.redeem(codes[2])
		if status != http.StatusOK {
			w.Fatalf("the last code: %d %v", status, answer)
		}
		w.alive(answer, "replaced codes were presented")
		if n := w.audited(audit.SessionOpened); n != 1 {
			w.Errorf("%d sessions were opened", n)
		}
		if b.goes(page, ""); w.fails != oidc.ErrTaken {
			w.Errorf("after the code was taken: %v", w.fails)
		}

		// The session's cookie is that of the last visit: the browser is signed in.
		if w.code(b, verifier); w.audited(audit.SessionOpened) != 1 {
			w.Error("the browser lost its session")
		}

		// Another browser never comes to it.
		page, _ = b.goes(w.ask(verifier), "/login/")
		if w.browser().goes(page, ""); w.fails != oidc.ErrNotYours {
			w.Errorf("another browser: %v", w.fails)
		}
		w.clock.Add(oidc.AuthorizationLife)
		if b.goes(page, ""); w.fails != oidc.ErrExpired {
			w.Errorf("half an hour later: %v", w.fails)
		}
	})
}

func TestOfTwentyVisitsAtOnceOneCodeIsGood(t *testing.T) {
	eachWorld(t, func(w *world) {
		b := w.browser()
		page, _ := b.goes(w.ask(verifier), "/login/")
		codes := make(chan string, 20)
		atOnce(20, func(int) {
			resp, err := b.Get(page)
			if err != nil {
				w.Error(err)
				return
			}
			resp.Body.Close()
			if to, err := resp.Location(); err == nil {
				codes <- to.Query().Get("code")
			}
		})
		close(codes)
		good := 0
		for code := range codes {
			if status, _ := w.redeem(code); status == http.StatusOK {
				good++
			}
		}
		if good != 1 {
			w.Errorf("%d codes are good", good)
		}
	})
}

func TestTroubleOfTheDatabaseLeavesTheCodeAsItWas(t *testing.T) {
	clock := storetest.NewClock()
	w := newWorld(t, storetest.Open(t, store.Options{Clock: clock.Now}), clock)
	code := w.code(w.browser(), verifier)
	for _, table := range []string{"oidc_grants", "sessions_services", "audit"} {
		deed := map[string]string{"oidc_grants": "UPDATE"}[table]
		if deed == "" {
			deed = "INSERT"
		}
		w.write(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `CREATE TRIGGER broken BEFORE `+deed+` ON `+table+` BEGIN SELECT RAISE(ABORT, 'broken'); END`)
			return err
		})
		if status, a := w.redeem(code); status != http.StatusServiceUnavailable || a["error"] != "temporarily_unavailable" {
			t.Errorf("with %s broken: %d %v", table, status, a)
		}
		w.write(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `DROP TRIGGER broken`)
			return err
		})
	}
	status, answer := w.redeem(code)
	if status != http.StatusOK {
		t.Fatalf("once the database is well again: %d %v", status, answer)
	}
	w.alive(answer, "the database was in trouble before")

	w.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `ALTER TABLE oidc_grants RENAME TO gone`)
		return err
	})
	for name, call := range map[string]func() (int, map[string]any){
		"refresh":  func() (int, map[string]any) { return w.refresh(text(answer, "refresh_token")) },
		"userinfo": func() (int, map[string]any) { return w.userinfo(text(answer, "access_token")) },
		"introspection": func() (int, map[string]any) {
			return w.post("/protocol/openid-connect/token/introspect", url.Values{"token": {text(answer, "access_token")}})
		},
		"revocation": func() (int, map[string]any) {
			return w.post("/protocol/openid-connect/revoke", url.Values{"token": {text(answer, "access_token")}})
		},
	} {
		if status, a := call(); status != http.StatusServiceUnavailable {
			t.Errorf("%s without its table: %d %v", name, status, a)
		}
	}
}

// alive checks that what a service got is good at every door.
func (w *world) alive(answer map[string]any, because string) {
	w.Helper()
	if status, _ := w.userinfo(text(answer, "access_token")); status != http.StatusOK {
		w.Errorf("%s: userinfo %d", because, status)
	}
	for _, name := range []string{"access_token", "refresh_token"} {
		if w.introspect(text(answer, name))["active"] != true {
			w.Errorf("%s: the %s is not active", because, name)
		}
	}
}

// dead checks that what a service got is good at no door.
func (w *world) dead(answer map[string]any, because string) {
	w.Helper()
	if status, _ := w.userinfo(text(answer, "access_token")); status != http.StatusUnauthorized {
		w.Errorf("%s: userinfo %d", because, status)
	}
	for _, name := range []string{"access_token", "refresh_token"} {
		if w.introspect(text(answer, name))["active"] != false {
			w.Errorf("%s: the %s is active", because, name)
		}
	}
	if status, a := w.refresh(text(answer, "refresh_token")); status != http.StatusBadRequest || a["error"] != "invalid_grant" {
		w.Errorf("%s: refresh %d %v", because, status, a)
	}
}

// audited counts the entries of a kind.
func (w *world) audited(kind string) int {
	w.Helper()
	var n int
	err := w.db.Read(w.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(w.Context(), `SELECT COUNT(*) FROM audit WHERE kind = $1`, kind).Scan(&n)
	})
	if err != nil {
		w.Fatal(err)
	}
	return n
}
