package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vigie/directory"
	"vigie/message"
	"vigie/stage"
	"vigie/store"
	"vigie/store/storetest"
)

const crowd = 20

// anotherPhone gives who a second phone, by the word of two people of the
// support line.
func (w *world) anotherPhone(t *testing.T, who stage.Person) *stage.Phone {
	t.Helper()
	ctx := t.Context()
	err := w.db.Write(ctx, func(tx *store.Tx) error {
		code, err := w.server.Phones.AllowActivation(ctx, tx, directory.ID(who.NationalID), "a second telephone", "operator:ada")
		if err == nil {
			_, err = w.server.Phones.Confirm(ctx, tx, code, "operator:grace")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Add(25 * time.Hour)
	p, _, err := w.Activate(ctx, who, pin)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOfTwentyAnswersToOneRequestExactlyOneCounts(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		ctx, w := t.Context(), newWorld(t, db, clock)
		anne := w.People[0]
		c := w.newClient(t)
		b, first, _, err := w.Enrol(ctx, anne, pin)
		if err != nil {
			t.Fatal(err)
		}
		second := w.anotherPhone(t, anne)

		for round := range 3 { // a ring for both phones, and twice a code typed on the first
			var request stage.Request
			var verifier string
			if round == 0 {
				if verifier, err = c.send(ctx, b, "prompt", "login"); err == nil {
					err = b.Choose(ctx, anne.NationalID)
				}
				if err != nil {
					t.Fatal(err)
				}
				waiting, err := second.Waiting(ctx)
				if err != nil || len(waiting) != 1 {
					t.Fatalf("%d requests rang on the second phone: %v", len(waiting), err)
				}
				request, err = first.Open(ctx, waiting[0].ID)
				if err != nil {
					t.Fatal(err)
				}
			} else {
				if b, verifier, err = c.waiting(ctx, w.World, anne); err != nil {
					t.Fatal(err)
				}
				if request, err = first.Claim(ctx, b.Code()); err != nil {
					t.Fatal(err)
				}
			}
			var said tally
			atOnce(crowd, func(i int) {
				p := first
				if i%3 == 0 {
					p = second
				}
				deed := []func(context.Context, string) (stage.Answer, error){p.Refuse, p.Report, p.Leave}[i/3%3]
				var a stage.Answer
				var err error
				if i%10 == 1 { // twice: there are no three PINs in a row
					a, err = first.Approve(ctx, request, pin, "no")
				} else {
					a, err = deed(ctx, request.ID)
				}
				if err == nil {
					said.add(a.State)
				} else {
					said.add(outcomeOf(err))
				}
			})
			won := 0
			for outcome, n := range said.n {
				switch outcome {
				case "approved", "refused", "reported", "left":
					won += n
				case "answered", "unknown_request": // too late, or a phone on which it did not ring
				default:
					t.Errorf("round %d: %d were told %q", round, n, outcome)
				}
			}
			recorded := w.count(t, `SELECT COUNT(*) FROM audit WHERE request = $1 AND kind IN ('request.approved', 'request.refused', 'request.reported', 'request.left')`, request.ID)
			if won != 1 || recorded != 1 {
				t.Errorf("round %d: %d answers won and %d are recorded: %v", round, won, recorded, said.n)
			}
			if err := b.Look(ctx); err != nil {
				t.Fatal(err)
			}
			if in := codeOf(b) != ""; in != (said.n["approved"] == 1) {
				t.Errorf("round %d: %v, and the browser is in: %v", round, said.n, in)
			} else if status, _, err := c.redeem(ctx, codeOf(b), verifier); in && (err != nil || status != http.StatusOK) {
				t.Errorf("round %d: its code answers %d, %v", round, status, err)
			}
			if misses := w.count(t, `SELECT COUNT(*) FROM evaluations WHERE phone = $1 AND taken = 0`, first.ID()); misses != 0 {
				t.Errorf("round %d: %d right PINs count as misses", round, misses)
			}
		}
	})
}

func TestOfTwentyWindowsOfOneBrowserOneSignInComes(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		ctx, w := t.Context(), newWorld(t, db, clock)
		anne := w.People[0]
		c := w.newClient(t)
		p, _, err := w.Activate(ctx, anne, pin)
		if err != nil {
			t.Fatal(err)
		}
		b, verifier, err := c.waiting(ctx, w.World, anne)
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Claim(ctx, b.Code())
		if err == nil {
			_, err = p.Approve(ctx, r, pin, "no")
		}
		if err != nil {
			t.Fatal(err)
		}
		at, _, _ := b.Page()
		windows := make([]*stage.Browser, crowd)
		for i := range windows {
			windows[i] = b.Window()
			if i%5 == 0 { // somebody else, who has learned the address
				if windows[i], err = stage.NewBrowser(w.Browser); err != nil {
					t.Fatal(err)
				}
				windows[i].StopAt(landing)
			}
		}
		var said tally
		var mu sync.Mutex
		var good []tokens
		atOnce(crowd, func(i int) {
			if err := windows[i].Visit(ctx, at.String()); err != nil {
				t.Error(err)
				return
			}
			code := codeOf(windows[i])
			if code == "" {
				_, status, _ := windows[i].Page()
				said.add(fmt.Sprintf("page %d", status))
				if i%5 == 0 && status != http.StatusForbidden {
					t.Errorf("a stranger's browser is answered %d", status)
				}
				return
			}
			if i%5 == 0 {
				t.Error("a stranger's browser got a code")
			}
			status, got, err := c.redeem(ctx, code, verifier)
			if err != nil {
				t.Error(err)
			}
			said.add(fmt.Sprintf("token %d %s", status, got.Error))
			if status == http.StatusOK {
				mu.Lock()
				good = append(good, got)
				mu.Unlock()
			}
		})
		t.Log(said.n)
		if len(good) != 1 {
			t.Fatalf("%d codes were redeemed: %v", len(good), said.n)
		}
		for outcome := range said.n {
			switch outcome {
			case "token 200 ", "token 400 invalid_grant", "page 403", "page 409", "page 410":
			default:
				t.Errorf("somebody is answered %q", outcome)
			}
		}
		if active, err := c.active(ctx, good[0].Access); err != nil || !active {
			t.Errorf("the one that was redeemed is worth something: %v, %v", active, err)
		}
		for _, kind := range []string{"request.redeemed", "session.opened", "session.joined"} {
			if n := w.count(t, `SELECT COUNT(*) FROM audit WHERE kind = $1 AND (request = $2 OR session = $3)`, kind, r.ID, good[0].Session); n != 1 {
				t.Errorf("%s is recorded %d times", kind, n)
			}
		}
	})
}

func TestOfSixtyFourPINsAtOnceOnlyThoseBeforeThePauseAreEvaluated(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		ctx, w := t.Context(), newWorld(t, db, clock)
		anne := w.People[0]
		c := w.newClient(t)
		p, _, err := w.Activate(ctx, anne, pin)
		if err != nil {
			t.Fatal(err)
		}
		tried := 0
		for _, stand := range []struct {
			before int // the next pause
			pause  time.Duration
		}{{3, 5 * time.Minute}, {2, time.Hour}} {
			b, _, err := c.waiting(ctx, w.World, anne)
			if err != nil {
				t.Fatal(err)
			}
			r, err := p.Claim(ctx, b.Code())
			if err != nil {
				t.Fatal(err)
			}
			var said tally
			atOnce(64, func(i int) {
				_, err := p.Approve(ctx, r, "4071", "no")
				said.add(outcomeOf(err))
			})
			if said.n["wrong_pin"] != stand.before || said.n["paused"] != 64-stand.before {
				t.Errorf("%d stand before the pause: %v", stand.before, said.n)
			}
			tried += stand.before
			me, err := p.Me(ctx)
			if err != nil || me.Misses != tried || me.State != "paused" {
				t.Errorf("the phone is %s with %d misses, not %d: %v", me.State, me.Misses, tried, err)
			}
			if n := w.count(t, `SELECT COUNT(*) FROM evaluations WHERE phone = $1`, p.ID()); n != tried {
				t.Errorf("%d evaluations are counted, not %d", n, tried)
			}
			clock.Add(stand.pause + time.Second)
		}
		// And a right one still opens, once, and clears the row.
		b, verifier, err := c.waiting(ctx, w.World, anne)
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Claim(ctx, b.Code())
		if err != nil {
			t.Fatal(err)
		}
		var said tally
		atOnce(crowd, func(int) {
			_, err := p.Approve(ctx, r, pin, "no")
			said.add(outcomeOf(err))
		})
		for outcome := range said.n {
			// Three are evaluated before the phone would be disabled; as long as
			// their documents are on the way, it is not.
			if !slices.Contains([]string{"ok", "answered", "disabled"}, outcome) {
				t.Errorf("right PINs at once are told %v", said.n)
			}
		}
		if me, err := p.Me(ctx); err != nil || said.n["ok"] != 1 || me.Misses != 0 || me.State != "active" {
			t.Errorf("%v, and the phone is %s with %d misses: %v", said.n, me.State, me.Misses, err)
		}
		if err := b.Look(ctx); err != nil {
			t.Fatal(err)
		}
		if status, _, err := c.redeem(ctx, codeOf(b), verifier); err != nil || status != http.StatusOK {
			t.Errorf("the browser is not in: %d, %v", status, err)
		}
	})
}

// echo is a network that delivers twenty times at once what a phone sends once,
// and compares the answers.
type echo struct {
	t    *testing.T
	next http.RoundTripper
}

func (e echo) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet || r.Body == nil {
		return e.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	answers := make([]*http.Response, crowd)
	texts := make([]string, crowd)
	atOnce(crowd, func(i int) {
		copied := r.Clone(r.Context())
		copied.Body = io.NopCloser(bytes.NewReader(body))
		resp, err := e.next.RoundTrip(copied)
		if err != nil {
			e.t.Error(err)
			return
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			e.t.Error(err)
		}
		answers[i], texts[i] = resp, fmt.Sprint(resp.StatusCode, " ", string(b))
	})
	for i := range answers {
		if answers[i] == nil {
			return nil, io.ErrUnexpectedEOF
		}
		if texts[i] != texts[0] {
			e.t.Errorf("%s: one is answered %q, another %q", r.URL.Path, texts[0], texts[i])
		}
	}
	_, text, _ := strings.Cut(texts[0], " ")
	answers[0].Body = io.NopCloser(strings.NewReader(text))
	return answers[0], nil
}

func TestWhatAPhoneSendsIsDoneOnceHoweverOftenItArrives(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		ctx, w := t.Context(), newWorld(t, db, clock)
		anne := w.People[0]
		c := w.newClient(t)
		crowded := w.World
		crowded.HTTP = &http.Client{Timeout: 30 * time.Second, Transport: echo{t, &http.Transport{MaxIdleConnsPerHost: crowd}}}
		p, _, err := crowded.Activate(ctx, anne, pin)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.signIn(ctx, crowded, anne, p); err != nil {
			t.Fatal(err)
		}
		if _, err := p.ChangePIN(ctx, pin, "4071"); err != nil {
			t.Fatal(err)
		}
		if err := p.SetSilent(ctx, true); err != nil {
			t.Fatal(err)
		}
		if err := p.FallAsleep(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wake(ctx, "4071"); err != nil {
			t.Fatal(err)
		}
		b, _, err := c.waiting(ctx, w.World, anne)
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Claim(ctx, b.Code())
		if err == nil {
			r, err = p.More(ctx, r.ID)
		}
		if err != nil || r.MoreLeft != 2 {
			t.Errorf("one more minute was asked for, and %d are left: %v", r.MoreLeft, err)
		}
		if _, err := p.Approve(ctx, r, "1212", "no"); outcomeOf(err) != "wrong_pin" {
			t.Error(err)
		}
		if _, err := p.Report(ctx, r.ID); err != nil {
			t.Error(err)
		}
		if me, err := p.Me(ctx); err != nil || me.Misses != 1 {
			t.Errorf("one wrong PIN, %d misses: %v", me.Misses, err)
		}
		for query, want := range map[string]int{
			`SELECT COUNT(*) FROM asks`:                                         1,
			`SELECT COUNT(*) FROM pairs`:                                        1,
			`SELECT COUNT(*) FROM tickets`:                                      1,
			`SELECT COUNT(*) FROM phones`:                                       1,
			`SELECT COUNT(*) FROM evaluations`:                                  4, // sign-in, old PIN, wake, wrong
			`SELECT COUNT(*) FROM audit WHERE kind = 'phone.activated'`:         1,
			`SELECT COUNT(*) FROM audit WHERE kind = 'request.approved'`:        1,
			`SELECT COUNT(*) FROM audit WHERE kind = 'request.claimed'`:         2,
			`SELECT COUNT(*) FROM audit WHERE kind = 'request.reported'`:        1,
			`SELECT COUNT(*) FROM messages WHERE kind LIKE 'activation.codes%'`: 2,
			`SELECT COUNT(*) FROM messages WHERE channel = '` + string(message.SMS) + `' AND kind LIKE 'activation.codes%'`: 1,
		} {
			if n := w.count(t, query); n != want {
				t.Errorf("%s: %d, not %d", query, n, want)
			}
		}
	})
}
