package main

import (
	"testing"
	"time"

	"vigie/store"
	"vigie/store/storetest"
)

func TestWhomAStrangerNamesIsNotWoken(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		ctx, w := t.Context(), newWorld(t, db, clock)
		anne, c := w.People[0], w.newClient(t)
		p, _, err := w.Activate(ctx, anne, pin)
		if err != nil {
			t.Fatal(err)
		}
		heard, stop := w.server.Logins.Hub().Wait(anne.NationalID)
		defer stop()
		woken := func() bool { // by this node's deed, or by its look at those of others
			select {
			case <-heard:
				return true
			case <-time.After(time.Second):
				return false
			}
		}
		b, _, err := c.waiting(ctx, w.World, anne)
		if err != nil {
			t.Fatal(err)
		}
		if woken() {
			t.Error("an open app is woken by a stranger who types its owner's number")
		}
		if _, err := p.Claim(ctx, b.Code()); err != nil {
			t.Fatal(err)
		}
		if !woken() {
			t.Error("an open app does not hear that its professional fetched a request")
		}
	})
}
