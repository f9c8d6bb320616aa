package push_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"vigie/outgoing"
	"vigie/push"
	"vigie/push/loopback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ring = push.Message{Payload: []byte(`{"service":"SI-DEP"}`), TTL: time.Minute, Urgency: push.High, Topic: "A-b_9"}

func signingKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// webPush makes a sender that may call this machine, and a push service for it.
func webPush(t testing.TB) (*push.WebPush, *loopback.Service) {
	t.Helper()
	client := outgoing.Client(outgoing.Options{AllowLoopback: true})
	t.Cleanup(client.CloseIdleConnections)
	w, err := push.NewWebPush(push.WebPushOptions{
		HTTP: client, Key: signingKey(t), Contact: "mailto:exploitant@example.org", Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := loopback.Start(loopback.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return w, s
}

func subscribe(t testing.TB, s *loopback.Service, w *push.WebPush) *loopback.Inbox {
	t.Helper()
	inbox, err := s.Subscribe(w.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	return inbox
}

func TestAMessageReachesThePhone(t *testing.T) {
	w, s := webPush(t)
	inbox := subscribe(t, s, w)
	for range 2 {
		if err := w.Send(t.Context(), inbox.Subscription, ring); err != nil {
			t.Fatal(err)
		}
		d, err := inbox.Next(t.Context())
		if err != nil || d.Err != nil {
			t.Fatal(err, d.Err)
		}
		if string(d.Payload) != string(ring.Payload) || d.TTL != time.Minute || d.Urgency != push.High || d.Topic != "A-b_9" {
			t.Fatalf("arrived as %+v", d)
		}
	}
}

func TestAnswersOfPushServicesAreUnderstood(t *testing.T) {
	w, s := webPush(t)
	inbox := subscribe(t, s, w)
	for _, c := range []struct {
		fault     loopback.Fault
		gone      bool
		temporary bool
		after     time.Duration
	}{
		{fault: loopback.Fault{Status: 404}, gone: true},
		{fault: loopback.Fault{Status: 410}, gone: true},
		{fault: loopback.Fault{Status: 429, RetryAfter: "7"}, temporary: true, after: 7 * time.Second},
		{fault: loopback.Fault{Status: 503, RetryAfter: time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, temporary: true, after: time.Hour},
		{fault: loopback.Fault{Status: 503, RetryAfter: "-1"}, temporary: true},
		{fault: loopback.Fault{Status: 503, RetryAfter: "soon"}, temporary: true},
		{fault: loopback.Fault{Status: 500}, temporary: true},
		{fault: loopback.Fault{Status: 400}},
		{fault: loopback.Fault{Status: 403}},
		{fault: loopback.Fault{Status: 413}},
		{fault: loopback.Fault{Status: 307}},
	} {
		s.Fail(c.fault)
		err := w.Send(t.Context(), inbox.Subscription, ring)
		var temporary *push.TemporaryError
		if err == nil || errors.Is(err, push.ErrGone) != c.gone || errors.As(err, &temporary) != c.temporary {
			t.Errorf("%+v: %v", c.fault, err)
		}
		if temporary != nil && (temporary.After > c.after || temporary.After < c.after-2*time.Second) {
			t.Errorf("%+v: wait %s", c.fault, temporary.After)
		}
		if strings.Contains(err.Error(), "/push/") {
			t.Errorf("the endpoint is in the error: %v", err)
		}
	}
	inbox.Unsubscribe()
	if err := w.Send(t.Context(), inbox.Subscription, ring); !errors.Is(err, push.ErrGone) {
		t.Error(err)
	}
}

func TestANetworkThatFailsMayComeBack(t *testing.T) {
	w, s := webPush(t)
	inbox := subscribe(t, s, w)
	s.Close()
	err := w.Send(t.Context(), inbox.Subscription, ring)
	if temporary := new(push.TemporaryError); !errors.As(err, &temporary) || strings.Contains(err.Error(), "/push/") {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := w.Send(stopped, inbox.Subscription, ring); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	} else if temporary := new(push.TemporaryError); errors.As(err, &temporary) {
		t.Fatal("a caller that gave up is told to try again")
	}
}

func TestAPushServiceKnowsWhoSends(t *testing.T) {
	ours, s := webPush(t)
	inbox := subscribe(t, s, ours)
	theirs, _ := webPush(t)
	if err := theirs.Send(t.Context(), inbox.Subscription, ring); err == nil {
		t.Error("another sender's message is taken")
	}
	_, elsewhere := webPush(t)
	away := subscribe(t, elsewhere, ours)
	if err := ours.Send(t.Context(), away.Subscription, ring); err != nil {
		t.Errorf("a second push service: %v", err)
	}
}

// The token is read by a library that is not ours, and made again before it ends.
func TestTheSendersTokenIsThatOfRFC8292(t *testing.T) {
	var header string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header.Get("Authorization")
	}))
	defer s.Close()
	now := time.Now()
	client := outgoing.Client(outgoing.Options{AllowLoopback: true})
	defer client.CloseIdleConnections()
	key := signingKey(t)
	w, err := push.NewWebPush(push.WebPushOptions{
		HTTP: client, Key: key, Contact: "https://example.org/contact", Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := push.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	token := func() (text string, claims struct {
		Aud, Sub string
		Exp      int64
	}) {
		if err := w.Send(t.Context(), r.Subscription(s.URL+"/x"), ring); err != nil {
			t.Fatal(err)
		}
		text, k, _ := strings.Cut(strings.TrimPrefix(header, "vapid t="), ", k=")
		if k != w.PublicKey() {
			t.Fatalf("key in %q", header)
		}
		signed, err := jose.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := signed.Verify(&key.PublicKey)
		if err != nil || signed.Signatures[0].Protected.ExtraHeaders["typ"] != "JWT" {
			t.Fatal(err)
		}
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		return text, claims
	}
	first, claims := token()
	if claims.Aud != s.URL || claims.Sub != "https://example.org/contact" || claims.Exp != now.Add(12*time.Hour).Unix() {
		t.Errorf("claims %+v", claims)
	}
	now = now.Add(6*time.Hour - time.Second)
	if again, _ := token(); again != first {
		t.Error("signed again without need")
	}
	now = now.Add(time.Second)
	if again, claims := token(); again == first || claims.Exp != now.Add(12*time.Hour).Unix() {
		t.Error("not made again in time")
	}
}

func TestAnIncompleteSenderIsRefused(t *testing.T) {
	good := push.WebPushOptions{HTTP: http.DefaultClient, Key: signingKey(t), Contact: "mailto:a@example.org", Now: time.Now}
	if _, err := push.NewWebPush(good); err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*push.WebPushOptions){
		"contact": func(o *push.WebPushOptions) { o.Contact = "a@example.org" },
		"http":    func(o *push.WebPushOptions) { o.Contact = "http://example.org" },
		"empty":   func(o *push.WebPushOptions) { o.Contact = "mailto:" },
		"curve":   func(o *push.WebPushOptions) { o.Key = other },
		"no key":  func(o *push.WebPushOptions) { o.Key = nil },
		"client":  func(o *push.WebPushOptions) { o.HTTP = nil },
		"clock":   func(o *push.WebPushOptions) { o.Now = nil },
	} {
		o := good
		change(&o)
		if _, err := push.NewWebPush(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestAMessageThatIsNoneIsRefused(t *testing.T) {
	w, s := webPush(t)
	inbox := subscribe(t, s, w)
	for name, m := range map[string]push.Message{
		"long":           {Payload: make([]byte, push.MaxPayload+1)},
		"topic":          {Topic: "a\r\nX: y"},
		"topic too long": {Topic: strings.Repeat("a", 33)},
		"urgency":        {Urgency: "loud"},
		"life":           {TTL: -1},
	} {
		if err := w.Send(t.Context(), inbox.Subscription, m); !errors.Is(err, push.ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnlyABrowsersSubscriptionIsTaken(t *testing.T) {
	r, err := push.NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	s := r.Subscription("")
	key, auth := base64.RawURLEncoding.EncodeToString(s.P256dh), base64.RawURLEncoding.EncodeToString(s.Auth)
	allowed := outgoing.Options{Hosts: push.Hosts}
	for _, endpoint := range []string{
		"https://fcm.googleapis.com/fcm/send/x", "https://jmt17.google.com/fcm/send/x",
		"https://updates.push.services.mozilla.com/wpush/v2/x", "https://web.push.apple.com/x",
		"https://wns2-par02p.notify.windows.com/w/?token=x",
	} {
		if got, err := push.ParseSubscription(endpoint, key, auth, allowed); err != nil || got.Endpoint != endpoint {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	good := "https://fcm.googleapis.com/fcm/send/x"
	for name, c := range map[string][3]string{
		"refused_host":       {"https://push.example.org/x", key, auth},
		"refused_loopback":   {"http://127.0.0.1/x", key, auth},
		"refused_no_key":     {good, "", auth},
		"refused_padding":    {good, key, auth + "=="},
		"refused_base64":     {good, strings.NewReplacer("-", "+", "_", "/").Replace(key) + "+", auth},
		"refused_compressed": {good, base64.RawURLEncoding.EncodeToString(append([]byte{2}, s.P256dh[1:33]...)), auth},
		"refused_no_point":   {good, base64.RawURLEncoding.EncodeToString(append([]byte{4}, make([]byte, 64)...)), auth},
		"refused_auth_short": {good, key, auth[:20]},
		"refused_auth_long":  {good, key, auth + "AAAA"},
	} {
		if _, err := push.ParseSubscription(c[0], c[1], c[2], allowed); !errors.Is(err, push.ErrSubscription) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseSubscription(f *testing.F) {
	f.Add("https://fcm.googleapis.com/x", "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", "BTBZMqHH6r4Tts7J_aSIgg")
	f.Fuzz(func(t *testing.T, endpoint, p256dh, auth string) {
		s, err := push.ParseSubscription(endpoint, p256dh, auth, outgoing.Options{Hosts: push.Hosts})
		if err != nil {
			return
		}
		if _, err := push.Encrypt(s, nil); err != nil {
			t.Fatalf("taken at the door and of no use: %v", err)
		}
	})
}

// script is a sender that answers as told, then with nil.
type script struct {
	answers []error
	mu      sync.Mutex
	ttls    []time.Duration
	started chan struct{}
	hold    chan struct{}
	calls   atomic.Int64
}

func (s *script) Send(ctx context.Context, _ push.Subscription, m push.Message) error {
	n := int(s.calls.Add(1))
	if s.hold != nil {
		s.started <- struct{}{}
		select {
		case <-s.hold:
		case <-ctx.Done():
			return &push.TemporaryError{Err: ctx.Err()}
		}
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ttls = append(s.ttls, m.TTL)
	if n <= len(s.answers) {
		return s.answers[n-1]
	}
	return nil
}

func busy(after time.Duration) error {
	return &push.TemporaryError{After: after, Err: errors.New("busy")}
}

func TestAMessageIsTriedAgainWithinItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []error{busy(0), busy(10 * time.Second), busy(0)}}
		q := push.NewQueue(t.Context(), push.QueueOptions{Sender: s, Now: time.Now})
		q.Put(push.Subscription{}, ring)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := q.Stats(); got != (push.Stats{Sent: 1, Retried: 3}) {
			t.Errorf("%+v", got)
		}
		if len(s.ttls) != 4 || s.ttls[0] != time.Minute || s.ttls[1] >= s.ttls[0] || s.ttls[1]-s.ttls[2] < 10*time.Second {
			t.Errorf("tried with %v left", s.ttls)
		}
		q.Close()
	})
}

func TestAMessageThatIsOverIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := &script{answers: make([]error, 100)}
		for i := range s.answers {
			s.answers[i] = busy(0)
		}
		q := push.NewQueue(t.Context(), push.QueueOptions{Sender: s, Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
		q.Put(push.Subscription{Endpoint: "https://push.example.org/secret"}, ring)
		time.Sleep(time.Minute)
		synctest.Wait()
		got := q.Stats()
		if got.Expired != 1 || got.Open != 0 || s.calls.Load() < 4 || s.calls.Load() > 20 {
			t.Errorf("%+v after %d tries", got, s.calls.Load())
		}
		if !strings.Contains(log.String(), "push.example.org") || strings.Contains(log.String(), "secret") {
			t.Errorf("log: %s", &log)
		}
		s.answers = append(s.answers, busy(2*time.Minute)) // a service that asks for more time than there is
		s.calls.Store(100)
		q.Put(push.Subscription{}, ring)
		synctest.Wait()
		if got := q.Stats(); got.Expired != 2 {
			t.Errorf("%+v", got)
		}
		q.Close()
	})
}

func TestAGoneSubscriptionIsTold(t *testing.T) {
	w, s := webPush(t)
	inbox := subscribe(t, s, w)
	inbox.Unsubscribe()
	told := make(chan string, 1)
	q := push.NewQueue(t.Context(), push.QueueOptions{Sender: w, Now: time.Now, Gone: func(ctx context.Context, endpoint string) {
		if ctx.Err() == nil {
			told <- endpoint
		}
	}})
	q.Put(inbox.Subscription, ring)
	if got := <-told; got != inbox.Subscription.Endpoint {
		t.Errorf("told %q", got)
	}
	q.Close()
	if got := q.Stats(); got != (push.Stats{Gone: 1}) {
		t.Errorf("%+v", got)
	}
}

func TestARefusedMessageIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []error{errors.New("refused"), outgoing.ErrRefused}}
		q := push.NewQueue(t.Context(), push.QueueOptions{Sender: s, Now: time.Now})
		q.Put(push.Subscription{}, ring)
		q.Put(push.Subscription{}, ring)
		synctest.Wait()
		if got := q.Stats(); got != (push.Stats{Refused: 2}) {
			t.Errorf("%+v", got)
		}
		q.Close()
	})
}

func TestPutNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a Put that waited would deadlock the bubble
		s := &script{started: make(chan struct{}, 10), hold: make(chan struct{})}
		q := push.NewQueue(t.Context(), push.QueueOptions{Sender: s, Now: time.Now, Size: 3})
		taken := 0
		for range 10 {
			if q.Put(push.Subscription{}, ring) {
				taken++
			}
		}
		if got := q.Stats(); taken != 3 || got.Dropped != 7 || got.Open != 3 {
			t.Errorf("%d taken, %+v", taken, got)
		}
		close(s.hold)
		synctest.Wait()
		if !q.Put(push.Subscription{}, ring) {
			t.Error("the queue stays full")
		}
		q.Close()
		if got := q.Stats(); got != (push.Stats{Sent: 4, Dropped: 7}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestAClosedQueueEndsItsTriesAndTakesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{started: make(chan struct{}, 1), hold: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		q := push.NewQueue(ctx, push.QueueOptions{Sender: s, Now: time.Now})
		q.Put(push.Subscription{}, ring)
		<-s.started
		stop()
		go func() {
			time.Sleep(time.Second)
			close(s.hold)
		}()
		start := time.Now()
		q.Close()
		if got := q.Stats(); got.Sent != 1 || time.Since(start) != time.Second {
			t.Errorf("%+v after %s: a try under way was cut", got, time.Since(start))
		}
		if q.Put(push.Subscription{}, ring) {
			t.Error("a closed queue takes a message")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []error{busy(30 * time.Second)}}
		q := push.NewQueue(t.Context(), push.QueueOptions{Sender: s, Now: time.Now})
		q.Put(push.Subscription{}, ring)
		synctest.Wait()
		start := time.Now()
		q.Close()
		if got := q.Stats(); got != (push.Stats{Dropped: 1}) || time.Since(start) != 0 {
			t.Errorf("%+v after %s", got, time.Since(start))
		}
	})
}

func TestManyAtOnceAllArriveOnce(t *testing.T) {
	w, s := webPush(t)
	q := push.NewQueue(t.Context(), push.QueueOptions{Sender: w, Now: time.Now})
	const phones, each = 20, 20
	var inboxes []*loopback.Inbox
	for range phones {
		inboxes = append(inboxes, subscribe(t, s, w))
	}
	for range each {
		for _, inbox := range inboxes {
			go q.Put(inbox.Subscription, ring)
		}
	}
	for _, inbox := range inboxes {
		for range each {
			if d, err := inbox.Next(t.Context()); err != nil || d.Err != nil {
				t.Fatal(err, d.Err)
			}
		}
	}
	q.Close()
	if got := q.Stats(); got.Sent != phones*each || got.Dropped+got.Expired+got.Refused != 0 {
		t.Errorf("%+v", got)
	}
}

// One message, from Put to the phone, over HTTP on this machine.
func BenchmarkDelivery(b *testing.B) {
	w, s := webPush(b)
	inbox := subscribe(b, s, w)
	q := push.NewQueue(b.Context(), push.QueueOptions{Sender: w, Now: time.Now})
	defer q.Close()
	for b.Loop() {
		q.Put(inbox.Subscription, ring)
		if _, err := inbox.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
