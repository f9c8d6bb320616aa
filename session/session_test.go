package session_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"vigie/audit"
	"vigie/directory"
	"vigie/session"
	"vigie/store"
	"vigie/store/storetest"
)

const (
	anne  = directory.ID("899700000017")
	karim = directory.ID("899700000025")
)

// A desk is a database with a clock, and one deed after the other.
type desk struct {
	*testing.T
	db    *store.DB
	clock *storetest.Clock
}

func each(t *testing.T, f func(d desk)) {
	t.Helper()
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) { f(desk{t, db, clock}) })
}

func (d desk) do(f func(ctx context.Context, tx *store.Tx) error) {
	d.Helper()
	if err := d.db.Write(d.Context(), func(tx *store.Tx) error { return f(d.Context(), tx) }); err != nil {
		d.Fatal(err)
	}
}

func (d desk) open(n session.New) session.Session {
	d.Helper()
	if n.Professional == "" {
		n.Professional = anne
	}
	if n.Kind == "" {
		n.Kind = session.Mine
	}
	n.Means, n.Service = session.Mobile, "vaccin"
	var s session.Session
	d.do(func(ctx context.Context, tx *store.Tx) (err error) {
		s, _, err = session.Open(ctx, tx, n)
		return err
	})
	return s
}

func (d desk) current(secret string) (s session.Session, ok bool) {
	d.Helper()
	d.do(func(ctx context.Context, tx *store.Tx) (err error) {
		s, ok, err = session.Current(ctx, tx, secret)
		return err
	})
	return s, ok
}

func (d desk) find(id string) (s session.Session) {
	d.Helper()
	d.do(func(ctx context.Context, tx *store.Tx) (err error) {
		s, _, err = session.Find(ctx, tx, id)
		return err
	})
	return s
}

func TestASessionIsOpenedByItsCookieAlone(t *testing.T) {
	each(t, func(d desk) {
		s := d.open(session.New{Browser: "key", Request: "r", Phone: "p", Agent: "Firefox", Address: "192.0.2.1", Provisional: true})
		got, ok := d.current(s.Secret)
		if got.Secret = s.Secret; !ok || got != s {
			d.Errorf("opened  %+v\ncurrent %+v", s, got)
		}
		for _, secret := range []string{"", s.ID, s.Secret[1:] + "A"} {
			if _, ok := d.current(secret); ok {
				d.Errorf("%q opens the session", secret)
			}
		}
		var stored string
		d.do(func(ctx context.Context, tx *store.Tx) error {
			return tx.QueryRow(ctx, `SELECT secret FROM sessions`).Scan(&stored)
		})
		if strings.Contains(stored, s.Secret) {
			d.Error("the secret is stored as it is")
		}
	})
}

func TestHowLongSessionsLive(t *testing.T) {
	each(t, func(d desk) {
		for _, c := range []struct {
			kind session.Kind
			idle time.Duration
		}{{session.Mine, 30 * time.Minute}, {session.Shared, 15 * time.Minute}, {session.None, 15 * time.Minute}} {
			unused := d.open(session.New{Kind: c.kind})
			d.clock.Add(c.idle - time.Millisecond)
			if _, ok := d.current(unused.Secret); !ok {
				d.Errorf("%s: dead just before %v", c.kind, c.idle)
			}
			d.clock.Add(time.Millisecond)
			if _, ok := d.current(unused.Secret); ok || session.Alive(d.find(unused.ID), d.clock.Now()) {
				d.Errorf("%s: alive after %v without use", c.kind, c.idle)
			}
			d.do(func(ctx context.Context, tx *store.Tx) error {
				if err := session.Touch(ctx, tx, d.sessionIn(tx, unused.ID)); err != session.ErrEnded {
					d.Errorf("%s: touching a dead session: %v", c.kind, err)
				}
				return nil
			})

			used := d.open(session.New{Kind: c.kind})
			opened := d.clock.Now()
			for d.clock.Now().Sub(opened) < session.Life-10*time.Minute {
				d.clock.Add(10 * time.Minute)
				d.do(func(ctx context.Context, tx *store.Tx) error { return session.Touch(ctx, tx, d.sessionIn(tx, used.ID)) })
			}
			d.clock.Add(10*time.Minute - time.Millisecond)
			if _, ok := d.current(used.Secret); !ok {
				d.Errorf("%s: dead just before 4 h", c.kind)
			}
			d.clock.Add(time.Millisecond)
			if _, ok := d.current(used.Secret); ok {
				d.Errorf("%s: alive after 4 h", c.kind)
			}
		}
	})
}

func (d desk) sessionIn(tx *store.Tx, id string) session.Session {
	d.Helper()
	s, _, err := session.Find(d.Context(), tx, id)
	if err != nil {
		d.Fatal(err)
	}
	return s
}

func TestAServiceThatGoesOnDoesNotKeepASharedPostOpen(t *testing.T) {
	each(t, func(d desk) {
		for _, kind := range []session.Kind{session.Mine, session.Shared, session.None} {
			s := d.open(session.New{Kind: kind})
			for range 2 {
				d.clock.Add(10 * time.Minute)
				d.do(func(ctx context.Context, tx *store.Tx) error { return session.Use(ctx, tx, d.sessionIn(tx, s.ID)) })
			}
			if !session.Alive(d.find(s.ID), d.clock.Now()) {
				d.Errorf("%s: dead while a service uses it", kind)
			}
			if _, ok := d.current(s.Secret); ok != (kind == session.Mine) {
				d.Errorf("%s: the portal is open: %v", kind, ok)
			}
			if got := session.Decide(d.find(s.ID), true, "vaccin", d.clock.Now()); (got == session.Approve) == (kind == session.Mine) {
				d.Errorf("%s: %s", kind, got)
			}
			d.do(func(ctx context.Context, tx *store.Tx) error {
				if held, ok, err := session.Held(ctx, tx, s.Secret); err != nil || !ok || held.ID != s.ID {
					d.Errorf("%s: cannot be ended from here: %v", kind, err)
				}
				return nil
			})
		}
	})
}

func TestWhoeverSignsInNextOnABrowserTakesTheSessionOver(t *testing.T) {
	each(t, func(d desk) {
		first := d.open(session.New{Kind: session.None, Provisional: true})
		d.do(func(ctx context.Context, tx *store.Tx) error { return session.Join(ctx, tx, first, "vaccin") })
		d.clock.Add(time.Minute)

		again := d.open(session.New{Kind: session.Mine, Browser: "key", Cookie: first.Secret})
		if again.ID != first.ID || !again.Opened.Equal(first.Opened) || !again.AuthTime.Equal(d.clock.Now()) || again.Kind != session.Mine || !again.ProvisionalUntil.IsZero() {
			d.Errorf("the same professional goes on as %+v", again)
		}
		if _, ok := d.current(first.Secret); ok {
			d.Error("the old secret still opens it")
		}
		got, ok := d.current(again.Secret)
		if got.Secret = again.Secret; !ok || got != again {
			d.Errorf("stored %+v, returned %+v", got, again)
		}

		other := d.open(session.New{Professional: karim, Cookie: again.Secret})
		if other.ID == first.ID {
			d.Error("another professional goes on with the session")
		}
		if ended := d.find(first.ID); session.Alive(ended, d.clock.Now()) || ended.EndedWhy == "" {
			d.Errorf("the first professional's session: %+v", ended)
		}
		late := d.open(session.New{Professional: anne, Cookie: first.Secret})
		if late.ID == first.ID {
			d.Error("an ended session comes back")
		}
	})
}

func TestARenewedSecretReplacesTheOldOne(t *testing.T) {
	each(t, func(d desk) {
		s := d.open(session.New{})
		var again session.Session
		d.do(func(ctx context.Context, tx *store.Tx) (err error) {
			again, _, err = session.Renew(ctx, tx, s.ID)
			return err
		})
		if _, ok := d.current(s.Secret); ok {
			d.Error("the old secret still opens the session")
		}
		if got, ok := d.current(again.Secret); !ok || got.ID != s.ID {
			d.Error("the new secret does not open the session")
		}
		d.do(func(ctx context.Context, tx *store.Tx) error {
			if _, err := session.End(ctx, tx, s.ID, "test", "system"); err != nil {
				return err
			}
			if _, _, err := session.Renew(ctx, tx, s.ID); err != session.ErrEnded {
				d.Errorf("renewing an ended session: %v", err)
			}
			return nil
		})
	})
}

func TestASessionEndsOnceAndLeavesATrace(t *testing.T) {
	each(t, func(d desk) {
		s := d.open(session.New{})
		d.clock.Add(time.Second)
		for i, want := range []bool{true, false} {
			d.do(func(ctx context.Context, tx *store.Tx) error {
				ended, err := session.End(ctx, tx, s.ID, "undo", "professional")
				if ended != want {
					d.Errorf("end %d: %v", i, ended)
				}
				return err
			})
		}
		if _, ok := d.current(s.Secret); ok {
			d.Error("alive")
		}
		d.do(func(ctx context.Context, tx *store.Tx) error {
			entries, err := audit.Of(ctx, tx, string(anne), 10)
			if len(entries) != 2 || entries[0].Kind != audit.SessionEnded || entries[0].Detail["why"] != "undo" || entries[0].Session != s.ID {
				d.Errorf("the log: %+v", entries)
			}
			return err
		})
	})
}

func TestAllSessionsOfOneProfessionalEnd(t *testing.T) {
	each(t, func(d desk) {
		d.open(session.New{})
		d.open(session.New{Kind: session.Shared})
		other := d.open(session.New{Professional: karim})
		d.open(session.New{Kind: session.None})
		d.clock.Add(14 * time.Minute)
		d.do(func(ctx context.Context, tx *store.Tx) error {
			n, err := session.EndAllOf(ctx, tx, anne, "left the register", "system")
			if n != 3 {
				d.Errorf("%d ended", n)
			}
			return err
		})
		d.do(func(ctx context.Context, tx *store.Tx) error {
			left, err := session.Of(ctx, tx, anne)
			if len(left) != 0 {
				d.Errorf("left: %v", left)
			}
			return err
		})
		if _, ok := d.current(other.Secret); !ok {
			d.Error("a colleague's session ended too")
		}
	})
}

func TestJoiningTwiceIsJoiningOnce(t *testing.T) {
	each(t, func(d desk) {
		s := d.open(session.New{})
		for range 2 {
			d.do(func(ctx context.Context, tx *store.Tx) error { return session.Join(ctx, tx, s, "labo") })
			d.clock.Add(time.Second)
		}
		d.do(func(ctx context.Context, tx *store.Tx) error {
			all, err := session.Services(ctx, tx, s.ID)
			if len(all) != 1 || all[0].Service != "labo" || !all[0].At.Equal(s.Opened) {
				d.Errorf("joined: %v", all)
			}
			return err
		})
		d.do(func(ctx context.Context, tx *store.Tx) error {
			entries, err := audit.Of(ctx, tx, string(anne), 10)
			if len(entries) != 2 {
				d.Errorf("the log has %d entries", len(entries))
			}
			return err
		})
	})
}

func TestHowASecondServiceComesIn(t *testing.T) {
	now := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	base := func(kind session.Kind, provisional bool) session.Session {
		s := session.Session{ID: "s", Kind: kind, Opened: now, AuthTime: now, LastSeen: now, Used: now, FirstService: "vaccin"}
		if provisional {
			s.ProvisionalUntil = now.Add(session.Provisional)
		}
		return s
	}
	for _, c := range []struct {
		kind        session.Kind
		provisional bool
		after       time.Duration
		joined      bool
		service     string
		want        session.Decision
	}{
		// On one's own browser the second service asks nothing.
		{session.Mine, false, time.Minute, true, "vaccin", session.Silent},
		{session.Mine, false, time.Minute, false, "vaccin", session.Silent},
		{session.Mine, false, time.Minute, false, "labo", session.Silent},
		{session.Mine, false, 30 * time.Minute, false, "labo", session.Approve},
		// In the first ten minutes after a code only the service that asked.
		{session.Mine, true, time.Minute, false, "vaccin", session.Silent},
		{session.Mine, true, time.Minute, false, "labo", session.Approve},
		{session.Mine, true, time.Minute, true, "labo", session.Silent},
		{session.Mine, true, 10*time.Minute - 1, false, "labo", session.Approve},
		{session.Mine, true, 10 * time.Minute, false, "labo", session.Silent},
		// On a shared post nothing passes silently, and a new service costs an approval.
		{session.Shared, false, time.Minute, true, "vaccin", session.Continue},
		{session.Shared, false, time.Minute, false, "vaccin", session.Continue},
		{session.Shared, false, time.Minute, false, "labo", session.Approve},
		{session.Shared, false, time.Minute, true, "labo", session.Continue},
		{session.Shared, false, 15 * time.Minute, true, "vaccin", session.Approve},
		{session.Shared, true, time.Minute, false, "labo", session.Approve},
		{session.None, false, time.Minute, true, "vaccin", session.Continue},
		{session.None, false, time.Minute, false, "labo", session.Approve},
		{session.None, true, time.Minute, false, "vaccin", session.Continue},
		{session.None, true, 11 * time.Minute, false, "labo", session.Approve},
	} {
		if got := session.Decide(base(c.kind, c.provisional), c.joined, c.service, now.Add(c.after)); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	ended := base(session.Mine, false)
	ended.Ended = now
	for name, s := range map[string]session.Session{"an ended session": ended, "no session": {}} {
		if got := session.Decide(s, true, "vaccin", now); got != session.Approve {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestTheSessionCookieEndsWithTheBrowser(t *testing.T) {
	for _, c := range []struct {
		cookie session.Cookie
		want   string
	}{
		{session.Cookie{Secure: true, Suffix: "x"}, "__Host-vigie_session=%s; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{session.Cookie{Suffix: "_8080"}, "vigie_session_8080=%s; Path=/; HttpOnly; SameSite=Lax"},
	} {
		secret := strings.Repeat("A", 26)
		w := httptest.NewRecorder()
		c.cookie.Set(w, secret)
		if got, want := w.Header().Get("Set-Cookie"), fmt.Sprintf(c.want, secret); got != want {
			t.Errorf("sets %s, want %s", got, want)
		}
		r := &http.Request{Header: http.Header{"Cookie": {c.cookie.Name() + "=" + secret}}}
		if got := c.cookie.Secret(r); got != secret {
			t.Errorf("reads %q", got)
		}
		r.Header.Set("Cookie", c.cookie.Name()+"=short")
		if got := c.cookie.Secret(r); got != "" {
			t.Errorf("reads %q", got)
		}
	}
}
