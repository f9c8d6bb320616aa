package secrets

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// rsaBits is the size of RS256 keys.
const rsaBits = 2048

// newKey draws a signing key.
func newKey(alg string, st state, notBefore time.Time) (signing, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = errUnknownAlg
	}
	if err != nil {
		return signing{}, fmt.Errorf("drawing a key for %s: %w", alg, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return signing{}, fmt.Errorf("drawing a key for %s: %w", alg, err)
	}
	k := signing{Alg: alg, State: st, NotBefore: notBefore, Key: der}
	return k, k.parse()
}

var errUnknownAlg = errors.New("the algorithm is neither RS256 nor ES256")

// parse fills in what follows from Key, and checks that it suits Alg.
func (k *signing) parse() error {
	parsed, err := x509.ParsePKCS8PrivateKey(k.Key)
	if err != nil {
		return err
	}
	switch p := parsed.(type) {
	case *rsa.PrivateKey:
		if k.Alg != RS256 || p.N.BitLen() < rsaBits {
			return fmt.Errorf("an RSA key of %d bits does not serve for %s", p.N.BitLen(), k.Alg)
		}
		k.private = p
	case *ecdsa.PrivateKey:
		if k.Alg != ES256 || p.Curve != elliptic.P256() {
			return fmt.Errorf("an elliptic key on %s does not serve for %s", p.Curve.Params().Name, k.Alg)
		}
		k.private = p
	default:
		return errUnknownAlg
	}
	k.id, err = thumbprint(k.private.Public())
	return err
}

// thumbprint is the JWK thumbprint of a public key (RFC 7638 §3, SHA-256).
func thumbprint(public crypto.PublicKey) (string, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	var jwk string // required members only, in the order of their names
	switch p := public.(type) {
	case *rsa.PublicKey:
		jwk = fmt.Sprintf(`{"e":"%s","kty":"RSA","n":"%s"}`, b64(big.NewInt(int64(p.E)).Bytes()), b64(p.N.Bytes()))
	case *ecdsa.PublicKey:
		point, err := p.Bytes() // 4 ‖ X ‖ Y, of 32 bytes each
		if err != nil {
			return "", err
		}
		jwk = fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, b64(point[1:33]), b64(point[33:]))
	default:
		return "", errUnknownAlg
	}
	sum := sha256.Sum256([]byte(jwk))
	return b64(sum[:]), nil
}
