package phone

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"vigie/directory"
	"vigie/push"
	"vigie/store"
	"vigie/store/storetest"
)

func TestTwoCodesLeaveOnlyForTheDirectorysOwnContactPoints(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for name, a := range map[string]Ask{
			"another mobile": {NationalID: string(anne), Mobile: "+33639980002", Email: "anne.martin@example.test"},
			"another e-mail": {NationalID: string(anne), Mobile: "+33639980001", Email: "karim.benali@example.test"},
			"no e-mail":      {NationalID: string(anne), Mobile: "+33639980001"},
			"nothing":        {NationalID: string(anne)},
			"nobody":         {NationalID: "899700218896", Mobile: "+33639980001", Email: "anne.martin@example.test"},
			"no number":      {NationalID: "Anne Martin", Mobile: "+33639980001", Email: "anne.martin@example.test"},
		} {
			w.ask(a)
			if l := w.letters(); len(l) > 0 {
				t.Errorf("%s: %d letters", name, len(l))
			}
		}
		w.ask(annesAsk) // typed with spaces and capitals
		letters := w.letters()
		if len(letters) != 2 || letters[0].Channel == letters[1].Channel {
			t.Fatalf("%d letters", len(letters))
		}
		for _, l := range letters {
			if len(l.Code) != 8 || !strings.Contains(l.Text, grouped(l.Code)) {
				t.Errorf("%s: the code %q is not in %q", l.Channel, l.Code, l.Text)
			}
			for _, words := range []string{"Personne de sérieux ne vous", "Nobody serious will ever ask"} {
				if !strings.Contains(l.Text, words) && !strings.Contains(l.Text, strings.Replace(words, " ever", "", 1)) {
					t.Errorf("%s does not say %q: %q", l.Channel, words, l.Text)
				}
			}
		}
		mail := letters[0]
		if mail.Channel != "email" {
			mail = letters[1]
		}
		for _, words := range []string{"192.0.2.7", "Firefox, Windows", "activer un téléphone", "activating a phone"} {
			if !strings.Contains(mail.Text, words) {
				t.Errorf("the e-mail does not say %q:\n%s", words, mail.Text)
			}
		}
	})
}

// sent asks, and says whether two codes left.
func (w *world) sent(a Ask) bool {
	w.t.Helper()
	w.ask(a)
	return len(w.letters()) == 2
}

func TestPairsHaveAQuotaThatOthersCannotUseUpForWhoReadsTheMail(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		expect := func(when string, want bool) {
			t.Helper()
			if got := w.sent(annesAsk); got != want {
				t.Errorf("%s: sent %v", when, got)
			}
		}
		expect("the first", true)
		clock.Add(59 * time.Minute)
		expect("within the hour", false)
		clock.Add(time.Minute)
		expect("after an hour", true)
		clock.Add(time.Hour)
		w.ask(annesAsk)
		letters := w.letters()
		if len(letters) != 2 {
			t.Fatal("the third of the day was not sent")
		}
		clock.Add(2 * time.Hour)
		expect("a fourth in a day", false)

		press := func(token string) {
			w.write(func(ctx context.Context, tx *store.Tx) error {
				return w.act.SendNext(ctx, tx, token, "192.0.2.8", "Safari, iOS")
			})
			w.decide()
		}
		press(token(t, letters))
		next := w.letters()
		if len(next) != 2 {
			t.Error("who reads the mailbox is refused because of others")
		}
		press(token(t, letters))
		if len(w.letters()) != 0 {
			t.Error("one button works twice")
		}
		press(token(t, next))
		if len(w.letters()) != 2 {
			t.Error("the next letter's button does not work")
		}

		for day := range 6 {
			clock.Add(24 * time.Hour)
			expect(fmt.Sprintf("after three unused pairs, %d days later", day+1), false)
		}
		clock.Add(24 * time.Hour)
		expect("a week later", true)
		clock.Add(24 * time.Hour)
		expect("the day after", false)

		clock.Add(7 * 24 * time.Hour)
		w.ask(annesAsk)
		sms, email := w.codes()
		w.newDevice().ticket(sms, email) // used, though no phone comes of it
		clock.Add(24 * time.Hour)
		expect("after a pair was used", true)
	})
}

func TestNothingLeavesAtNight(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		zone := time.FixedZone("two hours ahead", 2*3600)
		w.act.AnyHour, w.act.Zone = false, zone
		for _, c := range []struct {
			hour, minute int
			leaves       bool
		}{{6, 59, false}, {7, 0, true}, {20, 59, true}, {21, 0, false}, {23, 30, false}, {0, 0, false}} {
			clock.Set(clock.Now().AddDate(0, 0, 20))
			day := clock.Now().In(zone)
			clock.Set(time.Date(day.Year(), day.Month(), day.Day(), c.hour, c.minute, 0, 0, zone))
			if got := w.sent(annesAsk); got != c.leaves {
				t.Errorf("at %02d:%02d: sent %v", c.hour, c.minute, got)
			}
		}
	})
}

func TestOthersAsksCanBeStoppedForAMonth(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		w.ask(annesAsk)
		page := token(t, w.letters())
		read := func() (b ButtonPage) {
			w.write(func(ctx context.Context, tx *store.Tx) (err error) {
				b, err = w.act.Button(ctx, tx, page)
				return err
			})
			return b
		}
		if b := read(); !b.CanSend || !b.Stopped.IsZero() || !b.Sent.Equal(clock.Now()) {
			t.Errorf("%+v", b)
		}
		w.write(func(ctx context.Context, tx *store.Tx) error { return w.act.StopAsks(ctx, tx, page, "192.0.2.8", "") })
		if b := read(); !b.Stopped.Equal(clock.Now().Add(NoAsks)) {
			t.Errorf("%+v", b)
		}
		clock.Add(5 * 24 * time.Hour)
		if w.sent(annesAsk) {
			t.Error("a stopped ask sends letters")
		}
		w.write(func(ctx context.Context, tx *store.Tx) error { return w.act.SendNext(ctx, tx, page, "", "") })
		w.decide()
		if len(w.letters()) != 2 {
			t.Error("the button of who stopped does not work")
		}
		clock.Add(25 * 24 * time.Hour)
		if !w.sent(annesAsk) {
			t.Error("a month later asks are still stopped")
		}
		err := db.Read(t.Context(), func(tx *store.Tx) error {
			_, err := w.act.Button(t.Context(), tx, page)
			return err
		})
		if !errors.Is(err, ErrToken) {
			t.Errorf("a letter's page of a month ago: %v", err)
		}
	})
}

func TestNoCodesLeaveWhileAPhoneIsThereOrAWeekAfterItWasLost(t *testing.T) {
	for name, lose := range map[string]func(d *device, clock *storetest.Clock){
		"by misses": func(d *device, clock *storetest.Clock) {
			for range 8 {
				d.approve("r", "1357")
				clock.Add(time.Hour)
			}
		},
		"by the support line": func(d *device, clock *storetest.Clock) {
			clock.Add(8 * time.Hour)
			d.write(func(ctx context.Context, tx *store.Tx) error {
				return d.act.DisablePhone(ctx, tx, d.id, "lost", "operator:bob")
			})
			d.letters()
		},
		"by itself": func(d *device, clock *storetest.Clock) {
			clock.Add(8 * time.Hour)
			d.write(func(ctx context.Context, tx *store.Tx) error {
				_, err := FallAsleep(ctx, tx, d.parse(Document{Decision: GoToSleep}, nil, nil))
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
				w := newWorld(t, db)
				d := w.activate(goodPIN)
				clock.Add(2 * time.Hour)
				if w.sent(annesAsk) {
					t.Error("codes leave while there is a phone")
				}
				lose(d, clock)
				clock.Add(afterDisabled - 8*time.Hour)
				if w.sent(annesAsk) {
					t.Error("codes leave within a week")
				}
				clock.Add(8 * time.Hour)
				if !w.sent(annesAsk) {
					t.Error("no codes leave after a week")
				}
			})
		})
	}
}

func TestTwoPeopleOfTheSupportLineAllowAnActivationFromTheNextDayOn(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		w.activate(goodPIN) // whose PIN is forgotten
		var code string
		w.write(func(ctx context.Context, tx *store.Tx) (err error) {
			code, err = w.act.AllowActivation(ctx, tx, anne, "forgot the PIN, identified by the hospital", "operator:alice")
			return err
		})
		clock.Add(90 * time.Minute)
		if w.sent(annesAsk) {
			t.Error("one person is enough")
		}
		confirm := func(code, actor string) (a Allowance, err error) {
			err = db.Write(t.Context(), func(tx *store.Tx) (err error) {
				a, err = w.act.Confirm(t.Context(), tx, code, actor)
				return err
			})
			return a, err
		}
		for name, try := range map[string][2]string{"the same person": {code, "operator:alice"}, "a wrong code": {"WRONG", "operator:bob"}} {
			if _, err := confirm(try[0], try[1]); !errors.Is(err, ErrConfirm) {
				t.Errorf("%s: %v", name, err)
			}
		}
		allowed, err := confirm(strings.ToLower(code), "operator:bob")
		if err != nil || allowed.Professional != anne || allowed.First != "operator:alice" {
			t.Fatalf("%+v, %v", allowed, err)
		}
		if l := w.letters(); len(l) != 2 {
			t.Errorf("%d contact points were told", len(l))
		}
		if _, err := confirm(code, "operator:carol"); !errors.Is(err, ErrConfirm) {
			t.Errorf("a second time: %v", err)
		}
		if w.sent(annesAsk) {
			t.Error("it works on the same day")
		}
		clock.Set(allowed.Starts)
		if day := allowed.Starts.Sub(time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)); day != 0 {
			t.Errorf("it starts at %s", allowed.Starts)
		}
		w.ask(annesAsk)
		sms, email := w.codes()
		d := w.newDevice()
		doc := d.enrolment(d.ticket(sms, email).ID, "8361")
		w.write(func(ctx context.Context, tx *store.Tx) error {
			_, err := w.act.Activate(ctx, tx, doc, "192.0.2.7", "")
			return err
		})
		w.letters()
		clock.Add(2 * time.Hour)
		if w.sent(annesAsk) {
			t.Error("one allowance serves two activations")
		}
		for _, kind := range []string{KindAllowed, KindConfirmed} {
			if n := w.count(`SELECT COUNT(*) FROM audit WHERE kind = $1`, kind); n != 1 {
				t.Errorf("%d records of %s", n, kind)
			}
		}
		for _, bad := range [][2]string{{"", "operator:alice"}, {"reason", ""}} {
			err := db.Write(t.Context(), func(tx *store.Tx) error {
				_, err := w.act.AllowActivation(t.Context(), tx, anne, bad[0], bad[1])
				return err
			})
			if !errors.Is(err, ErrReason) {
				t.Errorf("%q by %q: %v", bad[0], bad[1], err)
			}
		}
	})
}

func TestASourceHasABudget(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		ask := func(address string) (busy time.Time) {
			w.write(func(ctx context.Context, tx *store.Tx) (err error) {
				busy, err = AskCodes(ctx, tx, Ask{NationalID: "899700218896", Address: address})
				return err
			})
			return busy
		}
		for i := range asksPerSource {
			if busy := ask(fmt.Sprintf("2001:db8:1:2::%x", i+1)); !busy.IsZero() {
				t.Fatalf("ask %d is refused", i+1)
			}
			clock.Add(time.Second)
		}
		if busy := ask("2001:db8:1:2::ffff"); !busy.Equal(clock.Now().Add(time.Hour - asksPerSource*time.Second)) {
			t.Errorf("one subscriber has many addresses: %s", busy)
		}
		if busy := ask("2001:db8:1:3::1"); !busy.IsZero() {
			t.Error("the neighbour pays for it")
		}
		clock.Add(time.Hour)
		if busy := ask("2001:db8:1:2::1"); !busy.IsZero() {
			t.Error("an hour later it is still refused")
		}
	})
}

// typed tries two codes.
func (w *world) typed(d *device, sms, email string) (r Redemption) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *store.Tx) (err error) {
		r, err = w.act.RedeemCodes(ctx, tx, Typed{string(anne), sms, email, d.id, "192.0.2.7"})
		return err
	})
	return r
}

func TestBothCodesAreOneSecretAndTriesBelongToTheDevice(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		w.ask(annesAsk)
		sms, email := w.codes()
		stranger, own := w.newDevice(), w.newDevice()
		for i, try := range [][2]string{{sms, "00000000"}, {"00000000", email}, {email, sms}, {sms, ""}, {"", ""}} {
			if r := w.typed(stranger, try[0], try[1]); r.Ticket != nil || r.Left != 4-i {
				t.Errorf("try %d: %+v", i+1, r)
			}
			clock.Add(time.Second)
		}
		if r := w.typed(stranger, sms, email); r.Ticket != nil || !r.Until.Equal(clock.Now().Add(PairLife-5*time.Second)) {
			t.Errorf("a sixth try, with the right codes: %+v", r)
		}
		if r := w.typed(own, " "+grouped(sms)+" ", grouped(email)); r.Ticket == nil || r.Name != "Dr Anne Martin" {
			t.Errorf("the professional's own device: %+v", r)
		}
		if r := w.typed(w.newDevice(), sms, email); r.Ticket != nil {
			t.Error("a pair serves twice")
		}
	})
}

func TestTriesTellNothingAboutANumber(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.ask(annesAsk)
		w.letters()
		d := w.newDevice()
		for _, number := range []string{string(anne), "899700218896", "not a number"} {
			for i := range 6 {
				var r Redemption
				w.write(func(ctx context.Context, tx *store.Tx) (err error) {
					r, err = w.act.RedeemCodes(ctx, tx, Typed{number, "00000000", "00000000", d.id, "192.0.2.7"})
					return err
				})
				if r.Ticket != nil || r.Name != "" || r.Left != max(0, 4-i) || r.Until.IsZero() != (i < 4) {
					t.Errorf("%s, try %d: %+v", number, i+1, r)
				}
			}
		}
	})
}

func TestCodesDieAfterTenMinutes(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		w.ask(annesAsk)
		sms, email := w.codes()
		clock.Add(PairLife)
		if r := w.typed(w.newDevice(), sms, email); r.Ticket != nil {
			t.Error("they did not")
		}
	})
}

func TestTwentyAtOnceRedeemOnePairOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.ask(annesAsk)
		sms, email := w.codes()
		var group sync.WaitGroup
		var mu sync.Mutex
		tickets := 0
		for range 20 {
			d := w.newDevice()
			group.Go(func() {
				var r Redemption
				err := db.Write(t.Context(), func(tx *store.Tx) (err error) {
					r, err = w.act.RedeemCodes(t.Context(), tx, Typed{string(anne), sms, email, d.id, "192.0.2.7"})
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if r.Ticket != nil {
					tickets++
				}
			})
		}
		group.Wait()
		if tickets != 1 {
			t.Errorf("%d tickets", tickets)
		}
	})
}

func TestTwentyJobsDecideAnAskOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.write(func(ctx context.Context, tx *store.Tx) error {
			_, err := AskCodes(ctx, tx, annesAsk)
			return err
		})
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				if _, err := w.act.DecideAsks(t.Context(), db); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if l := w.letters(); len(l) != 2 {
			t.Errorf("%d letters", len(l))
		}
	})
}

func TestATicketActivatesOnePhoneOnceAndEverybodyIsTold(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		activate := func(doc Document) (p Phone, err error) {
			err = db.Write(t.Context(), func(tx *store.Tx) (err error) {
				p, err = w.act.Activate(t.Context(), tx, doc, "192.0.2.7", "Chrome, Android")
				return err
			})
			return p, err
		}
		refused := func(name string, doc Document, want error) {
			t.Helper()
			if _, err := activate(doc); !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.ask(annesAsk)
		sms, email := w.codes()
		d, stranger := w.newDevice(), w.newDevice()
		ticket := d.ticket(sms, email).ID
		draw := func(d *device) error {
			return db.Write(t.Context(), func(tx *store.Tx) error {
				_, err := DrawEpoch(t.Context(), tx, w.keys, d.id, ticket)
				return err
			})
		}
		if err := draw(stranger); !errors.Is(err, ErrTicket) {
			t.Errorf("another device draws an epoch: %v", err)
		}
		e, key := d.newPINKey(ticket, goodPIN)
		good := Document{Decision: Enrol, Ticket: ticket, Epoch: e.Epoch, Eval: e.ID, Name: " Téléphone d'Anne ", Model: "Pixel 8", System: "Android 15", App: "1.0"}
		refused("another device's document", stranger.parse(good, key, nil), ErrTicket)
		other := good
		other.Ticket = "none"
		refused("no ticket", d.parse(other, key, nil), ErrTicket)
		other = good
		other.Eval = "none"
		refused("another evaluation", d.parse(other, key, nil), ErrDocument)
		other = good
		other.Epoch = b64.EncodeToString(fixed("epoch of my own"))
		refused("an epoch that the server did not draw", d.parse(other, key, nil), ErrDocument)
		forged := d.parse(good, key, nil)
		forged.PIN = b64.EncodeToString(fixed("a key that nobody has"))
		refused("a PIN key that did not sign", forged, ErrDocument)
		refused("another decision", d.parse(Document{Decision: GoToSleep}, nil, nil), ErrDocument)

		doc := good
		doc.IATUnix = 1 // the phone's clock is wrong by decades
		p, err := activate(d.parse(doc, key, nil))
		if err != nil || p.Professional != anne || p.Name != "Téléphone d'Anne" || p.Model != "Pixel 8" || p.System != "Android 15" || p.AppVersion != "1.0" ||
			!p.Ends.Equal(clock.Now().Add(Validity)) || d.state() != Active {
			t.Fatalf("%+v, %v", p, err)
		}
		letters := w.letters()
		if len(letters) != 2 {
			t.Errorf("%d contact points were told", len(letters))
		}
		for _, l := range letters {
			for _, words := range []string{"Téléphone d'Anne", "192.0.2.7", "02/03/2026", "a été activé", "was activated"} {
				if !strings.Contains(l.Text, words) {
					t.Errorf("%s does not say %q: %q", l.Channel, words, l.Text)
				}
			}
		}
		refused("the ticket again", d.parse(good, key, nil), ErrTicket)
		if err := draw(d); !errors.Is(err, ErrTicket) {
			t.Errorf("an epoch for a used ticket: %v", err)
		}
		if n := w.count(`SELECT COUNT(*) FROM audit WHERE kind = 'phone.activated' AND LENGTH(evidence) > 0`); n != 1 {
			t.Errorf("%d activations are on record with their document", n)
		}
		if v := d.approve("r", goodPIN); v.Outcome != Right {
			t.Errorf("the PIN does not work: %s", v.Outcome)
		}
		clock.Add(Validity)
		if d.state() != Ended {
			t.Errorf("after three years the phone is %s", d.state())
		}
	})
}

func TestATicketDies(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		w.ask(annesAsk)
		sms, email := w.codes()
		d := w.newDevice()
		doc := d.enrolment(d.ticket(sms, email).ID, goodPIN)
		clock.Add(TicketLife)
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			_, err := w.act.Activate(t.Context(), tx, doc, "", "")
			return err
		})
		if !errors.Is(err, ErrTicket) {
			t.Errorf("%v", err)
		}
	})
}

func TestAProfessionalHasFivePhonesAtMost(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		first := w.activate(goodPIN)
		for range MaxPhones - 1 {
			w.activateMore(goodPIN)
		}
		d := w.newDevice()
		w.write(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO tickets (id, professional, phone, mode, pair, opened, expires, redeemed) VALUES ('T', $1, $2, 'codes', '', $3, $4, 0)`,
				string(anne), d.id, store.Millis(tx.Now), store.Millis(tx.Now.Add(time.Minute)))
			return err
		})
		doc := d.enrolment("T", goodPIN)
		activate := func() error {
			return db.Write(t.Context(), func(tx *store.Tx) error {
				_, err := w.act.Activate(t.Context(), tx, doc, "", "")
				return err
			})
		}
		if err := activate(); !errors.Is(err, ErrTooMany) {
			t.Errorf("a sixth: %v", err)
		}
		w.write(func(ctx context.Context, tx *store.Tx) error {
			return Remove(ctx, tx, first.id, "sold", "professional")
		})
		if err := activate(); err != nil {
			t.Errorf("after one was removed: %v", err)
		}
		held := 0
		w.write(func(ctx context.Context, tx *store.Tx) error {
			held = 0
			return EachHolder(ctx, tx, func(directory.ID) { held++ })
		})
		if held != 1 {
			t.Errorf("%d people hold a phone", held)
		}
	})
}

func TestAPhoneThatWasStoppedCanDoNothingMore(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		d := w.activate(goodPIN)
		flying := d.approval("r", goodPIN)
		w.write(func(ctx context.Context, tx *store.Tx) error {
			return w.act.DisablePhone(ctx, tx, d.id, "stolen", "operator:bob")
		})
		if l := w.letters(); len(l) != 2 || !strings.Contains(l[0].Text, "désactivé") {
			t.Errorf("%d contact points were told", len(l))
		}
		if v := w.check(flying); v.Outcome != Locked {
			t.Errorf("an approval that was on its way: %s", v.Outcome)
		}
		if _, _, v := d.evaluate("r", goodPIN); v.Outcome != Locked || d.state() != Disabled {
			t.Errorf("it evaluates: %s, %s", v.Outcome, d.state())
		}
		undo, refuse := Document{Decision: Undo, Request: "r"}, Document{Decision: Refuse, Request: "r"}
		may := func(doc Document) bool {
			err := db.Read(t.Context(), func(tx *store.Tx) error {
				_, err := CheckPhone(t.Context(), tx, d.parse(doc, nil, nil))
				return err
			})
			return err == nil
		}
		if !may(undo) || !may(refuse) {
			t.Error("a disabled phone may not undo or refuse")
		}
		w.write(func(ctx context.Context, tx *store.Tx) error { return RevokeAllOf(ctx, tx, anne, "gone", "system") })
		if d.state() != Removed || !may(undo) || may(refuse) {
			t.Errorf("removed: %s, may undo %v, may refuse %v", d.state(), may(undo), may(refuse))
		}
		clock.Add(UndoAfter + time.Second)
		if may(undo) {
			t.Error("it may undo for ever")
		}
	})
}

func TestADocumentNeedsThePhonesOwnSignatureAndTime(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		d := w.activate(goodPIN)
		check := func(doc Document) error {
			return db.Read(t.Context(), func(tx *store.Tx) error {
				_, err := CheckPhone(t.Context(), tx, doc)
				return err
			})
		}
		refuse := Document{Decision: Refuse, Request: "r"}
		if err := check(d.parse(refuse, nil, nil)); err != nil {
			t.Error(err)
		}
		stranger := w.newDevice()
		if err := check(stranger.parse(refuse, nil, nil)); !errors.Is(err, ErrDocument) {
			t.Errorf("a phone that is none: %v", err)
		}
		stolen := stranger.parse(refuse, nil, nil)
		stolen.Phone = d.id
		if err := check(stolen); !errors.Is(err, ErrDocument) {
			t.Errorf("another key's signature: %v", err)
		}
		for _, away := range []time.Duration{DocumentClock + time.Second, -DocumentClock - time.Second} {
			doc := refuse
			doc.IATUnix = clock.Now().Add(away).Unix()
			if err := check(d.parse(doc, nil, nil)); !errors.Is(err, ErrDocument) {
				t.Errorf("signed %s away: %v", away, err)
			}
		}
	})
}

func TestAPhoneIsSilentWhenItsOwnerSaysSoAndForgetsADeadEndpoint(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		d := w.activate(goodPIN)
		for _, silent := range []bool{true, false} {
			w.write(func(ctx context.Context, tx *store.Tx) error {
				_, err := BeSilent(ctx, tx, d.parse(Document{Decision: Silence, Silent: silent}, nil, nil))
				return err
			})
			if p := d.phone(); p.Silent != silent || p.CanRing(db.Now()) == silent || !p.Usable(db.Now()) {
				t.Errorf("silent %v: %+v", silent, p)
			}
		}
		receiver, err := push.NewReceiver()
		w.ok(err)
		sub := receiver.Subscription("https://push.example/1")
		w.write(func(ctx context.Context, tx *store.Tx) error { return SetSubscription(ctx, tx, d.id, &sub) })
		if got := d.phone().Subscription; got == nil || !reflect.DeepEqual(*got, sub) {
			t.Errorf("subscribed at %+v", got)
		}
		w.write(func(ctx context.Context, tx *store.Tx) error {
			return ForgetEndpoint(ctx, tx, "https://push.example/2")
		})
		if d.phone().Subscription == nil {
			t.Error("another endpoint's end unsubscribes it")
		}
		w.write(func(ctx context.Context, tx *store.Tx) error { return ForgetEndpoint(ctx, tx, sub.Endpoint) })
		if p := d.phone(); p.Subscription != nil || !p.CanRing(db.Now()) {
			t.Error("a dead endpoint is kept, or its phone cannot ring when it is open")
		}
	})
}
