package oidc_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	foreign "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"vigie/browser"
	"vigie/directory"
	"vigie/oidc"
	"vigie/secrets"
	"vigie/session"
	"vigie/store"
	"vigie/store/storetest"
)

// The actors: Dr Anne Martin of the documents, a colleague, and the UUID of the
// example.
const (
	anne         = directory.ID("899700000017")
	providerUUID = "550dc1c8-d97b-4b1e-ac8c-8eb4471cf9dd"
	callback     = "https://vaccin.example/callback"
	goodbye      = "https://vaccin.example/goodbye"
)

func karim() directory.ID { return directory.Demo()[1].ID }

// generated are keys that tests share: making RSA keys takes a while.
var generated = sync.OnceValues(secrets.Generate)

// A world is a portal with nothing but the protocol: whoever comes to /login/ID
// is the professional that the test says.
type world struct {
	*testing.T
	db      *store.DB
	clock   *storetest.Clock
	keys    *secrets.Secrets
	p       *oidc.Provider
	base    string
	issuer  string
	service oidc.Service
	secret  string
	foreign *foreign.Provider // a client that others wrote

	who         directory.ID // who signs in
	kind        session.Kind
	provisional bool
	mu          sync.Mutex
	fails       error // what Finish answered last
}

func eachWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) { f(newWorld(t, db, clock)) })
}

func newWorld(t *testing.T, db *store.DB, clock *storetest.Clock) *world {
	t.Helper()
	keys, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	return newWorldOf(t, db, clock, keys)
}

// newWorldOf is a world with keys of its own.
func newWorldOf(t *testing.T, db *store.DB, clock *storetest.Clock, keys *secrets.Secrets) *world {
	t.Helper()
	w := &world{T: t, db: db, clock: clock, keys: keys, who: anne, kind: session.Mine}
	var h http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { h.ServeHTTP(rw, r) }))
	t.Cleanup(srv.Close)
	w.base, w.issuer = srv.URL, srv.URL+oidc.Realm
	var err error
	w.p, err = oidc.New(db, keys, oidc.Options{Issuer: w.issuer, Provider: providerUUID,
		Browser: browser.Cookie{Suffix: "_t"}, Session: session.Cookie{Suffix: "_t"}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/auth", w.p.Handler())
	mux.Handle("/auth/", w.p.Handler())
	mux.HandleFunc("GET /login/{id}", w.login)
	mux.HandleFunc("GET /logout/{token}", func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, "really?") })
	mux.HandleFunc("POST /logout/{token}", func(rw http.ResponseWriter, r *http.Request) {
		if err := w.p.ConfirmLogout(rw, r, r.PathValue("token")); err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
		}
	})
	h = mux
	if _, err := directory.Load(t.Context(), db, directory.Demo()); err != nil {
		t.Fatal(err)
	}
	w.service, w.secret = w.add(oidc.Service{ID: "vaccin", Name: "Vaccin AmeliPRO"})
	w.foreign, err = foreign.NewProvider(t.Context(), w.issuer)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// add registers a service, with addresses where it names none.
func (w *world) add(s oidc.Service) (oidc.Service, string) {
	w.Helper()
	if s.RedirectURIs == nil {
		s.RedirectURIs = []string{callback}
	}
	if s.LogoutURIs == nil {
		s.LogoutURIs = []string{goodbye}
	}
	var secret string
	w.write(func(ctx context.Context, tx *store.Tx) (err error) {
		s, secret, err = oidc.AddService(ctx, tx, s, "operator:test")
		return err
	})
	return s, secret
}

func (w *world) write(f func(ctx context.Context, tx *store.Tx) error) {
	w.Helper()
	if err := w.db.Write(w.Context(), func(tx *store.Tx) error { return f(w.Context(), tx) }); err != nil {
		w.Fatal(err)
	}
}

// login is the portal's page of an authorization: here everybody is at once who
// they say.
func (w *world) login(rw http.ResponseWriter, r *http.Request) {
	err := w.p.Finish(rw, r, r.PathValue("id"), func(ctx context.Context, tx *store.Tx, a oidc.Authorization) (session.Session, error) {
		if a.Session != "" {
			s, _, err := session.Renew(ctx, tx, a.Session)
			return s, err
		}
		if s, ok, err := session.Current(ctx, tx, session.Cookie{Suffix: "_t"}.Secret(r)); err != nil || (ok && s.Professional == w.who && a.Accepts(s)) {
			return s, err
		}
		s, _, err := session.Open(ctx, tx, session.New{Professional: w.who, Kind: w.kind, Means: session.Mobile, Provisional: w.provisional,
			Service: a.Service, Browser: "key", Request: "request", Phone: "phone", Agent: "Firefox", Address: "192.0.2.1",
			Cookie: session.Cookie{Suffix: "_t"}.Secret(r)})
		return s, err
	})
	w.mu.Lock()
	w.fails = err
	w.mu.Unlock()
	if err != nil {
		http.Error(rw, err.Error(), http.StatusConflict)
	}
}

// A surfer is a browser that stays on this side of the service.
type surfer struct {
	*http.Client
	w *world
}

func (w *world) browser() *surfer {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	return &surfer{&http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, w}
}

// goes opens address and follows redirects until they lead out of the portal or
// to stop; it returns the last address and the last answer.
func (s *surfer) goes(address, stop string) (string, *http.Response) {
	s.w.Helper()
	for range 10 {
		resp, err := s.Get(address)
		if err != nil {
			s.w.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if resp.Body.Close(); err != nil {
			s.w.Fatal(err)
		}
		resp.Body = io.NopCloser(strings.NewReader(string(body)))
		to, err := resp.Location()
		if err != nil {
			return address, resp
		}
		address = to.String()
		if !strings.HasPrefix(address, s.w.base) || (stop != "" && strings.HasPrefix(to.Path, stop)) {
			return address, resp
		}
	}
	s.w.Fatalf("redirects without end: %s", address)
	return "", nil
}

// oauth is how the foreign client knows a service.
func (w *world) oauth(s oidc.Service, secret string) *oauth2.Config {
	return &oauth2.Config{ClientID: s.ID, ClientSecret: secret, Endpoint: w.foreign.Endpoint(), RedirectURL: s.RedirectURIs[0],
		Scopes: []string{"openid", "scope_all"}}
}

func (w *world) conf() *oauth2.Config { return w.oauth(w.service, w.secret) }

// ask is the address that the service sends the browser to.
func (w *world) ask(verifier string, more ...string) string {
	opts := []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("acr_values", "eidas1"), oauth2.SetAuthURLParam("nonce", "n-1"), oauth2.S256ChallengeOption(verifier)}
	for i := 0; i < len(more); i += 2 {
		opts = append(opts, oauth2.SetAuthURLParam(more[i], more[i+1]))
	}
	return w.conf().AuthCodeURL("st-1", opts...)
}

// code signs in and returns the code with which the browser comes back.
func (w *world) code(b *surfer, verifier string, more ...string) string {
	w.Helper()
	address, resp := b.goes(w.ask(verifier, more...), "")
	u, err := url.Parse(address)
	if err != nil {
		w.Fatal(err)
	}
	q := u.Query()
	if !strings.HasPrefix(address, callback) || q.Get("code") == "" {
		w.Fatalf("the browser ends at %s (%d) after %v", address, resp.StatusCode, w.fails)
	}
	if q.Get("state") != "st-1" || q.Get("iss") != w.issuer {
		w.Errorf("callback %s: state and iss are not those of this sign-in", address)
	}
	return q.Get("code")
}

const verifier = "0123456789-0123456789-0123456789-0123456789"

// tokens signs in and returns what the token endpoint answers.
func (w *world) tokens(b *surfer) map[string]any {
	w.Helper()
	status, answer := w.redeem(w.code(b, verifier))
	if status != http.StatusOK {
		w.Fatalf("token endpoint: %d %v", status, answer)
	}
	return answer
}

func (w *world) redeem(code string, more ...string) (int, map[string]any) {
	w.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return w.post("/protocol/openid-connect/token", form)
}

func (w *world) refresh(token string) (int, map[string]any) {
	w.Helper()
	return w.post("/protocol/openid-connect/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func (w *world) introspect(token string) map[string]any {
	w.Helper()
	status, answer := w.post("/protocol/openid-connect/token/introspect", url.Values{"token": {token}})
	if status != http.StatusOK {
		w.Fatalf("introspection: %d %v", status, answer)
	}
	return answer
}

// post calls a door as the service does, by Basic authentication.
func (w *world) post(path string, form url.Values) (int, map[string]any) {
	w.Helper()
	return w.postAs(w.service.ID, w.secret, path, form)
}

func (w *world) postAs(id, secret, path string, form url.Values) (int, map[string]any) {
	w.Helper()
	r, err := http.NewRequest(http.MethodPost, w.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id != "" {
		r.SetBasicAuth(id, secret)
	}
	return w.do(r)
}

func (w *world) do(r *http.Request) (int, map[string]any) {
	w.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.Error(err)
		return 0, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Error(err)
	}
	answer := map[string]any{}
	if len(body) > 0 && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(body, &answer); err != nil {
			w.Errorf("answer %q: %v", body, err)
		}
	}
	return resp.StatusCode, answer
}

func (w *world) userinfo(token string) (int, map[string]any) {
	w.Helper()
	r, err := http.NewRequest(http.MethodGet, w.issuer+"/protocol/openid-connect/userinfo", nil)
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return w.do(r)
}

// verify has the foreign client check an ID token.
func (w *world) verify(raw string) *foreign.IDToken {
	w.Helper()
	t, err := w.foreign.Verifier(&foreign.Config{ClientID: w.service.ID, Now: w.clock.Now, SupportedSigningAlgs: []string{"RS256", "ES256"}}).Verify(w.Context(), raw)
	if err != nil {
		w.Fatalf("the foreign client refuses the ID token: %v", err)
	}
	return t
}

func text(t map[string]any, name string) string {
	s, _ := t[name].(string)
	return s
}

func oidcProfessional() directory.Professional {
	return directory.Professional{ID: "0123456789", CodeCivilite: "M", FamilyName: "X", GivenName: "Y"}
}
