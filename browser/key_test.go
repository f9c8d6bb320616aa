package browser_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vigie/browser"
)

type pair struct {
	private *ecdsa.PrivateKey
	key     browser.Key
}

func newPair(t *testing.T) pair {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := (&jose.JSONWebKey{Key: private.Public()}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	key, err := browser.ParseKey(string(b))
	if err != nil {
		t.Fatal(err)
	}
	return pair{private, key}
}

func (p pair) sign(t *testing.T, typ string, claim any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.private}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(claim)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := sig.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestAProofHoldsForOneDeedOnly(t *testing.T) {
	mine, other := newPair(t), newPair(t)
	want := browser.Claim{Use: browser.UseRing, Request: "r", Service: "s", Professional: "899700000017", Key: "k", Nonce: "n"}
	good := mine.sign(t, browser.ClaimType, want)
	if err := mine.key.Check(good, want); err != nil {
		t.Fatalf("a good proof is refused: %v", err)
	}
	for name, change := range map[string]func(*browser.Claim){
		"use":          func(c *browser.Claim) { c.Use = browser.UseJoin },
		"request":      func(c *browser.Claim) { c.Request = "x" },
		"service":      func(c *browser.Claim) { c.Service = "x" },
		"professional": func(c *browser.Claim) { c.Professional = "899700000025" },
		"key":          func(c *browser.Claim) { c.Key = "" },
		"nonce":        func(c *browser.Claim) { c.Nonce = "x" },
	} {
		c := want
		change(&c)
		if err := mine.key.Check(good, c); !errors.Is(err, browser.ErrProof) {
			t.Errorf("a proof of another %s is accepted: %v", name, err)
		}
	}
	if err := other.key.Check(good, want); !errors.Is(err, browser.ErrProof) {
		t.Errorf("another browser's proof is accepted: %v", err)
	}
	if err := mine.key.Check(mine.sign(t, "dpop+jwt", want), want); !errors.Is(err, browser.ErrProof) {
		t.Errorf("a signature of another type is accepted: %v", err)
	}
	if err := (browser.Key{}).Check(good, want); !errors.Is(err, browser.ErrProof) {
		t.Errorf("the zero key accepts a proof: %v", err)
	}
}

func TestANonceIsGoodForItsPageAndFiveMinutes(t *testing.T) {
	n := browser.NewNonces([]byte(strings.Repeat("k", 32)))
	at := time.UnixMilli(1_800_000_000_000)
	nonce := n.Fresh(at, "request")
	for _, c := range []struct {
		name  string
		after time.Duration
		scope string
		good  bool
	}{
		{"at once", 0, "request", true},
		{"at the end", browser.NonceLife, "request", true},
		{"too late", browser.NonceLife + time.Millisecond, "request", false},
		{"another page", 0, "other", false},
		{"another node's clock, a little behind", -time.Minute, "request", true},
		{"from the future", -time.Minute - time.Millisecond, "request", false},
	} {
		if err := n.Check(at.Add(c.after), c.scope, nonce); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := browser.NewNonces([]byte(strings.Repeat("x", 32))).Check(at, "request", nonce); err == nil {
		t.Error("a nonce under another key is accepted")
	}
}

func TestTheCookieCannotBeReadFromWhatARowKeeps(t *testing.T) {
	secret := rand.Text()
	if browser.Bind(secret, "a") == browser.Bind(secret, "b") {
		t.Error("two rows of one browser can be told to be the same browser's")
	}
	if strings.Contains(browser.Bind(secret, "a"), secret) {
		t.Error("the row shows the secret")
	}
	if first, second := browser.Bind(secret, "a"), browser.Bind(rand.Text(), "a"); first == second {
		t.Error("two browsers have the same row")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`)
	f.Add(`{"kty":"EC","crv":"P-384","x":"","y":""}`)
	f.Add(`{"kty":"oct","k":"AAAA"}`)
	f.Fuzz(func(t *testing.T, text string) {
		k, err := browser.ParseKey(text)
		if err != nil {
			return
		}
		again, err := browser.ParseKey(k.JWK())
		if err != nil || again.Thumbprint() != k.Thumbprint() {
			t.Errorf("%q does not survive its own form: %v", text, err)
		}
		var private struct{ D string }
		if json.Unmarshal([]byte(k.JWK()), &private) == nil && private.D != "" {
			t.Errorf("%q: the private half is kept", text)
		}
	})
}

func TestAPrivateKeyIsNotAPublicOne(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := (&jose.JSONWebKey{Key: private}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := browser.ParseKey(string(b)); !errors.Is(err, browser.ErrKey) {
		t.Errorf("a private key is taken: %v", err)
	}
}

func TestAgentsAreNamedAsPeopleKnowThem(t *testing.T) {
	for header, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0":                                                        "Firefox Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36 Edg/126.0":                   "Edge Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1": "Safari iOS",
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Mobile Safari/537.36":                       "Chrome Android",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15":                   "Safari macOS",
		"curl/8": " ",
	} {
		name, system := browser.Agent(header)
		if got := name + " " + system; got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}
