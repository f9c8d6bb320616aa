package web_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"vigie/browser"
	"vigie/directory"
	"vigie/login"
	"vigie/message"
	"vigie/oidc"
	"vigie/phone"
	"vigie/secrets"
	"vigie/session"
	"vigie/store"
	"vigie/store/storetest"
	"vigie/web"
)

const (
	anne     = directory.ID("899700000017")
	callback = "https://vaccin.example/callback"
	pin      = "2580"
)

// generated are keys that tests share: making RSA keys takes a while.
var generated = sync.OnceValues(secrets.Generate)

// world is a portal on a loopback port, two services, and the phone of Anne.
type world struct {
	testing.TB
	db       *store.DB
	clock    *storetest.Clock
	keys     *secrets.Secrets
	logins   *login.Logins
	provider *oidc.Provider
	base     string
	secret   map[string]string // of each service
	phone    *handset

	activation *phone.Activation
	post       *message.Post
	mailbox    *message.Mailbox
}

func eachWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) { f(t, newWorld(t, db, clock)) })
}

func newWorld(t testing.TB, db *store.DB, clock *storetest.Clock) *world {
	t.Helper()
	keys, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, mailbox: &message.Mailbox{}, db: db, clock: clock, keys: keys, secret: map[string]string{}}
	var portal http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { portal.ServeHTTP(rw, r) }))
	t.Cleanup(srv.Close)
	w.base = srv.URL
	w.logins = login.New(db, keys, login.Options{Issuer: srv.URL + oidc.Realm})
	w.provider, err = oidc.New(db, keys, oidc.Options{Issuer: srv.URL + oidc.Realm, Provider: "550dc1c8-d97b-4b1e-ac8c-8eb4471cf9dd",
		Browser: browser.Cookie{Suffix: "_t"}, Session: session.Cookie{Suffix: "_t"}, Error: web.Wrong, LoggedOut: web.LoggedOut})
	if err != nil {
		t.Fatal(err)
	}
	if w.post, err = message.New(keys.MAC("message")); err != nil {
		t.Fatal(err)
	}
	w.activation = &phone.Activation{Keys: keys, Post: w.post, Portal: srv.URL, AnyHour: true}
	site, err := web.New(web.Deps{DB: db, Keys: keys, Logins: w.logins, Provider: w.provider, Activation: w.activation}, web.Options{
		Portal: srv.URL, App: "https://app.example", Issuer: srv.URL + oidc.Realm, Support: "0 809 40 00 82",
		Browser: browser.Cookie{Suffix: "_t"}, Session: session.Cookie{Suffix: "_t"}})
	if err != nil {
		t.Fatal(err)
	}
	portal = site.Portal()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go site.Run(ctx)
	if _, err := directory.Load(t.Context(), db, directory.Demo()); err != nil {
		t.Fatal(err)
	}
	for id, s := range map[string]oidc.Service{
		"vaccin": {ID: "vaccin", Name: "Vaccin AmeliPRO", RedirectURIs: []string{callback}, LogoutURIs: []string{"https://vaccin.example/"}},
		"sidep":  {ID: "sidep", Name: "SI-DEP", RedirectURIs: []string{"https://sidep.example/callback"}},
	} {
		s.NoPKCE = true
		w.write(func(ctx context.Context, tx *store.Tx) (err error) {
			_, w.secret[id], err = oidc.AddService(ctx, tx, s, "operator:test")
			return err
		})
	}
	w.phone = w.activate(anne)
	return w
}

func (w *world) write(f func(ctx context.Context, tx *store.Tx) error) {
	w.Helper()
	if err := w.db.Write(w.Context(), func(tx *store.Tx) error { return f(w.Context(), tx) }); err != nil {
		w.Fatal(err)
	}
}

// letters delivers what waits and returns the letters of a channel, oldest first.
func (w *world) letters(channel message.Channel) []message.Received {
	w.Helper()
	if _, err := w.activation.DecideAsks(w.Context(), w.db); err != nil {
		w.Fatal(err)
	}
	if _, err := w.post.Deliver(w.Context(), w.db, message.Options{Senders: message.Senders{message.SMS: w.mailbox, message.Email: w.mailbox}}); err != nil {
		w.Fatal(err)
	}
	return slices.DeleteFunc(w.mailbox.List(), func(l message.Received) bool { return l.Channel != channel })
}

// --- A phone ---------------------------------------------------------------

// handset is a phone with its keys, and the PIN that its holder knows.
type handset struct {
	w      *world
	key    *ecdsa.PrivateKey
	id     string
	secret []byte
	epoch  string
	calls  int
}

// activate gives the professional a phone, without the road of activation.
func (w *world) activate(id directory.ID) *handset {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	h := &handset{w: w, key: key, secret: make([]byte, 32), epoch: base64.RawURLEncoding.EncodeToString(make([]byte, 32))}
	if h.id, err = phone.Thumbprint(&key.PublicKey); err != nil {
		w.Fatal(err)
	}
	jwk, err := jose.JSONWebKey{Key: &key.PublicKey}.MarshalJSON()
	if err != nil {
		w.Fatal(err)
	}
	w.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO phones (id, professional, jwk, pin, epoch, master, moves_by, name, model, system, app, mode, created, ends, last_use,
				endpoint, p256dh, auth, silent, misses, missed, slept, departed, disabled, disabled_why, removed)
			VALUES ($1, $2, $3, $4, $5, $6, 0, 'Téléphone', '', '', '', 'codes', $7, $8, $7, '', $4, $4, FALSE, 0, 0, 0, 0, 0, '', 0)`,
			h.id, string(id), string(jwk), []byte{}, h.epoch, w.keys.MasterVersion(), store.Millis(tx.Now), store.Millis(tx.Now.AddDate(3, 0, 0)))
		return err
	})
	e, pinKey := h.evaluate("choosing", pin, func(c phone.Call) (phone.Evaluation, phone.Verdict, error) {
		return phone.Evaluate(w.Context(), w.db, w.keys, c, func(context.Context, *store.Tx) error { return nil })
	})
	w.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE phones SET pin = $1, misses = 0 WHERE id = $2`, []byte(pinKey.Public().(ed25519.PublicKey)), h.id)
		if err == nil {
			_, err = tx.Exec(ctx, `DELETE FROM evaluations WHERE id = $1`, e.ID)
		}
		return err
	})
	return h
}

func (h *handset) evaluate(purpose, pin string, call func(phone.Call) (phone.Evaluation, phone.Verdict, error)) (phone.Evaluation, ed25519.PrivateKey) {
	h.w.Helper()
	b, err := phone.Blind(pin, h.secret, h.epoch)
	if err != nil {
		h.w.Fatal(err)
	}
	h.calls++
	e, v, err := call(phone.Call{Phone: h.id, Purpose: purpose, Element: b.Element, Proof: phone.Proof{Thumbprint: h.id, Hash: h.id + strconv.Itoa(h.calls)}})
	if err != nil || v.Outcome != phone.OK {
		h.w.Fatalf("evaluating: %v, %v", v.Outcome, err)
	}
	key, err := b.Key(e.Element)
	if err != nil {
		h.w.Fatal(err)
	}
	return e, key
}

// do runs f with the phone as the server knows it.
func (h *handset) do(f func(ctx context.Context, tx *store.Tx, p phone.Phone) error) {
	h.w.Helper()
	h.w.write(func(ctx context.Context, tx *store.Tx) error {
		p, _, err := phone.Find(ctx, tx, h.id)
		if err != nil {
			return err
		}
		return f(ctx, tx, p)
	})
}

// types types the code of a screen and returns the request that it fetches.
func (h *handset) types(code string) login.Request {
	h.w.Helper()
	var r login.Request
	h.do(func(ctx context.Context, tx *store.Tx, p phone.Phone) (err error) {
		var v login.ClaimVerdict
		r, v, err = h.w.logins.Claim(ctx, tx, p, code)
		if err == nil && v.Result != login.Claimed {
			h.w.Fatalf("the code %q: %s", code, v.Result)
		}
		return err
	})
	return r
}

// opens opens what rang last.
func (h *handset) opens() login.Request {
	h.w.Helper()
	var r login.Request
	h.do(func(ctx context.Context, tx *store.Tx, p phone.Phone) error {
		rang, err := h.w.logins.List(ctx, tx, p)
		if err != nil {
			return err
		}
		if len(rang) == 0 {
			h.w.Fatal("nothing rang")
		}
		r, err = h.w.logins.Open(ctx, tx, p, rang[len(rang)-1].ID)
		return err
	})
	return r
}

// approves approves r with the PIN and says whether to keep the browser.
func (h *handset) approves(r login.Request, keep string) {
	h.w.Helper()
	e, key := h.evaluate(r.ID, pin, func(c phone.Call) (e phone.Evaluation, v phone.Verdict, err error) {
		var p phone.Phone
		h.do(func(_ context.Context, _ *store.Tx, found phone.Phone) error { p = found; return nil })
		return h.w.logins.Evaluate(h.w.Context(), p, r.ID, c.Element, c.Proof)
	})
	shown := sha256.Sum256([]byte(r.Shown()))
	d := phone.Document{Decision: phone.Approve, Request: r.ID, Service: r.Service, Shown: base64.RawURLEncoding.EncodeToString(shown[:]),
		Browser: r.Browser(), Keep: keep, Lane: string(r.Lane), By: r.Way, Eval: e.ID}
	if keep != "no" {
		d.Kept = r.Lasting.Thumbprint()
	}
	h.signs(d, key)
}

// answers refuses, reports or leaves r.
func (h *handset) answers(r login.Request, decision string) {
	h.w.Helper()
	h.signs(phone.Document{Decision: decision, Request: r.ID}, nil)
}

func (h *handset) signs(d phone.Document, pinKey ed25519.PrivateKey) {
	h.w.Helper()
	d.Iss, d.IATUnix = h.w.base+oidc.Realm, h.w.clock.Now().Unix()
	raw, err := phone.Sign(d, h.key, pinKey, nil)
	if err != nil {
		h.w.Fatal(err)
	}
	if d, err = phone.ParseDocument(raw, d.Iss); err != nil {
		h.w.Fatal(err)
	}
	h.w.write(func(ctx context.Context, tx *store.Tx) error {
		out, err := h.w.logins.Answer(ctx, tx, d)
		if err == nil && (out.Verdict.Outcome != phone.Right || out.Late != nil) {
			h.w.Fatalf("answering: %v, %v", out.Verdict.Outcome, out.Late)
		}
		return err
	})
}

// --- A browser ---------------------------------------------------------------

// surfer is a browser: cookies, and keys when it runs script. It stops where
// the portal sends it to a service.
type surfer struct {
	*http.Client
	w       *world
	lasting *ecdsa.PrivateKey
	request *ecdsa.PrivateKey // made for the present request
}

func (w *world) browser() *surfer {
	w.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	stop := func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), w.base) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return &surfer{Client: &http.Client{Jar: jar, CheckRedirect: stop}, w: w}
}

// scripted is a browser that runs script.
func (w *world) scripted() *surfer {
	w.Helper()
	s := w.browser()
	s.lasting, s.request = newKey(w.TB), newKey(w.TB)
	return s
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// page is an answer of the portal.
type page struct {
	t      testing.TB
	status int
	header http.Header
	body   string
	url    *url.URL // where it stands
	to     *url.URL // where it leads, out of the portal; nil when it is a page
}

func (s *surfer) do(r *http.Request) page {
	s.w.Helper()
	resp, err := s.Do(r)
	if err != nil {
		s.w.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.w.Fatal(err)
	}
	p := page{t: s.w.TB, status: resp.StatusCode, header: resp.Header, body: string(body), url: resp.Request.URL}
	if to, err := resp.Location(); err == nil {
		p.to = to
	}
	return p
}

func (s *surfer) get(address string) page {
	s.w.Helper()
	r, err := http.NewRequestWithContext(s.w.Context(), http.MethodGet, address, nil)
	if err != nil {
		s.w.Fatal(err)
	}
	return s.do(r)
}

// post sends a form of ours, as fields name, value, …
func (s *surfer) post(address string, fields ...string) page {
	s.w.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(s.w.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		s.w.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return s.do(r)
}

// comes is the service sending the browser to sign in.
func (s *surfer) comes(service string, more ...string) page {
	s.w.Helper()
	q := url.Values{"response_type": {"code"}, "client_id": {service}, "redirect_uri": {"https://" + service + ".example/callback"},
		"scope": {"openid scope_all"}, "state": {"s-1"}, "nonce": {"n-1"}, "acr_values": {"eidas1"}}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return s.get(s.w.base + "/auth?" + q.Encode())
}

// asks types a number, or clicks on a name with its ring proof.
func (s *surfer) asks(p page, number string) page {
	s.w.Helper()
	fields := []string{"national_id", number}
	if s.lasting != nil {
		fields = append(fields, "key", jwk(s.w.TB, s.request), "lasting", jwk(s.w.TB, s.lasting))
	}
	return s.post(p.form(), fields...)
}

func (s *surfer) clicks(p page, id directory.ID) page {
	s.w.Helper()
	authorization := strings.TrimPrefix(p.url.Path, "/login/")
	proof := s.sign(s.lasting, browser.Claim{Use: browser.UseRing, Request: authorization, Service: p.data("service"), Professional: string(id),
		Key: thumbprint(s.w.TB, s.request), Nonce: p.data("nonce")})
	return s.post(p.form(), "choice", string(id), "key", jwk(s.w.TB, s.request), "lasting", jwk(s.w.TB, s.lasting), "proof", proof)
}

// redeems takes what was approved, with the proof of the request's key.
func (s *surfer) redeems(p page) page {
	s.w.Helper()
	state := s.state(p)
	proof := s.sign(s.request, browser.Claim{Use: browser.UseRedeem, Request: state.Request, Service: state.Service, Nonce: state.Nonce})
	return s.post(p.form()+"/redeem", "proof", proof)
}

// joins lets one more service in, with the proof of the lasting key.
func (s *surfer) joins(p page) page {
	s.w.Helper()
	proof := s.sign(s.lasting, browser.Claim{Use: browser.UseJoin, Request: p.data("session"), Service: p.data("service"), Nonce: p.data("nonce")})
	return s.post(p.form()+"/continue", "proof", proof)
}

// state is what the page's script asks for.
type state struct {
	Status, Request, Service, Lane, Code, Name, Nonce string
	Held, Keyed                                       bool
	NeedsCode                                         bool `json:"needs_code"`
	Expires, Now, Whole                               int64
}

func (s *surfer) state(p page) state {
	s.w.Helper()
	got := s.get(p.form() + "/state")
	var st state
	if err := json.Unmarshal([]byte(got.body), &st); err != nil || got.status != http.StatusOK {
		s.w.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	return st
}

// code redeems at the token endpoint what p carries to the service.
func (w *world) tokens(service string, p page) (status int, answer map[string]any) {
	w.Helper()
	if p.to == nil || p.to.Query().Get("code") == "" {
		w.Fatalf("no code: %d %v\n%s", p.status, p.to, p.text())
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {p.to.Query().Get("code")}, "redirect_uri": {"https://" + service + ".example/callback"}}
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.base+oidc.Realm+"/protocol/openid-connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(service, w.secret[service])
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		w.Fatal(err)
	}
	return resp.StatusCode, answer
}

// greets says that the service can redeem the code.
func (w *world) greets(service string, p page) {
	w.Helper()
	if status, answer := w.tokens(service, p); status != http.StatusOK || answer["access_token"] == nil {
		w.Fatalf("%s does not greet: %d %v", service, status, answer)
	}
}

func (s *surfer) sign(key *ecdsa.PrivateKey, claim browser.Claim) string {
	s.w.Helper()
	payload, err := json.Marshal(claim)
	if err != nil {
		s.w.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType(browser.ClaimType))
	if err != nil {
		s.w.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		s.w.Fatal(err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		s.w.Fatal(err)
	}
	return compact
}

func jwk(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	b, err := jose.JSONWebKey{Key: &key.PublicKey}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func thumbprint(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	id, err := phone.Thumbprint(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// form is the address that the page's forms belong to: /login/ID.
func (p page) form() string { return p.url.Scheme + "://" + p.url.Host + p.url.Path }

// data reads data-NAME of the page.
func (p page) data(name string) string {
	p.t.Helper()
	m := regexp.MustCompile(`data-` + name + `="([^"]*)"`).FindStringSubmatch(p.body)
	if m == nil {
		p.t.Fatalf("no data-%s in\n%s", name, p.text())
	}
	return html.UnescapeString(m[1])
}

// code reads the digits in the element #code.
func (p page) code() string {
	p.t.Helper()
	m := regexp.MustCompile(`(?s)id="code"[^>]*>(.*?)</p>`).FindStringSubmatch(p.body)
	if m == nil {
		p.t.Fatalf("no #code in\n%s", p.text())
	}
	return regexp.MustCompile(`<[^>]*>`).ReplaceAllString(m[1], "")
}

// text is what a person reads.
func (p page) text() string {
	_, main, _ := strings.Cut(p.body, "<main")
	main = regexp.MustCompile(`<[^>]*>`).ReplaceAllString("<main"+main, " ")
	return strings.Join(strings.Fields(html.UnescapeString(main)), " ")
}

// says checks that the page is one of ours with this status and sentence.
func (p page) says(status int, sentence string) page {
	p.t.Helper()
	if p.status != status || !strings.Contains(p.body, html.EscapeString(sentence)) && !strings.Contains(p.body, sentence) {
		p.t.Fatalf("%s: %d, without %q:\n%s", p.url, p.status, sentence, p.text())
	}
	return p
}

// goes checks that the answer leads to the service with this parameter.
func (p page) goes(service, name, value string) page {
	p.t.Helper()
	if p.to == nil || p.to.Host != service+".example" || p.to.Query().Get("state") != "s-1" || value != "" && p.to.Query().Get(name) != value || p.to.Query().Get(name) == "" {
		p.t.Fatalf("%s: %d, leads to %v:\n%s", p.url, p.status, p.to, p.text())
	}
	return p
}

// hears returns the next event of a stream that is no beat.
func hears(t testing.TB, lines *bufio.Scanner) state {
	t.Helper()
	name := ""
	for lines.Scan() {
		if n, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = n
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && name == "message" {
			var st state
			if err := json.Unmarshal([]byte(data), &st); err != nil {
				t.Fatal(err)
			}
			return st
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return state{}
}
