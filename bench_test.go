package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"vigie/message"
	"vigie/push/loopback"
	"vigie/stage"
	"vigie/store"
	"vigie/store/storetest"
)

// A full push sign-in: the browser asks, the push reaches a local push service,
// the phone fetches the request, has its PIN evaluated and approves with two
// signatures, the browser takes the code, the service redeems it and asks for
// userinfo.
//
// "counts" runs in this process and counts statements, transactions and
// signatures; "process" runs `vigie demo` on one core in a process of its own,
// and measures that process alone.
func BenchmarkSignIn(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) {
			b.Run("counts", func(b *testing.B) { benchmarkCounts(b, engine) })
			b.Run("process", func(b *testing.B) { benchmarkProcess(b, engine, 0) })
			b.Run("at50", func(b *testing.B) { benchmarkProcess(b, engine, 50) })
		})
	}
}

func benchmarkCounts(b *testing.B, engine string) {
	open := storetest.Open
	if engine == "postgres" {
		open = storetest.OpenPostgres
	}
	clock := storetest.NewClock()
	db := open(b, store.Options{Clock: clock.Now})
	w := newWorld(b, db, clock)
	users, err := enrol(b.Context(), w.World, 1)
	if err != nil {
		b.Fatal(err)
	}
	before := db.Stats()
	rsa := 0
	for b.Loop() {
		clock.Add(10 * time.Second) // more than three rings a minute of one browser are nobody's
		n, err := users[0].signIn(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		rsa += n
	}
	after := db.Stats()
	per := func(n uint64) float64 { return float64(n) / float64(b.N) }
	b.ReportMetric(per(uint64(after.Statements)-uint64(before.Statements)), "statements/op")
	b.ReportMetric(per(uint64(after.Writes)-uint64(before.Writes)), "writes/op")
	b.ReportMetric(per(uint64(after.Reads)-uint64(before.Reads)), "reads/op")
	b.ReportMetric(float64(rsa)/float64(b.N), "rsa-signatures/op")
}

// benchmarkProcess drives a Vigie of its own process, as fast as it goes
// (rate 0) or at so many sign-ins a second.
func benchmarkProcess(b *testing.B, engine string, rate int) {
	p := startProcess(b, engine)
	users, err := enrol(b.Context(), p.world, len(p.world.People))
	if err != nil {
		b.Fatal(err)
	}
	timed := &timed{next: p.world.HTTP.Transport}
	for _, u := range users {
		u.browser.Use(timed)
		u.http.Transport = timed
	}
	cpu := p.cpu(b)
	started := time.Now()
	var done sync.WaitGroup
	turns := make(chan struct{})
	failed := make(chan error, len(users))
	for _, u := range users {
		done.Go(func() {
			for range turns {
				if _, err := u.signIn(b.Context()); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	pace := time.NewTicker(max(1, time.Second/time.Duration(max(rate, 1))))
	defer pace.Stop()
	n := 0
	for b.Loop() {
		if rate > 0 {
			<-pace.C
		}
		select {
		case turns <- struct{}{}:
			n++
		case err := <-failed:
			b.Fatal(err)
		}
	}
	close(turns)
	done.Wait()
	took := time.Since(started)
	b.ReportMetric(float64(n)/took.Seconds(), "sign-ins/s")
	b.ReportMetric(float64((p.cpu(b)-cpu).Microseconds())/1000/float64(n), "cpu-ms/op")
	b.ReportMetric(timed.percentile(99), "p99-ms")
	b.ReportMetric(fdatasync(b), "fdatasync-µs")
}

// process is a Vigie that runs by itself.
type process struct {
	world stage.World
	pid   int
}

func startProcess(b *testing.B, engine string) *process {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "vigie")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	args := []string{"demo", "--listen", "127.0.0.1:0", "--json"}
	if engine == "postgres" {
		args = append(args, "--database", storetest.Postgres(b))
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReaderSize(out, 1<<16).ReadBytes('\n')
	if err != nil {
		b.Fatal(err)
	}
	var a announcement
	if err := json.Unmarshal(line, &a); err != nil {
		b.Fatal(err)
	}
	pushes, err := loopback.Start(loopback.Options{Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { pushes.Close() })
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	b.Cleanup(transport.CloseIdleConnections)
	p := &process{pid: cmd.Process.Pid, world: stage.World{Portal: a.Base, Now: time.Now, Inbox: pushes.Subscribe, Browser: transport,
		HTTP: &http.Client{Timeout: 30 * time.Second, Transport: transport}, Letters: mailboxAt(a.MailboxJSON)}}
	for _, s := range a.Services {
		p.world.Services = append(p.world.Services, &stage.Service{ID: s.ID, Secret: s.Secret, Name: s.Name, URL: s.URL, Issuer: a.Issuer})
	}
	for _, who := range a.People {
		p.world.People = append(p.world.People, stage.Person{NationalID: who.NationalID, Name: who.Name, Mobile: who.Mobile, Email: who.Email})
	}
	return p
}

// cpu is the processor time that the process has used (proc(5), stat).
func (p *process) cpu(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		b.Skip("no /proc on this system")
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	ticks := 0
	for _, f := range fields[11:13] { // utime, stime, in hundredths of a second
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// user is a professional with a phone and a browser that is kept as theirs, and
// the service that they sign in to.
type user struct {
	browser *stage.Browser
	phone   *stage.Phone
	inbox   *loopback.Inbox
	id      string
	service *stage.Service
	http    *http.Client
}

// enrol activates n phones and keeps their browsers.
func enrol(ctx context.Context, w stage.World, n int) ([]*user, error) {
	var all []*user
	for _, who := range w.People[:n] {
		browser, phone, inbox, err := w.Enrol(ctx, who, "2580")
		if err != nil {
			return nil, fmt.Errorf("enrolling %s: %w", who.Name, err)
		}
		all = append(all, &user{browser, phone, inbox, who.NationalID, w.Services[0], &http.Client{Timeout: 30 * time.Second, Transport: w.HTTP.Transport}})
	}
	return all, nil
}

// signIn does it all once, and says how many RSA signatures came out.
func (u *user) signIn(ctx context.Context) (rsa int, err error) {
	verifier := oauth2.GenerateVerifier()
	q := url.Values{"response_type": {"code"}, "client_id": {u.service.ID}, "redirect_uri": {u.service.RedirectURI()}, "scope": {"openid scope_all"}, "acr_values": {"eidas1"},
		"state": {"s"}, "nonce": {"n"}, "prompt": {"login"}, "code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"}}
	u.browser.StopAt(u.service.RedirectURI())
	if err := u.browser.Visit(ctx, strings.TrimSuffix(u.service.Issuer, realm)+"/auth?"+q.Encode()); err != nil {
		return 0, err
	}
	if err := u.browser.Choose(ctx, u.id); err != nil {
		return 0, err
	}
	d, err := u.inbox.Next(ctx)
	if err != nil {
		return 0, err
	}
	var ring struct{ Request string }
	if err := json.Unmarshal(d.Payload, &ring); err != nil {
		return 0, err
	}
	request, err := u.phone.Open(ctx, ring.Request)
	if err != nil {
		return 0, err
	}
	if _, err := u.phone.Approve(ctx, request, "2580", "no"); err != nil {
		return 0, err
	}
	if err := u.browser.Look(ctx); err != nil {
		return 0, err
	}
	at, _, _ := u.browser.Page()
	code := at.Query().Get("code")
	if code == "" {
		return 0, fmt.Errorf("no code at %s", at)
	}
	return u.redeem(ctx, code, verifier)
}

func (u *user) redeem(ctx context.Context, code, verifier string) (rsa int, err error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {u.service.RedirectURI()}, "code_verifier": {verifier}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.service.Issuer+"/protocol/openid-connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	r.SetBasicAuth(u.service.ID, u.service.Secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var tokens map[string]any
	if err := fetch(u.http, r, &tokens); err != nil {
		return 0, err
	}
	for _, v := range tokens {
		if text, is := v.(string); is && strings.HasPrefix(text, "eyJ") {
			head, err := jwtHeader(text)
			if err != nil {
				return 0, err
			}
			if strings.HasPrefix(head, "RS") {
				rsa++
			}
		}
	}
	access, _ := tokens["access_token"].(string)
	if r, err = http.NewRequestWithContext(ctx, http.MethodGet, u.service.Issuer+"/protocol/openid-connect/userinfo", nil); err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+access)
	var claims struct{ SubjectNameID string }
	if err := fetch(u.http, r, &claims); err != nil {
		return 0, err
	}
	if claims.SubjectNameID != u.id {
		return 0, fmt.Errorf("userinfo is about %q", claims.SubjectNameID)
	}
	return rsa, nil
}

func fetch(c *http.Client, r *http.Request, v any) error {
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", r.URL.Path, resp.Status, b)
	}
	return json.Unmarshal(b, v)
}

// timed measures how long each call takes until its answer begins.
type timed struct {
	next http.RoundTripper
	mu   sync.Mutex
	took []time.Duration
}

func (t *timed) RoundTrip(r *http.Request) (*http.Response, error) {
	started := time.Now()
	resp, err := t.next.RoundTrip(r)
	t.mu.Lock()
	t.took = append(t.took, time.Since(started))
	t.mu.Unlock()
	return resp, err
}

func (t *timed) percentile(p int) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.took) == 0 {
		return 0
	}
	slices.Sort(t.took)
	return float64(t.took[min(len(t.took)-1, len(t.took)*p/100)].Microseconds()) / 1000
}

// fdatasync is how long this machine takes to make 4 KiB durable, in µs: the
// floor under every durable write.
func fdatasync(b *testing.B) float64 {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "sync"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const times = 200
	block := make([]byte, 4096)
	started := time.Now()
	for range times {
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(time.Since(started).Microseconds()) / times
}

// mailboxAt reads the demo's mailbox.
func mailboxAt(address string) func(context.Context) ([]message.Received, error) {
	return func(ctx context.Context) ([]message.Received, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		var letters []message.Received
		err = fetch(http.DefaultClient, r, &letters)
		return letters, err
	}
}

// jwtHeader is the algorithm that a JWT was signed with.
func jwtHeader(token string) (string, error) {
	head, _, _ := strings.Cut(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return "", err
	}
	var h struct{ Alg string }
	err = json.Unmarshal(b, &h)
	return h.Alg, err
}

func TestASignInWritesAtMostNineTimesAndSignsByRSAOnce(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		users, err := enrol(t.Context(), newWorld(t, db, clock).World, 1)
		if err != nil {
			t.Fatal(err)
		}
		fewest := uint64(1 << 62)
		for range 5 { // jobs of the background write too, now and then
			clock.Add(time.Minute)
			before := uint64(db.Stats().Writes)
			rsa, err := users[0].signIn(t.Context())
			if err != nil || rsa != 1 {
				t.Fatalf("%d RSA signatures: %v", rsa, err)
			}
			fewest = min(fewest, uint64(db.Stats().Writes)-before)
		}
		if fewest > 9 {
			t.Errorf("%d write transactions", fewest)
		}
	})
}
