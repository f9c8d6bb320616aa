package phone

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"vigie/store"
	"vigie/store/storetest"
)

func TestTheRightPINApprovesAndAWrongOneDoesNot(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		d := newWorld(t, db).activate(goodPIN)
		if v := d.approve("r1", "1357"); v.Outcome != Wrong || v.Misses != 1 {
			t.Fatalf("wrong PIN: %s, %d misses", v.Outcome, v.Misses)
		}
		if v := d.approve("r1", goodPIN); v.Outcome != Right || v.Misses != 1 {
			t.Fatalf("right PIN: %s, %d misses since the last", v.Outcome, v.Misses)
		}
		if p := d.phone(); p.Misses != 0 {
			t.Fatalf("the row was not cleared: %d", p.Misses)
		}
	})
}

func TestWrongPINsPauseThenDisable(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		d := newWorld(t, db).activate(goodPIN)
		miss := func(n int) {
			t.Helper()
			for range n {
				if v := d.approve("r", "1357"); v.Outcome != Wrong {
					t.Fatalf("miss: %s", v.Outcome)
				}
			}
		}
		refused := func(until time.Duration) {
			t.Helper()
			_, _, v := d.evaluate("r", goodPIN)
			if v.Outcome != Locked || until != 0 && !v.Until.Equal(clock.Now().Add(until)) {
				t.Fatalf("%s until %s, now %s", v.Outcome, v.Until, clock.Now())
			}
		}
		miss(3)
		refused(5 * time.Minute)
		clock.Add(5*time.Minute - time.Millisecond)
		refused(time.Millisecond)
		clock.Add(time.Millisecond)
		miss(2)
		refused(time.Hour)
		clock.Add(time.Hour)
		miss(3)
		refused(0)
		if d.state() != Disabled || d.phone().DisabledWhy != "misses" {
			t.Fatalf("after eight misses the phone is %s", d.state())
		}
		if n := d.count(`SELECT COUNT(*) FROM evaluations`); n != 8 {
			t.Fatalf("%d evaluations were made", n)
		}
		if n := d.count(`SELECT COUNT(*) FROM audit WHERE kind = 'phone.disabled'`); n != 1 {
			t.Fatalf("%d records say that it was disabled", n)
		}
	})
}

func TestTheEighthPINMayStillBeRight(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		d := newWorld(t, db).activate(goodPIN)
		for range 7 {
			d.approve("r", "1357")
			clock.Add(time.Hour)
		}
		doc := d.approval("r", goodPIN)
		if d.state() != Disabled {
			t.Fatal("an eighth evaluation may be followed by a ninth")
		}
		if v := d.check(doc); v.Outcome != Right || v.Misses != 7 {
			t.Fatalf("%s after %d misses", v.Outcome, v.Misses)
		}
		if d.state() != Active {
			t.Fatalf("the phone is %s", d.state())
		}
	})
}

func TestAPhoneThatNeverComesBackAfterItsEighthMissIsDisabled(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		d := newWorld(t, db).activate(goodPIN)
		for range 7 {
			d.approve("r", "1357")
			clock.Add(time.Hour)
		}
		doc := d.approval("r", goodPIN) // whose document never leaves
		for range 2 {
			if err := Tidy(t.Context(), db); err != nil {
				t.Fatal(err)
			}
			clock.Add(inFlight)
		}
		if err := Tidy(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		if v := d.check(doc); v.Outcome != Locked {
			t.Fatalf("minutes later: %s", v.Outcome)
		}
		if d.phone().Disabled.IsZero() {
			t.Fatal("it was not disabled for good")
		}
	})
}

func TestTwentyMissesInThirtyDaysDisableAlsoWithRightPINsBetween(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		d := newWorld(t, db).activate(goodPIN)
		for i := range 20 {
			d.approve("r"+strconv.Itoa(i), "1357")
			if i == 19 {
				break
			}
			if i%2 == 1 {
				if v := d.approve("r"+strconv.Itoa(i), goodPIN); v.Outcome != Right {
					t.Fatalf("after %d misses: %s", i+1, v.Outcome)
				}
			}
			clock.Add(24 * time.Hour)
		}
		if _, _, v := d.evaluate("r", goodPIN); v.Outcome != Locked || d.phone().Disabled.IsZero() {
			t.Fatalf("after twenty misses in nineteen days: %s", v.Outcome)
		}
	})
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		d := newWorld(t, db).activate(goodPIN)
		for i := range 40 {
			d.approve("r"+strconv.Itoa(i), "1357")
			if v := d.approve("r"+strconv.Itoa(i), goodPIN); v.Outcome != Right {
				t.Fatalf("one miss every two days, after %d: %s", i+1, v.Outcome)
			}
			clock.Add(48 * time.Hour)
		}
	})
}

// Invariant: no more evaluations are made than stand before the pause, however
// many ask at once, and each one that is made is counted once.
func TestSixtyFourAtOnceGetNoMoreEvaluationsThanStandBeforeThePause(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		d := newWorld(t, db).activate(goodPIN)
		b, err := Blind("1357", d.secret, d.phone().Epoch)
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		var mu sync.Mutex
		made, refused := map[string]bool{}, 0
		for range 64 {
			proof := d.prove(b.Element)
			group.Go(func() {
				e, v, err := Evaluate(t.Context(), db, d.keys, Call{d.id, "r", b.Element, proof}, live)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
				case v.Outcome == OK:
					made[e.ID] = true
				default:
					refused++
				}
			})
		}
		group.Wait()
		if len(made) != missesPause || refused != 64-missesPause {
			t.Errorf("%d evaluations, %d refusals", len(made), refused)
		}
		if n := d.count(`SELECT COUNT(*) FROM evaluations`); n != missesPause || d.phone().Misses != missesPause {
			t.Errorf("%d counted, row of %d", n, d.phone().Misses)
		}
	})
}

func TestARepeatedCallIsComputedAgainAndCountedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		d := newWorld(t, db).activate(goodPIN)
		b, err := Blind(goodPIN, d.secret, d.phone().Epoch)
		if err != nil {
			t.Fatal(err)
		}
		call := Call{d.id, "r", b.Element, d.prove(b.Element)}
		var group sync.WaitGroup
		var mu sync.Mutex
		answers := map[string]int{}
		for range 20 {
			group.Go(func() {
				e, v, err := Evaluate(t.Context(), db, d.keys, call, live)
				mu.Lock()
				defer mu.Unlock()
				if err != nil || v.Outcome != OK {
					t.Errorf("%s, %v", v.Outcome, err)
				}
				answers[e.ID+string(e.Element)]++
			})
		}
		group.Wait()
		if len(answers) != 1 || d.phone().Misses != 1 {
			t.Errorf("%d different answers, row of %d", len(answers), d.phone().Misses)
		}
	})
}

// Invariant 7: whoever has the phone's storage and the master secret can make
// the key of any PIN, but learns whether it is right from a document only. So an
// evaluation serves one document: else one counted evaluation would test all
// 10 000 PINs.
func TestAnEvaluationServesOneDocument(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		d := newWorld(t, db).activate(goodPIN)
		b, e, _ := d.evaluate("r", goodPIN)
		wrong, _ := Blind("1357", d.secret, e.Epoch)
		master, _ := d.keys.Master(1)
		element, err := evaluate(master, d.id, e.Epoch, wrong.Element)
		if err != nil {
			t.Fatal(err)
		}
		guess := d.approvalWith("r", wrong, Evaluation{ID: e.ID, Element: element})
		if v := d.check(guess); v.Outcome != Wrong {
			t.Fatalf("first guess: %s", v.Outcome)
		}
		right := d.approvalWith("r", b, e)
		if v := d.check(right); v.Outcome != Spent {
			t.Fatalf("second guess, which is right: %s", v.Outcome)
		}
		if v := d.check(guess); v.Outcome != Wrong || !v.Repeat {
			t.Fatalf("the first document again: %s", v.Outcome)
		}
		if d.phone().Misses != 1 {
			t.Errorf("row of %d", d.phone().Misses)
		}
	})
}

func TestManyDocumentsAtOnceAreJudgedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		d := newWorld(t, db).activate(goodPIN)
		_, e, _ := d.evaluate("r", goodPIN)
		var docs []Document
		for i := range 20 {
			pin, _ := Blind("00"+strconv.Itoa(10+i), d.secret, e.Epoch)
			master, _ := d.keys.Master(1)
			element, err := evaluate(master, d.id, e.Epoch, pin.Element)
			if err != nil {
				t.Fatal(err)
			}
			docs = append(docs, d.approvalWith("r", pin, Evaluation{ID: e.ID, Element: element}))
		}
		var group sync.WaitGroup
		var mu sync.Mutex
		outcomes := map[Outcome]int{}
		for _, doc := range docs {
			group.Go(func() {
				var v Verdict
				err := db.Write(t.Context(), func(tx *store.Tx) (err error) {
					v, err = CheckApproval(t.Context(), tx, doc)
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				outcomes[v.Outcome]++
			})
		}
		group.Wait()
		if outcomes[Wrong] != 1 || outcomes[Spent] != 19 {
			t.Errorf("%v", outcomes)
		}
	})
}

func TestARightDocumentTakesItsMissBackOnceAndItsRepeatIsTold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		d := newWorld(t, db).activate(goodPIN)
		doc := d.approval("r", goodPIN)
		if v := d.check(doc); v.Outcome != Right || v.Repeat {
			t.Fatalf("%s, repeat %v", v.Outcome, v.Repeat)
		}
		d.approve("r2", "1357")
		if v := d.check(doc); v.Outcome != Right || !v.Repeat {
			t.Fatalf("again: %s, repeat %v", v.Outcome, v.Repeat)
		}
		if d.phone().Misses != 1 {
			t.Errorf("the repeat cleared a later miss")
		}
		if n := d.count(`SELECT COUNT(*) FROM evaluations WHERE taken > 0`); n != 1 {
			t.Errorf("%d misses were taken back", n)
		}
	})
}

func TestAnEvaluationServesTheRequestItWasAskedFor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		d := w.activate(goodPIN)
		b, e, _ := d.evaluate("mine", goodPIN)
		refused := func(name string, doc Document) {
			t.Helper()
			err := db.Write(t.Context(), func(tx *store.Tx) error {
				_, err := CheckApproval(t.Context(), tx, doc)
				return err
			})
			if !errors.Is(err, ErrDocument) {
				t.Errorf("%s: %v", name, err)
			}
		}
		refused("another request", d.approvalWith("another", b, e))
		refused("no evaluation", d.approvalWith("mine", b, Evaluation{ID: "none", Element: e.Element}))
		other := w.activateMore(goodPIN)
		refused("another phone", other.approvalWith("mine", b, e))
		key, err := b.Key(e.Element)
		if err != nil {
			t.Fatal(err)
		}
		refused("another decision", d.parse(Document{Decision: WakeUp, Eval: e.ID}, key, nil))
		if v := d.check(d.approvalWith("mine", b, e)); v.Outcome != Right {
			t.Errorf("the request it was for: %s", v.Outcome)
		}
	})
}

func TestNothingIsCountedForACallThatIsNone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		d := w.activate(goodPIN)
		b, _ := Blind(goodPIN, d.secret, d.phone().Epoch)
		over := errors.New("over")
		identity := make([]byte, ElementSize)
		uncompressed := append([]byte{4}, make([]byte, 64)...)
		notOnCurve := append([]byte{2}, make([]byte, 32)...)
		notOnCurve[32] = 1
		for name, c := range map[string]struct {
			element []byte
			live    error
			want    error
		}{
			"identity": {identity, nil, ErrElement}, "short identity": {[]byte{0}, nil, ErrElement}, "empty": {nil, nil, ErrElement},
			"uncompressed": {uncompressed, nil, ErrElement}, "not on the curve": {notOnCurve, nil, ErrElement}, "a request that is over": {b.Element, over, over},
		} {
			_, _, err := Evaluate(t.Context(), db, d.keys, Call{d.id, "r", c.element, d.prove(c.element)}, func(context.Context, *store.Tx) error { return c.live })
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		stranger := w.newDevice()
		if _, _, err := Evaluate(t.Context(), db, d.keys, Call{d.id, "r", b.Element, stranger.prove(b.Element)}, live); !errors.Is(err, ErrProof) {
			t.Errorf("a stranger's proof: %v", err)
		}
		if _, v, err := Evaluate(t.Context(), db, d.keys, Call{stranger.id, "r", b.Element, stranger.prove(b.Element)}, live); err != nil || v.Outcome != Locked {
			t.Errorf("a key that is no phone's: %s, %v", v.Outcome, err)
		}
		if n := d.count(`SELECT COUNT(*) FROM evaluations`); n != 0 || d.phone().Misses != 0 {
			t.Errorf("%d evaluations, row of %d", n, d.phone().Misses)
		}
	})
}

func TestAPINIsChangedByTheOldOne(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		d := w.activate(goodPIN)
		change := func(old, pin string) Verdict {
			t.Helper()
			e, newKey := d.newPINKey("", pin)
			b, old1, v := d.evaluate(ForChange(ChangePIN), old)
			if v.Outcome != OK {
				t.Fatal(v.Outcome)
			}
			oldKey, err := b.Key(old1.Element)
			if err != nil {
				t.Fatal(err)
			}
			doc := d.parse(Document{Decision: ChangePIN, Eval: old1.ID, Epoch: e.Epoch}, oldKey, newKey)
			for range 2 { // the second time the answer was lost
				w.write(func(ctx context.Context, tx *store.Tx) (err error) {
					v, err = Change(ctx, tx, doc)
					return err
				})
			}
			return v
		}
		if v := change("1357", "8361"); v.Outcome != Wrong {
			t.Fatalf("with a wrong old PIN: %s", v.Outcome)
		}
		if v := d.approve("r", goodPIN); v.Outcome != Right {
			t.Fatalf("the old PIN should still be good: %s", v.Outcome)
		}
		if v := change(goodPIN, "8361"); v.Outcome != Right || !v.Repeat {
			t.Fatalf("with the old PIN: %s", v.Outcome)
		}
		if v := d.approve("r", goodPIN); v.Outcome != Wrong {
			t.Fatalf("the old PIN: %s", v.Outcome)
		}
		if v := d.approve("r", "8361"); v.Outcome != Right {
			t.Fatalf("the new PIN: %s", v.Outcome)
		}
		if n := w.count(`SELECT COUNT(*) FROM audit WHERE kind = $1 AND LENGTH(evidence) > 0`, KindPINChanged); n != 1 {
			t.Errorf("%d records of the change", n)
		}
	})
}

func TestADocumentInFlightDuringAPINChangeIsSpent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		d := w.activate(goodPIN)
		flying := d.approval("r", goodPIN)
		e, newKey := d.newPINKey("", "8361")
		b, old, _ := d.evaluate(ForChange(ChangePIN), goodPIN)
		oldKey, _ := b.Key(old.Element)
		w.write(func(ctx context.Context, tx *store.Tx) error {
			_, err := Change(ctx, tx, d.parse(Document{Decision: ChangePIN, Eval: old.ID, Epoch: e.Epoch}, oldKey, newKey))
			return err
		})
		if v := d.check(flying); v.Outcome != Spent {
			t.Errorf("%s", v.Outcome)
		}
	})
}

func TestAnEpochIsEvaluatedOnceAndOnlyTheLastOneCounts(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		d := w.activate(goodPIN)
		draw := func() Epoch {
			var e Epoch
			w.write(func(ctx context.Context, tx *store.Tx) (err error) {
				e, err = DrawEpoch(ctx, tx, w.keys, d.id, "")
				return err
			})
			return e
		}
		evaluateOnce := func(epoch string, proof Proof, element []byte) error {
			_, err := EvaluateEpoch(t.Context(), db, w.keys, Call{Phone: proof.Thumbprint, Element: element, Proof: proof}, epoch)
			return err
		}
		first := draw()
		b, _ := Blind("8361", d.secret, first.ID)
		proof := d.prove(b.Element)
		for range 2 {
			if err := evaluateOnce(first.ID, proof, b.Element); err != nil {
				t.Fatalf("the one call, also repeated: %v", err)
			}
		}
		if err := evaluateOnce(first.ID, d.prove(b.Element), b.Element); !errors.Is(err, ErrEpoch) {
			t.Errorf("a second evaluation under one epoch: %v", err)
		}
		second := draw()
		if err := evaluateOnce(first.ID, proof, b.Element); !errors.Is(err, ErrEpoch) {
			t.Errorf("an epoch that was replaced: %v", err)
		}
		if err := evaluateOnce(second.ID, w.newDevice().prove(b.Element), b.Element); !errors.Is(err, ErrEpoch) {
			t.Errorf("another phone: %v", err)
		}
		clock.Add(epochLife)
		if err := evaluateOnce(second.ID, d.prove(b.Element), b.Element); !errors.Is(err, ErrEpoch) {
			t.Errorf("too late: %v", err)
		}
		if d.phone().Misses != 0 {
			t.Error("choosing a PIN was counted as a miss")
		}
	})
}

func TestTheNextRightPINMovesThePhoneToANewMasterSecret(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		w.ownKeys()
		d, late := w.activate(goodPIN), w.activateMore(goodPIN)
		w.ok(w.keys.RotateMaster(clock.Now()))
		w.ok(MasterRotated(t.Context(), w.db, w.keys))

		if v := d.approve("r", "1357"); v.Outcome != Wrong || d.phone().master != 1 {
			t.Fatalf("a wrong PIN: %s, and the phone is at version %d", v.Outcome, d.phone().master)
		}
		if v := d.approve("r", goodPIN); v.Outcome != Right || d.phone().master != 2 {
			t.Fatalf("the right PIN: %s, and the phone is at version %d", v.Outcome, d.phone().master)
		}
		_, e, _ := d.evaluate("r", goodPIN)
		if e.Next != 0 {
			t.Error("a phone that moved is asked to move again")
		}
		if v := d.approve("r", goodPIN); v.Outcome != Right {
			t.Fatalf("after the move: %s", v.Outcome)
		}
		clock.Add(MoveTime)
		w.ok(MasterRotated(t.Context(), w.db, w.keys))
		if d.state() != Active || late.state() != Ended {
			t.Errorf("after 90 days: who moved is %s, who did not %s", d.state(), late.state())
		}
	})
}

func TestAPhoneSleepsWithoutItsPINAndWakesWithIt(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		d := w.activate(goodPIN)
		sleep := func() {
			w.write(func(ctx context.Context, tx *store.Tx) error {
				_, err := FallAsleep(ctx, tx, d.parse(Document{Decision: GoToSleep}, nil, nil))
				return err
			})
		}
		wake := func(pin string) (v Verdict) {
			t.Helper()
			b, e, v := d.evaluate(ForChange(WakeUp), pin)
			if v.Outcome != OK {
				return v
			}
			key, _ := b.Key(e.Element)
			w.write(func(ctx context.Context, tx *store.Tx) (err error) {
				v, err = Wake(ctx, tx, d.parse(Document{Decision: WakeUp, Eval: e.ID}, key, nil))
				return err
			})
			return v
		}
		sleep()
		if _, _, v := d.evaluate("r", goodPIN); d.state() != Asleep || v.Outcome != Locked {
			t.Fatalf("asleep it is %s, and evaluates: %s", d.state(), v.Outcome)
		}
		if v := wake("1357"); v.Outcome != Wrong || d.state() != Asleep {
			t.Fatalf("a wrong PIN: %s, %s", v.Outcome, d.state())
		}
		if v := wake(goodPIN); v.Outcome != Right || d.state() != Active {
			t.Fatalf("the right PIN: %s, %s", v.Outcome, d.state())
		}
		sleep()
		clock.Add(Sleep)
		if v := wake(goodPIN); v.Outcome != Locked || d.state() != Ended {
			t.Fatalf("after a week: %s, %s", v.Outcome, d.state())
		}
	})
}

func TestPhonesSleepWhileTheirProfessionalIsOutOfTheRegister(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		d := w.activate(goodPIN)
		doc := d.approval("r", goodPIN)
		w.write(func(ctx context.Context, tx *store.Tx) error { return SleepAllOf(ctx, tx, anne) })
		if v := d.check(doc); v.Outcome != Locked || d.state() != Asleep {
			t.Errorf("gone: %s, %s", v.Outcome, d.state())
		}
		if _, _, v := d.evaluate(ForChange(WakeUp), goodPIN); v.Outcome != Locked {
			t.Errorf("its PIN wakes it: %s", v.Outcome)
		}
		w.write(func(ctx context.Context, tx *store.Tx) error { return WakeAllOf(ctx, tx, anne) })
		if v := d.check(doc); v.Outcome != Right {
			t.Errorf("back: %s", v.Outcome)
		}
	})
}
