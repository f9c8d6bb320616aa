package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"go/ast"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"vigie/phone"
	"vigie/stage"
	"vigie/store"
	"vigie/store/storetest"
)

// A jwk is a key of a browser or of a phone that is none yet.
type jwk struct {
	private *ecdsa.PrivateKey
	public  string
}

func newJWK(t testing.TB) jwk {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := (&jose.JSONWebKey{Key: key.Public()}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return jwk{key, string(b)}
}

// app is where the portal says that the phone API is.
func (w *world) app(t testing.TB) string {
	t.Helper()
	out := httptest.NewRecorder()
	w.server.Site.Portal().ServeHTTP(out, httptest.NewRequest(http.MethodGet, "/.well-known/vigie", nil))
	var found struct{ Phone string }
	if err := json.Unmarshal(out.Body.Bytes(), &found); err != nil {
		t.Fatal(err)
	}
	return found.Phone
}

// come has a new browser come from a service: its cookie and its authorization.
func come(t testing.TB, h http.Handler, s *stage.Service) (cookie *http.Cookie, authorization string) {
	t.Helper()
	q := url.Values{"response_type": {"code"}, "client_id": {s.ID}, "redirect_uri": {s.RedirectURI()}, "scope": {"openid scope_all"}, "acr_values": {"eidas1"},
		"state": {"s"}, "nonce": {"n"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}}
	out := httptest.NewRecorder()
	h.ServeHTTP(out, httptest.NewRequest(http.MethodGet, "/auth?"+q.Encode(), nil))
	cookies := out.Result().Cookies()
	authorization, found := strings.CutPrefix(out.Header().Get("Location"), "/login/")
	if !found || len(cookies) != 1 {
		t.Fatalf("coming from the service: %d to %q", out.Code, out.Header().Get("Location"))
	}
	return cookies[0], authorization
}

// form is a form that a page of ours sends.
func form(path string, values url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

// proven is a call to the phone API, proven by key.
func (w *world) proven(t testing.TB, base string, key jwk, method, path string, body []byte) *http.Request {
	t.Helper()
	thumbprint, err := phone.Thumbprint(&key.private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	nonce := phone.NewNonces(w.server.Keys.MAC("phone nonce")).Fresh(w.clock.Now(), thumbprint)
	proof, err := phone.Prove(key.private, method, base+path, body, nonce, rand.Text(), w.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.Header.Set("DPoP", proof)
	r.Header.Set("Content-Type", "application/json")
	return r
}

// Whatever a phone, or a program that says it is one, proves and sends: it is
// answered in JSON, and the trouble is never ours.
func FuzzPhoneCalls(f *testing.F) {
	clock := storetest.NewClock()
	w := newWorld(f, storetest.Open(f, store.Options{Clock: clock.Now}), clock)
	h, key, base := w.server.Site.App(), newJWK(f), w.app(f)
	paths := []string{"/phone/nonce", "/phone/codes", "/phone/tickets", "/phone/epochs", "/phone/epochs/evaluate", "/phone/activations", "/phone/claims", "/phone/undo"}
	for i, body := range []string{"", `{"national_id":"899700000017","mobile":"+33639980001","email":"anne.martin@example.test"}`,
		`{"national_id":"899700000017","sms":"12345678","email":"1234 5678"}`, `{"ticket":"T"}`, `{"epoch":"E","element":"AgME"}`,
		`{"document":"{\"payload\":\"e30\",\"signatures\":[]}"}`, `{"code":"482 913"}`, `{"document":null}`} {
		f.Add(uint8(i), []byte(body))
	}
	f.Add(uint8(1), []byte(`{"national_id":{},"mobile":[1e999],"email":"\ud800"}`))
	f.Add(uint8(3), []byte(`{"change":true,"ticket":"both"}`))
	f.Fuzz(func(t *testing.T, path uint8, body []byte) {
		out := httptest.NewRecorder()
		h.ServeHTTP(out, w.proven(t, base, key, http.MethodPost, paths[int(path)%len(paths)], body))
		if out.Code >= 500 || out.Body.Len() > 0 && !json.Valid(out.Body.Bytes()) {
			t.Errorf("%s %q is answered %d: %s", paths[int(path)%len(paths)], body, out.Code, out.Body)
		}
	})
}

func TestEveryPackageThatParsesIsFuzzed(t *testing.T) {
	parses, fuzzed := map[string]string{}, map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			f, is := d.(*ast.FuncDecl)
			switch {
			case !is:
			case strings.HasSuffix(s.path, "_test.go"):
				fuzzed[s.pkg] = fuzzed[s.pkg] || strings.HasPrefix(f.Name.Name, "Fuzz")
			case strings.HasPrefix(strings.ToLower(f.Name.Name), "parse") && !s.test && s.pkg != "stage": // whose stories are ours
				parses[s.pkg] = f.Name.Name
			}
		}
	}
	for pkg, name := range parses {
		if !fuzzed[pkg] {
			t.Errorf("%s.%s has no fuzz test in its package", pkg, name)
		}
	}
}
