package browser

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Key is the public half of a P-256 key that a browser made with WebCrypto.
type Key struct {
	jwk        jose.JSONWebKey
	thumbprint string
}

// ErrKey says that a text is not a public P-256 key in JWK form (RFC 7517).
var ErrKey = errors.New("not a public P-256 key in JWK form")

// ErrProof says that a browser's proof does not hold: another key, another
// deed, or too old.
var ErrProof = errors.New("the browser's proof does not hold")

const maxKey, maxProof = 512, 2048 // bytes

// ParseKey reads a public P-256 key in JWK form.
func ParseKey(text string) (Key, error) {
	if len(text) > maxKey {
		return Key{}, ErrKey
	}
	var k jose.JSONWebKey
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	pub, ok := k.Key.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() || !k.Valid() {
		return Key{}, ErrKey
	}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return Key{jwk: jose.JSONWebKey{Key: pub}, thumbprint: base64.RawURLEncoding.EncodeToString(sum)}, nil
}

// Thumbprint is the RFC 7638 thumbprint, or "" of the zero Key.
func (k Key) Thumbprint() string { return k.thumbprint }

// JWK is the key in the form that ParseKey reads, or "" of the zero Key.
func (k Key) JWK() string {
	if k.thumbprint == "" {
		return ""
	}
	b, err := k.jwk.MarshalJSON()
	if err != nil {
		return ""
	}
	return string(b)
}

// Claim is what a browser signs: one deed, for one request.
type Claim struct {
	Use          string `json:"use"`          // UseRing, UseRedeem or UseJoin
	Request      string `json:"request"`      // the authorization (ring), the request (redeem) or the session (join)
	Service      string `json:"service"`      // the service's id
	Professional string `json:"professional"` // ring: for whom; else ""
	Key          string `json:"key"`          // ring: thumbprint of the key made for this request; else ""
	Nonce        string `json:"nonce"`        // of the page
}

// The deeds that a browser proves.
const (
	UseRing   = "ring"   // by the lasting key: let this professional's phone ring
	UseRedeem = "redeem" // by the request's key: take what was approved
	UseJoin   = "join"   // by the lasting key: let a service join the session
)

// ClaimType is the JOSE typ of a browser's proof.
const ClaimType = "vigie-browser+jws"

// Check verifies that proof is a compact JWS (RFC 7515 §7.1) by k over exactly
// want. The nonce is compared like everything else; that it is ours and fresh
// is for Nonces.Check.
func (k Key) Check(proof string, want Claim) error {
	got, err := k.open(proof)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%w: it proves another deed", ErrProof)
	}
	return nil
}

// CheckFresh is Check for a claim whose nonce is the browser's to say: any
// nonce of ours for scope that is still good.
func (k Key) CheckFresh(proof string, want Claim, nonces Nonces, now time.Time, scope string) error {
	got, err := k.open(proof)
	if err != nil {
		return err
	}
	want.Nonce = got.Nonce
	if got != want {
		return fmt.Errorf("%w: it proves another deed", ErrProof)
	}
	return nonces.Check(now, scope, got.Nonce)
}

func (k Key) open(proof string) (Claim, error) {
	if k.thumbprint == "" || len(proof) > maxProof {
		return Claim{}, ErrProof
	}
	sig, err := jose.ParseSignedCompact(proof, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return Claim{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if typ, _ := sig.Signatures[0].Protected.ExtraHeaders[jose.HeaderType].(string); typ != ClaimType {
		return Claim{}, fmt.Errorf("%w: its type is not %s", ErrProof, ClaimType)
	}
	payload, err := sig.Verify(k.jwk)
	if err != nil {
		return Claim{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	var c Claim
	if err := json.Unmarshal(payload, &c); err != nil {
		return Claim{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	return c, nil
}

// Nonces makes and checks the nonces of pages: a MAC over time and what the
// page is about, so that nothing is stored. A nonce is good for NonceLife.
type Nonces struct{ key []byte }

// NonceLife is how long a page's nonce is good. A waiting page gets new ones.
const NonceLife = 5 * time.Minute

// NewNonces takes a key of 32 bytes.
func NewNonces(key []byte) Nonces { return Nonces{key: key} }

// Fresh returns a nonce for scope at now.
func (n Nonces) Fresh(now time.Time, scope string) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	return base64.RawURLEncoding.EncodeToString(append(b, n.mac(b, scope)...))
}

// Check refuses a nonce that is not ours for scope, or older than NonceLife.
func (n Nonces) Check(now time.Time, scope, nonce string) error {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != 8+16 || subtle.ConstantTimeCompare(n.mac(b[:8], scope), b[8:]) != 1 {
		return fmt.Errorf("%w: the nonce is not ours", ErrProof)
	}
	age := now.UnixMilli() - int64(binary.BigEndian.Uint64(b))
	// Nodes' clocks differ a little: a nonce from a minute ahead is still ours.
	if age > NonceLife.Milliseconds() || age < -time.Minute.Milliseconds() {
		return fmt.Errorf("%w: the page is too old", ErrProof)
	}
	return nil
}

func (n Nonces) mac(at []byte, scope string) []byte {
	m := hmac.New(sha256.New, n.key)
	m.Write(at)
	m.Write([]byte(scope))
	return m.Sum(nil)[:16]
}
