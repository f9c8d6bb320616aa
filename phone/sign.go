package phone

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What follows is the phone's side, for a phone written in Go.

// Prove makes the proof that [ParseProof] reads. jti names the call: a call that
// is sent again, because its answer was lost, keeps it.
func Prove(key *ecdsa.PrivateKey, method, url string, body []byte, nonce, jti string, now time.Time) (string, error) {
	sum := sha256.Sum256(body)
	claims := map[string]any{"jti": jti, "htm": method, "htu": url, "iat": now.Unix(), "bh": b64.EncodeToString(sum[:])}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("writing a proof: %w", err)
	}
	return signPart(payload, jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt"))
}

// Thumbprint is the id of the phone with this key.
func Thumbprint(key *ecdsa.PublicKey) (string, error) { return thumbprint(jose.JSONWebKey{Key: key}) }

// Sign makes the document that [ParseDocument] reads of the members that d's
// decision has, signed with the phone's key, with pin where the decision asks
// for it, and with newPIN where the document brings a new PIN key. V, Phone, and
// for an enrolment Key, are filled in; so is PIN where a PIN key comes new.
func Sign(d Document, key *ecdsa.PrivateKey, pin, newPIN ed25519.PrivateKey) ([]byte, error) {
	public, err := encodeKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("signing a document: %w", err)
	}
	d.V = 1
	if d.Phone, err = Thumbprint(&key.PublicKey); err != nil {
		return nil, fmt.Errorf("signing a document: %w", err)
	}
	signers := []signer{{byPhone, key}}
	if slices.Contains(forms[d.Decision].signers, byPIN) {
		signers = append(signers, signer{byPIN, pin})
	}
	switch {
	case d.Decision == Enrol:
		d.Key, d.PIN = public, b64.EncodeToString(pin.Public().(ed25519.PublicKey))
	case newPIN != nil:
		d.PIN = b64.EncodeToString(newPIN.Public().(ed25519.PublicKey))
		signers = append(signers, signer{byNewPIN, newPIN})
	}
	payload, err := d.payload()
	if err != nil {
		return nil, fmt.Errorf("signing a document: %w", err)
	}
	return signPayload(payload, signers)
}

// payload writes the members that the decision has. Those that may be missing
// are left out when empty.
func (d Document) payload() ([]byte, error) {
	f, ok := forms[d.Decision]
	if !ok {
		return nil, fmt.Errorf("unknown decision %q", d.Decision)
	}
	all, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	var values, members map[string]json.RawMessage
	if err := json.Unmarshal(all, &values); err != nil {
		return nil, err
	}
	members = map[string]json.RawMessage{}
	for _, name := range slices.Concat(common, f.members) {
		bare, optional := strings.CutSuffix(name, "?")
		value := values[bare]
		if optional && slices.Contains([]string{`""`, `0`, `null`}, string(value)) {
			continue
		}
		members[bare] = value
	}
	return json.Marshal(members)
}

type signer struct {
	kid string
	key any
}

// signPayload writes any payload as a document with these signatures.
func signPayload(payload []byte, signers []signer) ([]byte, error) {
	type signature struct {
		Protected string `json:"protected"`
		Signature string `json:"signature"`
	}
	var document struct {
		Payload    string      `json:"payload"`
		Signatures []signature `json:"signatures"`
	}
	document.Payload = b64.EncodeToString(payload)
	for _, s := range signers {
		key := jose.SigningKey{Algorithm: algorithm(s.kid), Key: jose.JSONWebKey{Key: s.key, KeyID: s.kid}}
		compact, err := signPart(payload, key, (&jose.SignerOptions{}).WithType(DocumentType))
		if err != nil {
			return nil, err
		}
		parts := strings.Split(compact, ".")
		document.Signatures = append(document.Signatures, signature{parts[0], parts[2]})
	}
	return json.Marshal(document)
}

func signPart(payload []byte, key jose.SigningKey, o *jose.SignerOptions) (string, error) {
	s, err := jose.NewSigner(key, o)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return jws.CompactSerialize()
}

func encodeKey(public *ecdsa.PublicKey) (ecKey, error) {
	point, err := public.Bytes() // 4 ‖ X ‖ Y, of 32 bytes each
	if err != nil {
		return ecKey{}, err
	}
	return ecKey{"EC", "P-256", b64.EncodeToString(point[1:33]), b64.EncodeToString(point[33:])}, nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (k ecKey) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"kty": k.kty, "crv": k.crv, "x": k.x, "y": k.y})
}
