package phone

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vigie/store"
)

// Limits of a proof.
const (
	NonceLife = 5 * time.Minute  // for which a nonce is good
	nonceSkew = 10 * time.Second // by which the clock of another node may be ahead of ours
	maxProof  = 2048             // bytes of a proof
	maxJTI    = 64
)

// What [ParseProof] answers to a call that a phone did not prove.
var (
	ErrProof = errors.New("not a proof of this call")
	ErrNonce = errors.New("the proof's nonce is missing or too old") // answer with a fresh one: nothing else is wrong
)

// Nonces makes and checks the nonces of proofs (RFC 9449 §8). They are kept
// nowhere: a nonce is a time and a MAC over that time and the thumbprint of the
// key that may use it, so every node that has the key knows every nonce.
type Nonces struct{ key []byte }

// NewNonces returns the nonces under key, 32 bytes that all nodes share.
func NewNonces(key []byte) Nonces { return Nonces{key} }

// Fresh returns a nonce for the key with this thumbprint, good for [NonceLife].
func (n Nonces) Fresh(now time.Time, thumbprint string) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	return b64.EncodeToString(append(b, n.mac(b, thumbprint)...))
}

func (n Nonces) good(now time.Time, thumbprint, nonce string) bool {
	b, err := unb64n(nonce, 24)
	if err != nil || !hmac.Equal(b[8:], n.mac(b[:8], thumbprint)) {
		return false
	}
	made := time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
	return now.Sub(made) < NonceLife && made.Sub(now) < nonceSkew
}

func (n Nonces) mac(when []byte, thumbprint string) []byte {
	h := hmac.New(sha256.New, n.key)
	h.Write([]byte("vigie phone nonce v1\x00"))
	h.Write(when)
	h.Write([]byte(thumbprint))
	return h.Sum(nil)[:16]
}

// A Proof is a call that the holder of a phone key signed. The key need not be
// that of an activated phone.
type Proof struct {
	Thumbprint string // RFC 7638, of the key: the phone's id
	Key        jose.JSONWebKey
	Hash       string // names the call: the same for a repeat, whatever its nonce
}

// ParseProof reads the proof of one call in the form of RFC 9449 §4.2: a JWS in
// compact serialization, typ "dpop+jwt", ES256, with the public key in its
// header and the claims jti, htm, htu, iat, nonce and, of ours, bh: the SHA-256
// of the body in base64url, so that the signature covers the whole call. Nothing
// else may stand in it.
//
// url is the address that the phone called, without query, as it knows it.
// iat is read and not judged: a wrong clock refuses nobody whose nonce is fresh.
//
// The error is [ErrProof], or [ErrNonce] when only the nonce is wrong; then the
// Proof holds Thumbprint and Key, for which a fresh one can be made.
func ParseProof(header, method, url string, body []byte, n Nonces, now time.Time) (Proof, error) {
	if len(header) > maxProof {
		return Proof{}, fmt.Errorf("%w: %d bytes", ErrProof, len(header))
	}
	protected, rest, _ := strings.Cut(header, ".")
	payload, _, _ := strings.Cut(rest, ".")

	var head struct {
		Typ string `json:"typ"`
		Alg string `json:"alg"`
		JWK ecKey  `json:"jwk"`
	}
	if err := decodePart(protected, &head, "typ", "alg", "jwk"); err != nil {
		return Proof{}, fmt.Errorf("%w: header: %w", ErrProof, err)
	}
	if head.Typ != "dpop+jwt" || head.Alg != string(jose.ES256) {
		return Proof{}, fmt.Errorf("%w: typ %q, alg %q", ErrProof, head.Typ, head.Alg)
	}
	key, err := head.JWK.parse()
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	var claims struct {
		JTI   string `json:"jti"`
		HTM   string `json:"htm"`
		HTU   string `json:"htu"`
		IAT   int64  `json:"iat"`
		Nonce string `json:"nonce"`
		BH    string `json:"bh"`
	}
	if err := decodePart(payload, &claims, "jti", "htm", "htu", "iat", "bh", "nonce?"); err != nil {
		return Proof{}, fmt.Errorf("%w: claims: %w", ErrProof, err)
	}
	sum := sha256.Sum256(body)
	switch {
	case claims.JTI == "" || len(claims.JTI) > maxJTI:
		return Proof{}, fmt.Errorf("%w: jti of %d bytes", ErrProof, len(claims.JTI))
	case claims.HTM != method || claims.HTU != url:
		return Proof{}, fmt.Errorf("%w: it is for %.8q %.200q", ErrProof, claims.HTM, claims.HTU)
	case claims.BH != b64.EncodeToString(sum[:]):
		return Proof{}, fmt.Errorf("%w: it is for another body", ErrProof)
	}
	jws, err := jose.ParseSignedCompact(header, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if _, err := jws.Verify(key); err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	p := Proof{Key: key}
	if p.Thumbprint, err = thumbprint(key); err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if !n.good(now, p.Thumbprint, claims.Nonce) {
		return p, ErrNonce
	}
	p.Hash = hash("call", p.Thumbprint, claims.JTI, method, url, claims.BH)
	return p, nil
}

// ecKey is a public P-256 key as a JWK (RFC 7518 §6.2.1) with no member more.
type ecKey struct{ kty, crv, x, y string }

func (k *ecKey) UnmarshalJSON(b []byte) error {
	var m struct {
		Kty string `json:"kty"`
		Crv string `json:"crv"`
		X   string `json:"x"`
		Y   string `json:"y"`
	}
	if err := decode(b, &m, "kty", "crv", "x", "y"); err != nil {
		return err
	}
	*k = ecKey{m.Kty, m.Crv, m.X, m.Y}
	return nil
}

func (k ecKey) parse() (jose.JSONWebKey, error) {
	if k.kty != "EC" || k.crv != "P-256" {
		return jose.JSONWebKey{}, fmt.Errorf("key of type %.8q %.8q", k.kty, k.crv)
	}
	x, err := unb64n(k.x, 32)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("key: x: %w", err)
	}
	y, err := unb64n(k.y, 32)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("key: y: %w", err)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("key: %w", err)
	}
	return jose.JSONWebKey{Key: public}, nil
}

// thumbprint is RFC 7638 §3, in base64url.
func thumbprint(key jose.JSONWebKey) (string, error) {
	t, err := key.Thumbprint(crypto.SHA256)
	return b64.EncodeToString(t), err
}

// hash is the SHA-256 of parts, each of which is told from its neighbours, in
// base64url. use keeps hashes of different things apart.
func hash(use string, parts ...string) string {
	h := sha256.New()
	for _, part := range append([]string{use}, parts...) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		h.Write([]byte(part))
	}
	return b64.EncodeToString(h.Sum(nil))
}

// Once tells whether the call was made before, and what it was answered then.
// Whoever changes something for a phone asks first, in the transaction of the
// change, and ends it with [Remember].
func Once(ctx context.Context, tx *store.Tx, p Proof) (repeat bool, first []byte, err error) {
	err = tx.QueryRow(ctx, `SELECT answer FROM phone_calls WHERE hash = $1`, p.Hash).Scan(&first)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, fmt.Errorf("looking for an earlier call: %w", err)
	}
	return true, first, nil
}

// Remember keeps the answer of a call for twice the life of its nonce, so that a
// phone that did not hear it may ask again under a new nonce, with the same jti.
func Remember(ctx context.Context, tx *store.Tx, p Proof, answer []byte) error {
	if answer == nil {
		answer = []byte{}
	}
	_, err := tx.Exec(ctx, `INSERT INTO phone_calls (hash, dies, answer) VALUES ($1, $2, $3)`, p.Hash, store.Millis(tx.Now.Add(2*NonceLife)), answer)
	if err != nil {
		return fmt.Errorf("remembering a call: %w", err)
	}
	return nil
}
