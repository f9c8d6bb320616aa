//go:build prove

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"vigie/stage"
	"vigie/store"
)

// long has the proofs take their time.
var long = os.Getenv("VIGIE_PROVE_LONG") != ""

// TestProveKillNine kills the server at random moments while people activate
// phones and sign in, each with the patience of a real page and a real phone.
// What somebody was told is so, it stays so; what happens once, happens once;
// and everybody gets in.
func TestProveKillNine(t *testing.T) {
	kills := 20
	if long {
		kills = 200
	}
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			h := &history{phones: map[string]stage.Person{}, approved: map[string]int{}, in: map[string]int{}}
			i := newInstance(t, engine, 2000)
			i.start()
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(kills)*10*time.Second+3*time.Minute)
			defer cancel()
			var enough atomic.Bool
			var next atomic.Int64
			var actors sync.WaitGroup
			for range 8 {
				actors.Go(func() {
					for !enough.Load() && ctx.Err() == nil {
						n := int(next.Add(1))
						a := &actor{instance: i, history: h, who: i.people[n%len(i.people)], transport: from(n), dir: t.TempDir()}
						defer a.transport.CloseIdleConnections()
						if err := a.live(ctx, &enough); err != nil {
							t.Errorf("%s is stranded: %v", a.who.NationalID, err)
						}
					}
				})
			}
			var down time.Duration
			for range kills {
				time.Sleep(50*time.Millisecond + rand.N(1200*time.Millisecond))
				began := time.Now()
				i.end(syscall.SIGKILL)
				i.start()
				down += time.Since(began)
			}
			enough.Store(true)
			actors.Wait()
			h.check(t, i)
			t.Logf("%d kills, down for %v each: %d phones activated, %d approvals, %d sign-ins, of which %d began again",
				kills, (down / time.Duration(kills)).Round(time.Millisecond), len(h.phones), len(h.approved), len(h.sessions), h.again)
			if t.Failed() {
				t.Log(i.said())
			}
		})
	}
}

// from is a network that comes from an address of its own.
func from(n int) *http.Transport {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+n/250), byte(1+n%250))}}
	return &http.Transport{DialContext: d.DialContext, ResponseHeaderTimeout: 10 * time.Second}
}

// history is what people were told.
type history struct {
	mu       sync.Mutex
	phones   map[string]stage.Person // that were said to be activated
	approved map[string]int          // requests: how often a phone was told that its approval counts
	in       map[string]int          // authorizations: how often a code was redeemed
	sessions []tokens                // that services hold
	again    int                     // sign-ins that had to begin again
}

func (h *history) note(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// check compares the history with what the server says in the end, and with what
// is stored.
func (h *history) check(t *testing.T, i *instance) {
	ctx := t.Context()
	for _, s := range h.sessions {
		status, again, err := i.client.refresh(ctx, s.Refresh)
		if err != nil || status != http.StatusOK || again.Session != s.Session {
			t.Errorf("session %s was acknowledged and is lost: its refresh token is answered %d %s, %v", s.Session, status, again.Error, err)
			continue
		}
		if active, err := i.client.active(ctx, again.Access); err != nil || !active {
			t.Errorf("session %s was acknowledged and is lost: %v", s.Session, err)
		}
	}
	for id, n := range h.in {
		if n != 1 {
			t.Errorf("authorization %s was redeemed %d times", id, n)
		}
	}
	for id, n := range h.approved {
		if n != 1 {
			t.Errorf("request %s: %d phones were told that their approval counts", id, n)
		}
	}
	i.end(syscall.SIGTERM)
	db, err := store.Open(ctx, i.database(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	number := func(query string, args ...any) (n int) {
		err := db.Read(ctx, func(tx *store.Tx) error { return tx.QueryRow(ctx, query, args...).Scan(&n) })
		if err != nil {
			t.Error(err)
		}
		return n
	}
	for id := range h.approved {
		if n := number(`SELECT COUNT(*) FROM audit WHERE kind = 'request.approved' AND request = $1`, id); n != 1 {
			t.Errorf("the approval of request %s is stored %d times", id, n)
		}
	}
	for id, who := range h.phones {
		if n := number(`SELECT COUNT(*) FROM phones WHERE id = $1 AND professional = $2 AND disabled = 0`, id, who.NationalID); n != 1 {
			t.Errorf("phone %s was acknowledged and is lost", id)
		}
	}
	for what, query := range map[string]string{
		"requests redeemed twice":            `SELECT COUNT(*) FROM (SELECT request FROM audit WHERE kind = 'request.redeemed' GROUP BY request HAVING COUNT(*) > 1) x`,
		"requests approved twice":            `SELECT COUNT(*) FROM (SELECT request FROM audit WHERE kind = 'request.approved' GROUP BY request HAVING COUNT(*) > 1) x`,
		"requests that opened two sessions":  `SELECT COUNT(*) FROM (SELECT request FROM sessions GROUP BY request HAVING COUNT(*) > 1) x`,
		"people with two phones":             `SELECT COUNT(*) FROM (SELECT professional FROM phones GROUP BY professional HAVING COUNT(*) > 1) x`,
		"tickets of one pair":                `SELECT COUNT(*) FROM (SELECT pair FROM tickets GROUP BY pair HAVING COUNT(*) > 1) x`,
		"phones that are paused or disabled": `SELECT COUNT(*) FROM phones WHERE misses > 2 OR disabled > 0`,
		"letters that never left":            `SELECT COUNT(*) FROM messages WHERE given_up > 0`,
	} {
		if n := number(query); n != 0 {
			t.Errorf("%d %s", n, what)
		}
	}
	b, err := os.ReadFile(i.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if bytes.Contains(line, []byte("panic")) || bytes.Contains(line, []byte("status=500")) {
			t.Errorf("the server said: %s", line)
		}
	}
}

// database is where the instance's is.
func (i *instance) database() string {
	for n, a := range i.args {
		if a == "--database" {
			return i.args[n+1]
		}
	}
	for n, a := range i.args {
		if a == "--data" {
			return filepath.Join(i.args[n+1], "vigie.db")
		}
	}
	return ""
}

// actor is one professional with a browser and a phone.
type actor struct {
	*instance
	*history
	who       stage.Person
	transport *http.Transport
	dir       string
	phone     *stage.Phone
	browser   *stage.Browser
}

// live activates a phone and signs in three times, and once more when nobody
// kills any longer.
func (a *actor) live(ctx context.Context, enough *atomic.Bool) error {
	if err := a.activate(ctx); err != nil {
		return fmt.Errorf("activating: %w", err)
	}
	for n := 0; n < 3 || enough.Load() && n < 4; n++ {
		if err := a.enter(ctx, n); err != nil {
			return fmt.Errorf("signing in: %w", err)
		}
	}
	return nil
}

// personPatience is more than the minute after which a letter leaves again that
// the server took with it.
const personPatience = 100 * time.Second

// insist does f again until it says that it is done, as a person does who was
// shown an error, for as long as a person would.
func insist(ctx context.Context, f func() (done bool, err error)) error {
	var err error
	for began := time.Now(); time.Since(began) < personPatience && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		var done bool
		if done, err = f(); done {
			return err
		}
	}
	return errors.Join(errors.New("patience is over"), err, ctx.Err())
}

func (a *actor) activate(ctx context.Context) error {
	o := stage.PhoneOptions{Server: a.portal, Now: time.Now, HTTP: &http.Client{Transport: a.transport}}
	err := insist(ctx, func() (bool, error) {
		err := stage.AskCodes(ctx, o, a.who.NationalID, a.who.Mobile, a.who.Email)
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("asking: %w", err)
	}
	var sms, email string
	if err := insist(ctx, func() (bool, error) {
		sms, email = a.letters.codes(a.who)
		return sms != "" && email != "", nil
	}); err != nil {
		return fmt.Errorf("waiting for letters: %w", err)
	}
	file := filepath.Join(a.dir, "phone")
	return insist(ctx, func() (bool, error) {
		p, err := stage.Activate(ctx, o, stage.NewPhone{NationalID: a.who.NationalID, SMS: sms, Email: email, PIN: pin, Name: "Pixel", File: file})
		if _, refused := errors.AsType[*stage.Refused](err); refused {
			return true, err // clear, and wrong here
		}
		if err != nil {
			if p, err = stage.OpenPhone(file, o); err != nil {
				return false, err // it never came so far
			}
			if _, err = p.Me(ctx); err != nil {
				return false, err
			}
		}
		a.phone = p
		a.note(func() { a.phones[p.ID()] = a.who })
		return true, nil
	})
}

// enter signs in: the first time by a code on a browser that is then kept, later
// by a ring if the browser may.
func (a *actor) enter(ctx context.Context, n int) error {
	for try := 0; ; try++ {
		in, err := a.tryToEnter(ctx, n)
		if in || err != nil {
			return err
		}
		if try == 10 {
			return errors.New("ten sign-ins had to begin again")
		}
		a.note(func() { a.again++ })
	}
}

// tryToEnter is one demand of the service. Not in without an error: the service
// has to begin again, and says so.
func (a *actor) tryToEnter(ctx context.Context, n int) (in bool, err error) {
	if a.browser == nil {
		if a.browser, err = stage.NewBrowser(a.transport); err != nil {
			return false, err
		}
	}
	var verifier string
	err = insist(ctx, func() (bool, error) {
		verifier, err = a.client.send(ctx, a.browser, "prompt", "login")
		return a.shows(http.StatusOK, err), err
	})
	if err != nil {
		return false, fmt.Errorf("coming from the service: %w", err)
	}
	at, _, _ := a.browser.Page()
	authorization := strings.TrimPrefix(at.Path, "/login/")
	if err := a.approve(ctx, at.String(), n); err != nil {
		return false, fmt.Errorf("authorization %s: %w", authorization, err)
	}
	for trouble := false; ; trouble = true {
		// An approval that was acknowledged is there, whatever happens.
		err = insist(ctx, func() (bool, error) {
			err := a.browser.Visit(ctx, at.String())
			return codeOf(a.browser) != "" || a.shows(http.StatusGone, err), err
		})
		code := codeOf(a.browser)
		if err != nil || code == "" {
			if trouble { // the service took the code and never heard of it: the page says that it is used
				return false, nil
			}
			_, status, text := a.browser.Page()
			return false, fmt.Errorf("authorization %s: the approval is lost: %w: %d %.200s", authorization, err, status, text)
		}
		status, got, err := a.client.redeem(ctx, code, verifier)
		switch {
		case err != nil, status >= 500:
			continue // the page is still open, the person reloads it
		case status == http.StatusOK:
			a.note(func() {
				a.history.in[authorization]++
				a.sessions = append(a.sessions, got)
			})
			return true, nil
		}
		return false, fmt.Errorf("authorization %s: the code answers %d %s", authorization, status, got.Error)
	}
}

// shows says that the browser got a page and not an error of the network.
func (a *actor) shows(status int, err error) bool {
	_, got, _ := a.browser.Page()
	return err == nil && got == status
}

// approve asks at the portal and approves on the phone, until the phone is told
// that it counts.
func (a *actor) approve(ctx context.Context, page string, n int) error {
	asked := false
	return insist(ctx, func() (bool, error) {
		if err := a.browser.Visit(ctx, page); err != nil {
			return false, err
		}
		if codeOf(a.browser) != "" {
			return true, errors.New("in without an approval")
		}
		code := a.browser.Code()
		state, err := a.browser.State(ctx)
		if err != nil {
			return false, err
		}
		if state.Status == "approved" { // by this phone, which was not told
			return asked, nil
		}
		if state.Status != "pending" {
			ask := a.browser.Type
			if a.browser.Remembers(a.who.NationalID) {
				ask = a.browser.Choose
			}
			if err := ask(ctx, a.who.NationalID); err != nil {
				return false, err
			}
			return false, fmt.Errorf("asked, and it is %s", state.Status)
		}
		var r stage.Request
		if code != "" {
			r, err = a.phone.Claim(ctx, code)
		} else {
			r, err = a.phone.Open(ctx, state.Request)
		}
		if err != nil {
			return outcomeOf(err) == "unknown_request", err
		}
		keep := "no"
		if n == 0 && r.Keepable {
			keep = "mine"
		}
		asked = true
		if _, err = a.phone.Approve(ctx, r, pin, keep); err != nil {
			for _, final := range []string{"paused", "disabled", "wrong_pin"} {
				if stage.RefusedAs(err, final) {
					return true, err
				}
			}
			return false, err
		}
		a.note(func() { a.approved[r.ID]++ })
		return true, nil
	})
}
