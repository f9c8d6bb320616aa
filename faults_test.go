package main

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vigie/push"
	"vigie/stage"
	"vigie/store"
	"vigie/store/storetest"
)

// A trouble is something that happens to the database.
type trouble struct {
	name     string
	open     func(t *testing.T, clock *storetest.Clock) (db *store.DB, down, up func())
	reads    bool // what is stored can still be read
	patience time.Duration
}

var troubles = []trouble{
	{"a PostgreSQL server that is away", func(t *testing.T, clock *storetest.Clock) (*store.DB, func(), func()) {
		address, wire := storetest.PostgresWired(t)
		return openAt(t, address, clock), func() { wire.Cut(true) }, func() { wire.Cut(false) }
	}, false, time.Second},
	{"a disk that is full", func(t *testing.T, clock *storetest.Clock) (*store.DB, func(), func()) {
		dir := t.TempDir()
		if err := syscall.Mount("none", dir, "tmpfs", 0, "size=16m"); err != nil {
			t.Skipf("only root can mount a small file system: %v", err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		db := openAt(t, filepath.Join(dir, "vigie.db"), clock)
		rubble := filepath.Join(dir, "rubble")
		return db, func() {
			f, err := os.Create(rubble)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, piece := range []int{1 << 20, 4096} {
				for err = nil; err == nil; _, err = f.Write(make([]byte, piece)) {
				}
			}
			// The log file has room inside: it is taken too.
			for err = nil; err == nil; {
				err = db.Write(t.Context(), func(tx *store.Tx) error { return tx.SetSetting(t.Context(), "filling", strings.Repeat("x", 5000)) })
			}
		}, func() { os.Remove(rubble) }
	}, true, time.Second},
	{"a file that another process holds", func(t *testing.T, clock *storetest.Clock) (*store.DB, func(), func()) {
		path := storetest.SQLite(t)
		other, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		other.SetMaxOpenConns(1)
		t.Cleanup(func() { other.Close() })
		does := func(query string) func() {
			return func() {
				if _, err := other.ExecContext(t.Context(), query); err != nil {
					t.Error(err)
				}
			}
		}
		return openAt(t, path, clock), does("BEGIN IMMEDIATE"), does("ROLLBACK")
	}, true, 7 * time.Second},
}

func openAt(t *testing.T, address string, clock *storetest.Clock) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), address, store.Options{Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestADatabaseInTroubleIsSaidAndRecoveredFrom(t *testing.T) {
	for _, trouble := range troubles {
		t.Run(trouble.name, func(t *testing.T) {
			ctx, clock := t.Context(), storetest.NewClock()
			db, down, up := trouble.open(t, clock)
			w := newWorld(t, db, clock)
			anne, karim := w.People[0], w.People[1]
			c := w.newClient(t)
			p, _, err := w.Activate(ctx, anne, pin)
			if err != nil {
				t.Fatal(err)
			}
			before, err := c.signIn(ctx, w.World, anne, p)
			if err != nil {
				t.Fatal(err)
			}
			// One page waits for its phone, another is about to ask.
			waits, verifier, err := c.waiting(ctx, w.World, anne)
			if err != nil {
				t.Fatal(err)
			}
			request, err := p.Claim(ctx, waits.Code())
			if err != nil {
				t.Fatal(err)
			}
			asks, err := stage.NewBrowser(w.Browser)
			if err == nil {
				_, err = c.send(ctx, asks)
			}
			if err != nil {
				t.Fatal(err)
			}
			form, _, _ := asks.Page()

			down()
			w.standing(t, false)
			slow := func(what string, began time.Time) {
				if took := time.Since(began); took > trouble.patience+3*time.Second {
					t.Errorf("%s waited for %v", what, took)
				}
			}
			began := time.Now()
			w.trouble(t, "coming from a service", mustRequest(t, http.MethodGet, w.Portal+"/auth?"+authQuery(c), nil), "text/html")
			slow("coming from a service", began)
			began = time.Now()
			if err := asks.Type(ctx, karim.NationalID); err != nil {
				t.Error(err)
			}
			if _, status, text := asks.Page(); status != http.StatusServiceUnavailable || !strings.Contains(text, "<h1") {
				t.Errorf("asking is answered %d: %.300s", status, text)
			}
			slow("asking", began)
			w.trouble(t, "a code", c.request(t, "/token", url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {landing}}), "application/json", trouble.reads)
			w.trouble(t, "a refresh", c.request(t, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {before.Refresh}}), "application/json")
			if !trouble.reads {
				w.trouble(t, "introspection", c.request(t, "/token/introspect", url.Values{"token": {before.Access}}), "application/json")
				w.trouble(t, "a waiting page", mustRequest(t, http.MethodGet, form.String(), nil), "text/html")
				state := mustRequest(t, http.MethodGet, form.String()+"/state", nil)
				state.Header.Set("Accept", "application/json")
				w.trouble(t, "the state of a page", state, "application/json")
			}

			// The phone has patience: what it sends now is done when it can be.
			approved := make(chan error, 1)
			go func() {
				_, err := p.Approve(ctx, request, pin, "no")
				approved <- err
			}()
			select {
			case err := <-approved:
				t.Fatalf("an approval that cannot be stored is answered: %v", err)
			case <-time.After(700 * time.Millisecond):
			}
			up()
			w.standing(t, true)
			if err := <-approved; err != nil {
				t.Errorf("the approval: %v", err)
			}
			if err := waits.Look(ctx); err != nil {
				t.Fatal(err)
			}
			if status, got, err := c.redeem(ctx, codeOf(waits), verifier); err != nil || status != http.StatusOK {
				t.Errorf("the code is answered %d %s: %v", status, got.Error, err)
			}
			if active, err := c.active(ctx, before.Access); err != nil || !active {
				t.Errorf("the session from before is lost: %v", err)
			}
			if status, _, err := c.refresh(ctx, before.Refresh); err != nil || status != http.StatusOK {
				t.Errorf("the refresh token from before is answered %d: %v", status, err)
			}
			if err := asks.Visit(ctx, form.String()); err != nil {
				t.Fatal(err)
			}
			if err := asks.Type(ctx, karim.NationalID); err != nil || asks.Code() == "" {
				t.Errorf("asking again shows no code: %v", err)
			}
		})
	}
}

// standing waits until readiness says so, and checks that the node calls itself
// alive.
func (w *world) standing(t *testing.T, ready bool) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		got := map[string]int{}
		for _, path := range []string{"/livez", "/readyz"} {
			resp, err := w.HTTP.Get(w.Portal + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			got[path] = resp.StatusCode
		}
		if got["/livez"] != http.StatusOK {
			t.Fatalf("/livez: %d", got["/livez"])
		}
		if (got["/readyz"] == http.StatusOK) == ready {
			return
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("/readyz: %d", got["/readyz"])
		}
	}
}

func mustRequest(t *testing.T, method, address string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	return r
}

// trouble checks that a call is answered 503, in its own language, with when to
// come again. With fine, an answer is as good.
func (w *world) trouble(t *testing.T, what string, r *http.Request, kind string, fine ...bool) {
	t.Helper()
	plain := &http.Client{Transport: w.Browser, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := plain.Do(r)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if len(fine) > 0 && fine[0] && resp.StatusCode < 500 {
		return
	}
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.HasPrefix(resp.Header.Get("Content-Type"), kind) {
		t.Errorf("%s is answered %d, Retry-After %q, %s: %.200s", what, resp.StatusCode, resp.Header.Get("Retry-After"), resp.Header.Get("Content-Type"), b)
	}
	for _, leak := range []string{"sqlite", "SQLITE", "pgconn", "postgres", "dial", "goroutine", ".go:"} {
		if strings.Contains(string(b), leak) {
			t.Errorf("%s is told %q", what, leak)
		}
	}
}

// authQuery is a demand of the service.
func authQuery(c *client) string {
	return url.Values{"response_type": {"code"}, "client_id": {c.id}, "redirect_uri": {landing}, "scope": {"openid scope_all"}, "acr_values": {"eidas1"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}}.Encode()
}

func (c *client) request(t *testing.T, path string, form url.Values) *http.Request {
	t.Helper()
	r := mustRequest(t, http.MethodPost, c.portal+realm+"/protocol/openid-connect"+path, strings.NewReader(form.Encode()))
	r.SetBasicAuth(c.id, c.secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// A push service that takes connections and says nothing.
func deafPushService(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	return "http://" + l.Addr().String() + "/push"
}

func TestAPushServiceInTroubleSlowsNobody(t *testing.T) {
	for name, endpoint := range map[string]func(*testing.T) string{
		"deaf": deafPushService,
		"away": func(t *testing.T) string { return "http://" + freeAddress(t) + "/push" },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, clock := t.Context(), storetest.NewClock()
			w := newWorld(t, storetest.Open(t, store.Options{Clock: clock.Now}), clock)
			anne := w.People[0]
			c := w.newClient(t)
			b, p, _, err := w.Enrol(ctx, anne, pin)
			if err != nil {
				t.Fatal(err)
			}
			receiver, err := push.NewReceiver()
			if err != nil {
				t.Fatal(err)
			}
			at := receiver.Subscription(endpoint(t))
			if err := p.SetSubscription(ctx, &at); err != nil {
				t.Fatal(err)
			}
			var slowest time.Duration
			for range 5 {
				clock.Add(10 * time.Second) // all five within the life of the first push
				began := time.Now()
				verifier, err := c.send(ctx, b, "prompt", "login")
				if err == nil {
					err = b.Choose(ctx, anne.NationalID)
				}
				if err != nil {
					t.Fatal(err)
				}
				waiting, err := p.Waiting(ctx) // the app is open: it needs no push
				if err != nil || len(waiting) != 1 {
					t.Fatalf("the phone shows %d requests: %v", len(waiting), err)
				}
				r, err := p.Open(ctx, waiting[0].ID)
				if err == nil {
					_, err = p.Approve(ctx, r, pin, "no")
				}
				if err == nil {
					err = b.Look(ctx)
				}
				if err != nil {
					t.Fatal(err)
				}
				if status, _, err := c.redeem(ctx, codeOf(b), verifier); err != nil || status != http.StatusOK {
					t.Fatalf("the code is answered %d: %v", status, err)
				}
				slowest = max(slowest, time.Since(began))
			}
			if n := w.server.queue.Stats().Open; n != 5 {
				t.Errorf("%d pushes are still tried, not 5", n)
			}
			if slowest > 5*time.Second { // a push that is waited for takes ten
				t.Errorf("a sign-in took %v", slowest)
			}
		})
	}
}

func TestLettersThatCouldNotLeaveArriveLater(t *testing.T) {
	ctx := t.Context()
	i := newInstance(t, "sqlite", 20)
	i.letters.setDeaf(true)
	i.start()
	anne := i.people[0]
	if err := stage.AskCodes(ctx, stage.PhoneOptions{Server: i.portal, Now: time.Now}, anne.NationalID, anne.Mobile, anne.Email); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	if sms, email := i.letters.codes(anne); sms != "" || email != "" {
		t.Fatal("letters came from a provider that takes none")
	}
	i.end(syscall.SIGKILL)
	i.start()
	i.letters.setDeaf(false)
	p, err := func() (*stage.Phone, error) {
		for range 400 {
			if sms, email := i.letters.codes(anne); sms != "" && email != "" {
				return stage.Activate(ctx, stage.PhoneOptions{Server: i.portal, Now: time.Now}, stage.NewPhone{NationalID: anne.NationalID, SMS: sms, Email: email, PIN: pin})
			}
			time.Sleep(50 * time.Millisecond)
		}
		return nil, errors.New("no codes came")
	}()
	if err != nil {
		t.Fatalf("%v\n%s", err, i.said())
	}
	w := stage.World{Portal: i.portal, Browser: &http.Transport{}, People: i.people}
	if _, err := i.client.signIn(context.WithoutCancel(ctx), w, anne, p); err != nil {
		t.Error(err)
	}
}
