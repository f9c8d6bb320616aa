package main

import (
	"errors"
	"net/http"
	"testing"

	"vigie/session"
	"vigie/stage"
	"vigie/store"
	"vigie/store/storetest"
)

func TestAnUndoneApprovalOpensNothing(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		ctx, w := t.Context(), newWorld(t, db, clock)
		anne, c := w.People[0], w.newClient(t)
		p, _, err := w.Activate(ctx, anne, pin)
		if err != nil {
			t.Fatal(err)
		}
		approve := func(keep string) (*stage.Browser, string, stage.Request) {
			t.Helper()
			b, verifier, err := c.waiting(ctx, w.World, anne)
			if err != nil {
				t.Fatal(err)
			}
			r, err := p.Claim(ctx, b.Code())
			if err == nil {
				_, err = p.Approve(ctx, r, pin, keep)
			}
			if err != nil {
				t.Fatal(err)
			}
			return b, verifier, r
		}

		// A browser that lets the undo go first gets nothing afterwards.
		b, _, r := approve("mine")
		if err := p.Undo(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		state, err := b.State(ctx)
		if err != nil || state.Status != "refused" {
			t.Errorf("the page is told %q: %v", state.Status, err)
		}
		if err := b.Look(ctx); err != nil || codeOf(b) != "" {
			t.Errorf("the browser took what was undone: %v", err)
		}
		if n := w.count(t, `SELECT COUNT(*) FROM browsers_kept WHERE dropped = 0`); n != 0 {
			t.Errorf("%d browsers may ring", n)
		}

		me, err := p.Me(ctx)
		if err != nil || len(me.Approvals) != 1 || !me.Approvals[0].Undone {
			t.Errorf("the phone shows %+v: %v", me.Approvals, err)
		}

		// One that took it is signed out, and its service with it.
		b, verifier, r := approve("no")
		if err := b.Look(ctx); err != nil {
			t.Fatal(err)
		}
		_, got, err := c.redeem(ctx, codeOf(b), verifier)
		if err != nil {
			t.Fatal(err)
		}
		if active, err := c.active(ctx, got.Access); err != nil || !active {
			t.Fatalf("active %v: %v", active, err)
		}
		if err := p.Undo(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		if active, err := c.active(ctx, got.Access); err != nil || active {
			t.Errorf("active %v after the undo: %v", active, err)
		}

		// When the session is over by itself, the browser still loses its right.
		b, _, r = approve("mine")
		if err := b.Look(ctx); err != nil {
			t.Fatal(err)
		}
		clock.Add(session.Life)
		if err := p.Undo(ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		if n := w.count(t, `SELECT COUNT(*) FROM browsers_kept WHERE dropped = 0`); n != 0 {
			t.Errorf("%d browsers may ring after an undo", n)
		}
		if n := w.count(t, `SELECT COUNT(*) FROM audit WHERE kind = 'request.undone'`); n != 3 {
			t.Errorf("%d undos on the record, not 3", n)
		}
	})
}

func TestWhoHoldsAPhoneThatWasStoppedLearnsAndEndsNothing(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		ctx, w := t.Context(), newWorld(t, db, clock)
		anne, c := w.People[0], w.newClient(t)
		lost, _, err := w.Activate(ctx, anne, pin)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.signIn(ctx, w.World, anne, lost); err != nil {
			t.Fatal(err)
		}
		err = db.Write(ctx, func(tx *store.Tx) error {
			return w.server.Phones.DisablePhone(ctx, tx, lost.ID(), "lost", "operator:ada")
		})
		if err != nil {
			t.Fatal(err)
		}
		fresh := w.anotherPhone(t, anne)
		got, err := c.signIn(ctx, w.World, anne, fresh)
		if err != nil {
			t.Fatal(err)
		}
		hers, err := fresh.Me(ctx)
		if err != nil || len(hers.Approvals) != 2 {
			t.Fatalf("her phone shows %d approvals: %v", len(hers.Approvals), err)
		}
		theirs, err := lost.Me(ctx)
		if err != nil || len(theirs.Approvals) != 1 || theirs.Approvals[0].Request == hers.Approvals[0].Request {
			t.Errorf("the lost phone shows %v: %v", theirs.Approvals, err)
		}
		var refused *stage.Refused
		if err := lost.Undo(ctx, hers.Approvals[0].Request); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
			t.Errorf("the lost phone undoes: %v", err)
		}
		if active, err := c.active(ctx, got.Access); err != nil || !active {
			t.Errorf("active %v after a stranger's undo: %v", active, err)
		}
	})
}
