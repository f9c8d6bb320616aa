package main

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"vigie/stage"
	"vigie/store"
	"vigie/store/storetest"
)

func TestWrongCodesOnOnePhoneTouchNobodyElse(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		ctx, w := t.Context(), newWorld(t, db, clock)
		anne, karim := w.People[0], w.People[1]
		c := w.newClient(t)
		hers, _, err := w.Activate(ctx, anne, pin)
		if err != nil {
			t.Fatal(err)
		}
		his, _, err := w.Activate(ctx, karim, pin)
		if err != nil {
			t.Fatal(err)
		}
		b, verifier, err := c.waiting(ctx, w.World, anne)
		if err != nil {
			t.Fatal(err)
		}
		before, err := b.State(ctx)
		if err != nil {
			t.Fatal(err)
		}
		// Her code, over her shoulder, and every guess beside it: on his phone all
		// are as wrong as any, and after five he waits.
		code := b.Code()
		var said []string
		for i := range 8 {
			typed := code
			if i > 0 {
				typed = fmt.Sprintf("%06d", i*111_111)
			}
			_, err := his.Claim(ctx, typed)
			said = append(said, outcomeOf(err))
		}
		if fmt.Sprint(said) != "[unknown_code unknown_code unknown_code unknown_code unknown_code codes_paused codes_paused codes_paused]" {
			t.Errorf("his phone is told %v", said)
		}
		after, err := b.State(ctx)
		before.Nonce, after.Nonce = "", ""
		if err != nil || before != after {
			t.Errorf("her page said %v, and now %v: %v", before, after, err)
		}
		if me, err := hers.Me(ctx); err != nil || len(me.Requests) != 0 || me.Misses != 0 {
			t.Errorf("her phone shows %d requests and %d misses: %v", len(me.Requests), me.Misses, err)
		}
		r, err := hers.Claim(ctx, code)
		if err == nil {
			_, err = hers.Approve(ctx, r, pin, "no")
		}
		if err == nil {
			err = b.Look(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		if status, _, err := c.redeem(ctx, codeOf(b), verifier); err != nil || status != http.StatusOK {
			t.Errorf("the code is answered %d: %v", status, err)
		}
		// He signs in too, when his five minutes are over.
		clock.Add(5*time.Minute + time.Second)
		if _, err := c.signIn(ctx, w.World, karim, his); err != nil {
			t.Errorf("after the pause: %v", err)
		}
	})
}

func TestAThousandAsksForOneNumberHurtNobodyAndAreForgotten(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		ctx, w := t.Context(), newWorld(t, db, clock)
		anne := w.People[0]
		c := w.newClient(t)
		p, inbox, err := w.Activate(ctx, anne, pin)
		if err != nil {
			t.Fatal(err)
		}
		b, verifier, err := c.waiting(ctx, w.World, anne)
		if err != nil {
			t.Fatal(err)
		}
		const asks, strangers = 1000, 8
		var mu sync.Mutex
		shown := map[string]bool{b.Code(): true}
		atOnce(strangers, func(int) {
			s, err := stage.NewBrowser(w.Browser)
			for range asks / strangers {
				if err == nil {
					_, err = c.send(ctx, s)
				}
				if err == nil {
					err = s.Type(ctx, anne.NationalID)
				}
				if err != nil || s.Code() == "" {
					t.Errorf("a stranger sees no code: %v", err)
					return
				}
				mu.Lock()
				if shown[s.Code()] {
					t.Errorf("the code %s is shown twice", s.Code())
				}
				shown[s.Code()] = true
				mu.Unlock()
			}
		})
		for code := range shown {
			for i := range code {
				slip := []byte(code)
				for d := byte('0'); d <= '9'; d++ {
					if slip[i] = d; string(slip) != code && shown[string(slip)] {
						t.Fatalf("%s and %s are one slip apart", code, slip)
					}
				}
			}
		}
		if me, err := p.Me(ctx); err != nil || len(me.Requests) != 0 {
			t.Errorf("the phone shows %d requests: %v", len(me.Requests), err)
		}
		select {
		case <-inbox.Deliveries:
			t.Error("the phone was woken")
		default:
		}
		// Her own code is the one that she sees.
		r, err := p.Claim(ctx, b.Code())
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
			t.Errorf("the code is answered %d: %v", status, err)
		}
		if n := w.count(t, `SELECT COUNT(*) FROM requests`); n < asks {
			t.Errorf("only %d requests were stored", n)
		}
		if n := w.count(t, `SELECT COUNT(*) FROM audit WHERE kind LIKE 'request.%'`); n != 3 { // hers: claimed, approved, redeemed
			t.Errorf("%d events are recorded", n)
		}
		clock.Add(2 * time.Hour)
		if err := w.server.Clean(ctx); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"requests", "codes", "wrong_codes", "rings", "oidc_authorizations"} {
			if n := w.count(t, `SELECT COUNT(*) FROM `+table); n != 0 {
				t.Errorf("%d rows of %s are left", n, table)
			}
		}
	})
}
