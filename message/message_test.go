package message_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vigie/message"
	"vigie/store"
	"vigie/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var letter = message.Letter{
	Channel: message.Email, To: "Anne.Martin@example.org", Professional: "899700000017", Kind: "activation.codes",
	Subject: "Votre code", Text: "Votre code est 12345678.\n", Code: "12345678",
}

func post(t testing.TB) *message.Post {
	t.Helper()
	p, err := message.New([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func queue(t testing.TB, db *store.DB, p *message.Post, letters ...message.Letter) {
	t.Helper()
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		for _, l := range letters {
			if err := p.Queue(t.Context(), tx, l); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// row is what the database holds of the only letter.
type row struct {
	all                  string // everything, as text
	due, sent, givenUp   int64
	tries, sealed, count int64
	failure              string
}

func look(t testing.TB, db *store.DB) (r row) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		if err := tx.QueryRow(t.Context(), `SELECT COUNT(id) FROM messages`).Scan(&r.count); err != nil || r.count != 1 {
			return err
		}
		var id, channel, recipient, professional, kind string
		var sealed []byte
		err := tx.QueryRow(t.Context(), `SELECT id, channel, recipient, professional, kind, sealed, due, tries, sent, given_up, failure
			FROM messages`).Scan(&id, &channel, &recipient, &professional, &kind, &sealed, &r.due, &r.tries, &r.sent, &r.givenUp, &r.failure)
		r.sealed = int64(len(sealed))
		r.all = strings.Join([]string{id, channel, recipient, professional, kind, string(sealed), r.failure}, "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// counter is a sender that counts, and fails as told.
type counter struct {
	mu    sync.Mutex
	times map[string]int
	fail  func(try int) error
	last  message.Letter
}

func (c *counter) Send(_ context.Context, l message.Letter) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times == nil {
		c.times = map[string]int{}
	}
	c.times[l.ID]++
	c.last = l
	if c.fail != nil {
		return c.fail(c.times[l.ID])
	}
	return nil
}

func (c *counter) total() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, times := range c.times {
		n += times
	}
	return n
}

func by(s message.Sender) message.Options {
	return message.Options{Senders: map[message.Channel]message.Sender{message.Email: s, message.SMS: s}}
}

func deliver(t testing.TB, db *store.DB, p *message.Post, o message.Options) int {
	t.Helper()
	n, err := p.Deliver(t.Context(), db, o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestALetterLeavesWithTheDeedOrNotAtAll(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p, sender := post(t), &counter{}
		undone := errors.New("undone")
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			if err := p.Queue(t.Context(), tx, letter); err != nil {
				return err
			}
			return undone
		})
		if !errors.Is(err, undone) || deliver(t, db, p, by(sender)) != 0 {
			t.Fatalf("a letter of a deed that was undone left: %v", err)
		}
		queue(t, db, p, letter)
		if deliver(t, db, p, by(sender)) != 1 || deliver(t, db, p, by(sender)) != 0 || sender.total() != 1 {
			t.Fatalf("sent %v", sender.times)
		}
		got := sender.last
		if got.To != letter.To || got.Subject != letter.Subject || got.Text != letter.Text || got.Code != letter.Code ||
			got.Professional != letter.Professional || got.At.IsZero() || !got.Expires.Equal(got.At.Add(message.DefaultLife)) {
			t.Errorf("sent as %+v", got)
		}
		if r := look(t, db); r.sent == 0 || r.givenUp != 0 || r.tries != 1 {
			t.Errorf("%+v", r)
		}
	})
}

func TestTheDatabaseShowsNoCode(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := post(t)
		queue(t, db, p, letter)
		r := look(t, db)
		if r.sealed == 0 || strings.Contains(r.all, "12345678") || strings.Contains(r.all, "code est") || strings.Contains(r.all, "Votre") {
			t.Errorf("before: %q", r.all)
		}
		deliver(t, db, p, by(&counter{}))
		if r := look(t, db); r.sealed != 0 {
			t.Errorf("after: %q", r.all)
		}
	})
}

func TestALetterThatCannotLeaveIsRefusedWhenWritten(t *testing.T) {
	db := storetest.Open(t, store.Options{})
	p := post(t)
	for name, change := range map[string]func(*message.Letter){
		"channel":     func(l *message.Letter) { l.Channel = "fax" },
		"nobody":      func(l *message.Letter) { l.To = "" },
		"two lines":   func(l *message.Letter) { l.To = "a@example.org\r\nBcc: b@example.org" },
		"no text":     func(l *message.Letter) { l.Text = "" },
		"no kind":     func(l *message.Letter) { l.Kind = "" },
		"no subject":  func(l *message.Letter) { l.Subject = "" },
		"two headers": func(l *message.Letter) { l.Subject = "a\nBcc: b@example.org" },
		"over":        func(l *message.Letter) { l.Expires = db.Now().Add(-time.Second) },
		"never":       func(l *message.Letter) { l.NotBefore, l.Expires = db.Now().Add(time.Hour), db.Now().Add(time.Minute) },
	} {
		l := letter
		change(&l)
		if err := db.Write(t.Context(), func(tx *store.Tx) error { return p.Queue(t.Context(), tx, l) }); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := message.New(make([]byte, 16)); err == nil {
		t.Error("a short key is taken")
	}
}

func TestALetterWaitsForItsMoment(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		p, sender := post(t), &counter{}
		l := letter
		l.NotBefore = clock.Now().Add(10 * time.Hour)
		queue(t, db, p, l)
		clock.Add(10*time.Hour - time.Second)
		if deliver(t, db, p, by(sender)) != 0 {
			t.Error("too early")
		}
		clock.Add(time.Second)
		if deliver(t, db, p, by(sender)) != 1 {
			t.Error("not in time")
		}
	})
}

func TestALetterIsTriedAgainLaterAndLater(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		p := post(t)
		sender := &counter{fail: func(try int) error {
			if try <= 4 {
				return fmt.Errorf("550? no: 421 for %s", strings.ToLower(letter.To))
			}
			return nil
		}}
		queue(t, db, p, letter)
		var gaps []time.Duration
		last := clock.Now()
		for sender.total() < 5 {
			if deliver(t, db, p, by(sender)) == 1 {
				gaps = append(gaps, clock.Now().Sub(last))
				last = clock.Now()
				if r := look(t, db); sender.total() < 5 && (r.sealed == 0 || r.failure != "550? no: 421 for (recipient)") {
					t.Fatalf("%+v", r)
				}
			}
			clock.Add(time.Second)
			if clock.Now().Sub(last) > time.Hour {
				t.Fatalf("tried after %v and never again", gaps)
			}
		}
		if want := "[0s 2s 4s 8s 16s]"; fmt.Sprint(gaps) != want {
			t.Errorf("tried after %v, want %s", gaps, want)
		}
		if r := look(t, db); r.sent == 0 || r.failure != "" {
			t.Errorf("%+v", r)
		}
	})
}

func TestALetterThatIsOverIsGivenUpLoudlyAndErased(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		busy := errors.New("busy")
		for name, c := range map[string]struct {
			fail error
			wait time.Duration
		}{
			"refused for good": {fail: fmt.Errorf("%w: no mailbox of %s", message.ErrRefused, letter.To)},
			"no time left":     {fail: busy, wait: 9*time.Minute + 59*time.Second},
			"never taken":      {wait: 11 * time.Minute},
		} {
			t.Run(name, func(t *testing.T) {
				var log strings.Builder
				p := post(t)
				sender := &counter{fail: func(int) error { return c.fail }}
				o := by(sender)
				o.Log = slog.New(slog.NewTextHandler(&log, nil))
				l := letter
				l.Expires = clock.Now().Add(10 * time.Minute)
				queue(t, db, p, l)
				clock.Add(c.wait)
				deliver(t, db, p, o)
				if c.fail == nil && sender.total() != 0 {
					t.Error("sent although over")
				}
				r := look(t, db)
				if r.givenUp == 0 || r.sent != 0 || r.sealed != 0 || r.failure == "" {
					t.Errorf("%+v", r)
				}
				if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "activation.codes") {
					t.Errorf("nobody heard: %s", &log)
				}
				for _, secret := range []string{letter.To, letter.Professional, letter.Code} {
					if strings.Contains(log.String()+r.failure, secret) {
						t.Errorf("%s is in %q or %s", secret, r.failure, &log)
					}
				}
				clock.Add(time.Hour)
				if deliver(t, db, p, o) != 0 {
					t.Error("tried again")
				}
				clean(t, db)
			})
		}
	})
}

func clean(t testing.TB, db *store.DB) {
	t.Helper()
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), `DELETE FROM messages`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAChannelThatNobodyConfiguredWaits(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		p := post(t)
		queue(t, db, p, letter)
		deliver(t, db, p, message.Options{})
		if r := look(t, db); r.givenUp != 0 || r.sealed == 0 || r.failure != "no way to send email is configured" {
			t.Errorf("%+v", r)
		}
		clock.Add(time.Minute)
		sender := &counter{}
		if deliver(t, db, p, by(sender)); sender.total() != 1 {
			t.Error("a node that has one does not send it")
		}
	})
}

func TestWhoWritesToTheDatabaseCannotRedirectACode(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, change := range []string{
			`UPDATE messages SET recipient = 'thief@example.org'`,
			`UPDATE messages SET professional = '899700000025'`,
			`UPDATE messages SET channel = 'sms'`,
			`UPDATE messages SET expires = expires + 86400000`,
		} {
			p, sender := post(t), &counter{}
			queue(t, db, p, letter)
			err := db.Write(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec(t.Context(), change)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			deliver(t, db, p, by(sender))
			if r := look(t, db); sender.total() != 0 || r.givenUp == 0 {
				t.Errorf("%s: sent %d times, %+v", change, sender.total(), r)
			}
			clean(t, db)
		}
		other, err := message.New([]byte(strings.Repeat("K", 32)))
		if err != nil {
			t.Fatal(err)
		}
		sender := &counter{}
		queue(t, db, post(t), letter)
		if deliver(t, db, other, by(sender)); sender.total() != 0 || look(t, db).givenUp == 0 {
			t.Error("opened with another key")
		}
	})
}

// A node that dies after sending and before noting it: the database is gone at that moment, as far as it knows.
func TestALetterSentByANodeThatDiedIsSentAgainByAnother(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			clock := storetest.NewClock()
			open := func(url string) *store.DB {
				db, err := store.Open(t.Context(), url, store.Options{Clock: clock.Now})
				if err != nil {
					t.Fatal(err)
				}
				return db
			}
			at := url(t)
			p, box := post(t), &message.Mailbox{}
			first := open(at)
			queue(t, first, p, letter)
			var log strings.Builder
			dies := sender(func(ctx context.Context, l message.Letter) error {
				box.Send(ctx, l)
				return first.Close()
			})
			o := by(dies)
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			if _, err := p.Deliver(t.Context(), first, o); !errors.Is(err, store.ErrUnavailable) {
				t.Fatal(err)
			}
			if len(box.List()) != 1 || !strings.Contains(log.String(), "may be sent twice") {
				t.Fatalf("%v\n%s", box.List(), &log)
			}
			second := open(at)
			defer second.Close()
			again := &counter{}
			if clock.Add(50 * time.Second); deliver(t, second, p, by(again)) != 0 {
				t.Error("taken while the lease of another node runs")
			}
			if clock.Add(10 * time.Second); deliver(t, second, p, by(again)) != 1 || look(t, second).sent == 0 {
				t.Error("lost")
			}
			if again.last.ID != box.List()[0].ID {
				t.Error("sent again under another id")
			}
		})
	}
}

type sender func(context.Context, message.Letter) error

func (f sender) Send(ctx context.Context, l message.Letter) error { return f(ctx, l) }

func TestTwoNodesAtOnceSendEachLetterOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const letters = 60
		s := &counter{}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var nodes sync.WaitGroup
		posts := []*message.Post{post(t), post(t)}
		for _, p := range posts {
			nodes.Go(func() {
				if err := p.Run(ctx, db, by(s)); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range letters {
			queue(t, db, posts[i%2], letter)
		}
		for wait := time.Now().Add(20 * time.Second); s.total() < letters && time.Now().Before(wait); {
			time.Sleep(5 * time.Millisecond)
		}
		stop()
		nodes.Wait()
		for id, times := range s.times {
			if times != 1 {
				t.Errorf("%s sent %d times", id, times)
			}
		}
		if len(s.times) != letters {
			t.Errorf("%d of %d letters sent", len(s.times), letters)
		}
	})
}

// Run is told by the commit, not by its ticker, and a letter under way when it ends is finished and noted.
func TestALetterLeavesAtOnceAndIsNotCutByTheEnd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := post(t)
		started, finish := make(chan struct{}), make(chan struct{})
		slow := sender(func(ctx context.Context, _ message.Letter) error {
			close(started)
			<-finish
			return ctx.Err()
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := p.Run(ctx, db, by(slow)); err != nil {
				t.Error(err)
			}
		}()
		queue(t, db, p, letter)
		<-started
		stop()
		select {
		case <-ended:
			t.Error("ended while a letter was under way")
		case <-time.After(50 * time.Millisecond):
		}
		close(finish)
		<-ended
		if look(t, db).sent == 0 {
			t.Error("sent and not noted")
		}
	})
}

// One channel that hangs leaves room for the others, up to the number of letters under way.
func TestASlowLetterHoldsNobodyElseUp(t *testing.T) {
	db := storetest.Open(t, store.Options{})
	p := post(t)
	finish, quick := make(chan struct{}), make(chan struct{}, 20)
	ctx, stop := context.WithCancel(t.Context())
	o := message.Options{Parallel: 2, Senders: map[message.Channel]message.Sender{
		message.SMS:   sender(func(context.Context, message.Letter) error { <-finish; return nil }),
		message.Email: sender(func(context.Context, message.Letter) error { quick <- struct{}{}; return nil }),
	}}
	slow := letter
	slow.Channel = message.SMS
	queue(t, db, p, slow)
	var node sync.WaitGroup
	node.Go(func() { p.Run(ctx, db, o) })
	for range 20 {
		queue(t, db, p, letter)
	}
	for range 20 {
		<-quick
	}
	close(finish)
	stop()
	node.Wait()
}

func TestFinishedLettersAreForgottenAfterAMonth(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		p := post(t)
		queue(t, db, p, letter)
		deliver(t, db, p, by(&counter{}))
		run := func() {
			ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer stop()
			p.Run(ctx, db, by(&counter{}))
		}
		if run(); look(t, db).count != 1 {
			t.Error("forgotten too early")
		}
		clock.Add(31 * 24 * time.Hour)
		if run(); look(t, db).count != 0 {
			t.Error("kept for ever")
		}
	})
}
