package push

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"strings"
	"testing"
)

// The example of RFC 8291 §5 and appendix A.
const (
	rfcText    = "When I grow up, I want to be a watermelon"
	rfcOnce    = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
	rfcPhone   = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
	rfcP256dh  = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
	rfcAuth    = "BTBZMqHH6r4Tts7J_aSIgg"
	rfcSalt    = "DGv6ra1nlYgDCS1FRnbzlw"
	rfcMessage = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)

func raw(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rfcReceiver(t testing.TB) Receiver {
	key, err := ecdh.P256().NewPrivateKey(raw(t, rfcPhone))
	if err != nil {
		t.Fatal(err)
	}
	return Receiver{key, raw(t, rfcAuth)}
}

func TestMessagesAreThoseOfRFC8291(t *testing.T) {
	once, err := ecdh.P256().NewPrivateKey(raw(t, rfcOnce))
	if err != nil {
		t.Fatal(err)
	}
	to := Subscription{P256dh: raw(t, rfcP256dh), Auth: raw(t, rfcAuth)}
	body, err := encrypt(to, []byte(rfcText), len(rfcText)+1, once, raw(t, rfcSalt))
	if err != nil || base64.RawURLEncoding.EncodeToString(body) != rfcMessage {
		t.Errorf("encrypted to %x, %v", body, err)
	}
	r := rfcReceiver(t)
	if s := r.Subscription("x"); !bytes.Equal(s.P256dh, to.P256dh) || !bytes.Equal(s.Auth, to.Auth) {
		t.Errorf("the receiver's keys are %v", s)
	}
	text, err := r.Decrypt(raw(t, rfcMessage))
	if err != nil || string(text) != rfcText {
		t.Errorf("decrypted to %q, %v", text, err)
	}
}

func TestTheLengthSaysNothing(t *testing.T) {
	r, err := NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]bool{}
	for _, payload := range []string{"", "x", "x\x00\x00", "\x02", strings.Repeat("Hôpital", 100), strings.Repeat("x", MaxPayload)} {
		for range 2 {
			body, err := Encrypt(r.Subscription("x"), []byte(payload))
			if err != nil {
				t.Fatal(err)
			}
			if len(body) != headerSize+padded+tagSize {
				t.Errorf("%d bytes become %d", len(payload), len(body))
			}
			if bodies[string(body[:headerSize])] {
				t.Error("a salt or key came twice")
			}
			bodies[string(body[:headerSize])] = true
			if text, err := r.Decrypt(body); err != nil || string(text) != payload {
				t.Errorf("%q became %q, %v", payload, text, err)
			}
		}
	}
	if _, err := Encrypt(r.Subscription("x"), make([]byte, MaxPayload+1)); err == nil {
		t.Error("a message too long is taken")
	}
}

func TestAForeignOrDamagedMessageIsRefused(t *testing.T) {
	r := rfcReceiver(t)
	good := raw(t, rfcMessage)
	for i := range good {
		if i >= saltSize && i < saltSize+4 {
			continue // the record size is not sealed; one that fits is as good as another
		}
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := r.Decrypt(bad); err == nil {
			t.Errorf("byte %d changed and nobody noticed", i)
		}
	}
	for n := range good {
		if _, err := r.Decrypt(good[:n]); err == nil {
			t.Errorf("cut at %d and nobody noticed", n)
		}
	}
	other, err := NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Decrypt(good); err == nil {
		t.Error("another phone reads it")
	}
	small := bytes.Clone(good)
	copy(small[saltSize:], []byte{0, 0, 0, 18})
	if _, err := r.Decrypt(small); err == nil {
		t.Error("a record longer than the record size is taken")
	}
}

func FuzzDecrypt(f *testing.F) {
	r := rfcReceiver(f)
	f.Add(raw(f, rfcMessage))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		if text, err := r.Decrypt(body); err == nil && len(text) >= len(body) {
			t.Fatal("more came out than went in")
		}
	})
}

func BenchmarkEncrypt(b *testing.B) {
	r := rfcReceiver(b)
	to := r.Subscription("x")
	payload := []byte(`{"request":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","service":"Vaccin AmeliPRO","seconds":60}`)
	for b.Loop() {
		if _, err := Encrypt(to, payload); err != nil {
			b.Fatal(err)
		}
	}
}
