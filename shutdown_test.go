package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vigie/stage"
	"vigie/store"
	"vigie/store/storetest"
)

// activate activates a phone for who, as people do.
func (i *instance) activate(ctx context.Context, who stage.Person) (*stage.Phone, error) {
	o := stage.PhoneOptions{Server: i.portal, Now: time.Now}
	if err := stage.AskCodes(ctx, o, who.NationalID, who.Mobile, who.Email); err != nil {
		return nil, err
	}
	for range 300 {
		if sms, email := i.letters.codes(who); sms != "" && email != "" {
			return stage.Activate(ctx, o, stage.NewPhone{NationalID: who.NationalID, SMS: sms, Email: email, PIN: pin})
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, fmt.Errorf("no codes came\n%s", i.said())
}

// stream opens the events of a waiting page, reads the first, and returns a
// channel that is closed when the stream ends.
func stream(t *testing.T, b *stage.Browser) (ended <-chan struct{}) {
	t.Helper()
	resp, err := b.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(resp.Body)
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "event: message") {
		t.Fatalf("the stream begins with %q, %v", line, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, in) // however it ends
	}()
	return done
}

// underWay sends a form to the portal, all but its last byte. Finish sends that,
// and returns the status.
func underWay(t *testing.T, portal, path, cookie string, form url.Values) (finish func() (int, error)) {
	t.Helper()
	body := form.Encode()
	conn, err := net.Dial("tcp", strings.TrimPrefix(portal, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nSec-Fetch-Site: same-origin\r\n\r\n%s",
		path, strings.TrimPrefix(portal, "http://"), cookie, len(body), body[:len(body)-1])
	return func() (int, error) {
		if _, err := conn.Write([]byte(body[len(body)-1:])); err != nil {
			return 0, err
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		return resp.StatusCode, nil
	}
}

func TestAServerThatIsToldToEndFinishesAndItsPagesGoOnAtTheNext(t *testing.T) {
	ctx := t.Context()
	i := newInstance(t, "sqlite", 20)
	i.start()
	anne := i.people[0]
	p, err := i.activate(ctx, anne)
	if err != nil {
		t.Fatal(err)
	}
	w := stage.World{Portal: i.portal, Browser: &http.Transport{}, People: i.people}
	b, verifier, err := i.client.waiting(ctx, w, anne)
	if err != nil {
		t.Fatal(err)
	}
	code := b.Code()
	ended := stream(t, b)
	other, err := stage.NewBrowser(w.Browser)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.client.send(ctx, other); err != nil {
		t.Fatal(err)
	}
	at, _, _ := other.Page()
	finish := underWay(t, i.portal, at.Path, other.Cookies(at), url.Values{"national_id": {anne.NationalID}})
	time.Sleep(100 * time.Millisecond) // it has arrived

	began := time.Now()
	status := make(chan int)
	go func() { status <- i.end(syscall.SIGTERM) }()
	select {
	case <-ended:
	case <-time.After(3 * time.Second):
		t.Error("the stream of a waiting page holds the end up")
	}
	for refused := false; !refused; time.Sleep(20 * time.Millisecond) {
		resp, err := i.client.http.Get(i.portal + "/livez")
		if refused = err != nil; !refused {
			resp.Body.Close()
		}
		if time.Since(began) > 3*time.Second {
			t.Fatal("it still takes new connections")
		}
	}
	if got, err := finish(); err != nil || got != http.StatusSeeOther {
		t.Errorf("a request under way was answered %d, %v", got, err)
	}
	if got := <-status; got != 0 {
		t.Errorf("exit status %d\n%s", got, i.said())
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v to end", took)
	}

	// The page comes back by itself, to the next server, and so does the phone.
	i.start()
	ended = stream(t, b)
	if err := b.Look(ctx); err != nil || b.Code() != code {
		t.Errorf("the page showed %s, and now %s: %v", code, b.Code(), err)
	}
	r, err := p.Claim(ctx, code)
	if err == nil {
		_, err = p.Approve(ctx, r, pin, "no")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Look(ctx); err != nil {
		t.Fatal(err)
	}
	if got, _, err := i.client.redeem(ctx, codeOf(b), verifier); err != nil || got != http.StatusOK {
		t.Errorf("the code is answered %d, %v", got, err)
	}

	// Somebody who never finishes is waited for, but not for long.
	_ = underWay(t, i.portal, at.Path, other.Cookies(at), url.Values{"national_id": {anne.NationalID}})
	time.Sleep(100 * time.Millisecond)
	began = time.Now()
	if got := i.end(syscall.SIGTERM); got != 0 {
		t.Errorf("exit status %d\n%s", got, i.said())
	}
	if took := time.Since(began); took > graceTime+3*time.Second {
		t.Errorf("it took %v to end", took)
	}
	<-ended
}

// late is a network that holds the end of what is posted back.
type late struct {
	next http.RoundTripper
	open <-chan struct{}
}

func (l late) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(r.Body, 10), waits(l.open), r.Body), r.Body}
	}
	return l.next.RoundTrip(r)
}

// waits reads as nothing, once the channel is closed.
type waits <-chan struct{}

func (w waits) Read([]byte) (int, error) {
	<-w
	return 0, io.EOF
}

func TestAPhoneRingsForARequestThatWasUnderWayAtTheEnd(t *testing.T) {
	db, ctx := storetest.Open(t, store.Options{}), t.Context()
	w := newWorld(t, db, storetest.NewClock())
	b, _, inbox, err := w.Enrol(ctx, w.People[0], pin)
	if err == nil {
		_, err = w.newClient(t).send(ctx, b, "prompt", "login")
	}
	if err != nil {
		t.Fatal(err)
	}
	finish, stopped, asked := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	b.Use(late{w.Browser, finish})
	go func() { asked <- b.Choose(ctx, w.People[0].NationalID) }()
	time.Sleep(100 * time.Millisecond) // it has begun
	go func() {
		w.server.Stop(ctx)
		close(stopped)
	}()
	time.Sleep(100 * time.Millisecond)
	close(finish)
	if err := <-asked; err != nil && !strings.Contains(err.Error(), "connection refused") { // the page that follows is another server's
		t.Error(err)
	}
	<-stopped
	select {
	case <-inbox.Deliveries:
	default:
		t.Error("the phone was not rung")
	}
}

func TestAServerThatStoppedLeavesNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		ctx, w := t.Context(), newWorld(t, db, clock)
		c := w.newClient(t)
		b, p, _, err := w.Enrol(ctx, w.People[0], pin)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.send(ctx, b, "prompt", "login"); err != nil {
			t.Fatal(err)
		}
		if err := b.Choose(ctx, w.People[0].NationalID); err != nil { // pushes
			t.Fatal(err)
		}
		ended := stream(t, b)
		listening, stop := context.WithCancel(ctx)
		deaf := make(chan error)
		go func() { deaf <- p.Listen(listening, false, func(stage.Heard) {}) }()
		time.Sleep(200 * time.Millisecond)
		w.server.Stop(ctx)
		<-ended
		stop()
		<-deaf
		http.DefaultTransport.(*http.Transport).CloseIdleConnections() // of the library of services
	})
	goleak.VerifyNone(t, before)
}
