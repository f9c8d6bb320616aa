package phone

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"vigie/store"
	"vigie/store/storetest"
)

func TestANonceIsGoodForFiveMinutesAndOneKey(t *testing.T) {
	n := NewNonces(fixed("nonces"))
	made := time.UnixMilli(vectorNow)
	nonce := n.Fresh(made, "a")
	for name, c := range map[string]struct {
		after time.Duration
		key   string
		nonce string
		good  bool
	}{
		"at once":              {0, "a", nonce, true},
		"at the end":           {NonceLife - time.Millisecond, "a", nonce, true},
		"too late":             {NonceLife, "a", nonce, false},
		"from a faster node":   {-5 * time.Second, "a", nonce, true},
		"from the future":      {-nonceSkew, "a", nonce, false},
		"another key":          {0, "b", nonce, false},
		"changed":              {0, "a", strings.Replace(nonce, nonce[:4], "AAAA", 1), false},
		"with a line break":    {0, "a", nonce[:8] + "\n" + nonce[8:], false},
		"empty":                {0, "a", "", false},
		"of the length of two": {0, "a", nonce + nonce, false},
	} {
		if got := n.good(made.Add(c.after), c.key, c.nonce); got != c.good {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestACallSentAgainIsTheSameCall(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db)
		d := w.newDevice()
		prove := func(body, jti string) Proof {
			t.Helper()
			now := clock.Now()
			header, err := Prove(d.key, "POST", api, []byte(body), w.nonces.Fresh(now, d.id), jti, now.Add(-100*time.Hour))
			w.ok(err)
			p, err := ParseProof(header, "POST", api, []byte(body), w.nonces, now)
			w.ok(err)
			return p
		}
		once := func(p Proof) (repeat bool, answer string) {
			w.write(func(ctx context.Context, tx *store.Tx) error {
				var first []byte
				var err error
				if repeat, first, err = Once(ctx, tx, p); err != nil || repeat {
					answer = string(first)
					return err
				}
				return Remember(ctx, tx, p, []byte("done"))
			})
			return repeat, answer
		}
		if repeat, _ := once(prove("body", "one")); repeat {
			t.Error("the first call is a repeat")
		}
		clock.Add(NonceLife) // the answer was lost, and the nonce has died
		if repeat, answer := once(prove("body", "one")); !repeat || answer != "done" {
			t.Errorf("the same call under a new nonce: repeat %v, %q", repeat, answer)
		}
		if repeat, _ := once(prove("body", "two")); repeat {
			t.Error("another call with the same body is a repeat")
		}
		if repeat, _ := once(prove("other", "one")); repeat {
			t.Error("another body under the same jti is a repeat")
		}
		d = w.newDevice()
		if repeat, _ := once(prove("body", "one")); repeat {
			t.Error("another phone's call is a repeat")
		}
		clock.Add(2 * NonceLife)
		w.ok(Tidy(t.Context(), db))
		if n := w.count(`SELECT COUNT(*) FROM phone_calls`); n != 0 {
			t.Errorf("%d calls are remembered for ever", n)
		}
	})
}

func FuzzParseProof(f *testing.F) {
	for _, v := range readVectors(f).Proofs {
		f.Add(v.Proof, v.Method, v.URL, v.Body)
	}
	nonces, now := NewNonces(fixed("nonce key")), time.UnixMilli(vectorNow)
	f.Fuzz(func(t *testing.T, header, method, url, body string) {
		p, err := ParseProof(header, method, url, []byte(body), nonces, now)
		if err != nil {
			return
		}
		// What is taken is bound to this method, address and body.
		for _, c := range []struct{ method, url, body string }{{method + "x", url, body}, {method, url + "x", body}, {method, url, body + "x"}} {
			if _, err := ParseProof(header, c.method, c.url, []byte(c.body), nonces, now); err == nil {
				t.Errorf("a proof for another call is taken: %q", c)
			}
		}
		if p.Thumbprint == "" || p.Hash == "" {
			t.Errorf("%+v", p)
		}
	})
}

func FuzzParseDocument(f *testing.F) {
	for _, v := range readVectors(f).Documents {
		f.Add([]byte(v.Document))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := ParseDocument(raw, vectorIss)
		if err != nil {
			return
		}
		if !bytes.Equal(d.Raw, raw) || d.Iss != vectorIss || len(forms[d.Decision].signers) == 0 || !thumbprintLike(d.Phone) {
			t.Errorf("%+v", d)
		}
		for _, signer := range forms[d.Decision].signers {
			if d.signatures[signer] == "" {
				t.Errorf("%s is not signed by %s", d.Decision, signer)
			}
		}
		if d.Decision == Approve && d.Keep != "no" && d.Kept == "" {
			t.Error("a browser is kept, but no key is named")
		}
	})
}

func FuzzParseElement(f *testing.F) {
	f.Add([]byte{0})
	f.Add(bin(f, readVectors(f).PINs[0].Element))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseElement(b)
		if err != nil {
			return
		}
		again, err := e.MarshalBinaryCompress()
		if err != nil || !bytes.Equal(b, again) || e.IsIdentity() {
			t.Errorf("%x reads as %x, %v", b, again, err)
		}
	})
}
