package oidc

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/luikyv/go-oidc/pkg/goidc"

	"vigie/secrets"
)

// algorithms are those that our keys sign with.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}

// jwks is every key to publish: the current ones first, then the next ones, then
// the retired ones, so that services which keep a copy know a key before it
// signs and after.
func (p *Provider) jwks(context.Context) (goidc.JSONWebKeySet, error) {
	var set goidc.JSONWebKeySet
	keys := p.keys.SigningKeys()
	for _, want := range []func(secrets.SigningKey) bool{
		func(k secrets.SigningKey) bool { return k.Current },
		func(k secrets.SigningKey) bool { return !k.Current && !k.Retired },
		func(k secrets.SigningKey) bool { return k.Retired },
	} {
		for _, k := range keys {
			if want(k) {
				set.Keys = append(set.Keys, jose.JSONWebKey{KeyID: k.ID, Algorithm: k.Alg, Use: "sig", Key: k.Private.Public()})
			}
		}
	}
	return set, nil
}

// serveKeys answers the JWKS.
func (p *Provider) serveKeys(w http.ResponseWriter, r *http.Request) {
	set, err := p.jwks(r.Context())
	if err != nil {
		p.unavailable(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	answer(w, http.StatusOK, set)
}

// signer finds the key that signs with alg now.
func (p *Provider) signer(_ context.Context, alg jose.SignatureAlgorithm) (string, crypto.Signer, error) {
	for _, k := range p.keys.SigningKeys() {
		if k.Current && k.Alg == string(alg) {
			if pub, ok := k.Private.Public().(*ecdsa.PublicKey); ok {
				return k.ID, rawSigner{k.Private, (pub.Params().BitSize + 7) / 8}, nil
			}
			return k.ID, k.Private, nil
		}
	}
	return "", nil, fmt.Errorf("no current key signs with %s", alg)
}

// rawSigner writes ECDSA signatures as JWS wants them, r and s side by side
// (RFC 7518 §3.4), where crypto.Signer gives their ASN.1.
type rawSigner struct {
	crypto.Signer
	size int // bytes of one number
}

func (s rawSigner) Sign(random io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	der, err := s.Signer.Sign(random, digest, o)
	if err != nil {
		return nil, err
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, fmt.Errorf("reading an ECDSA signature: %w", err)
	}
	raw := make([]byte, 2*s.size)
	sig.R.FillBytes(raw[:s.size])
	sig.S.FillBytes(raw[s.size:])
	return raw, nil
}

// joseSigner lets go-jose sign with a crypto.Signer of ours.
type joseSigner struct {
	id  string
	alg jose.SignatureAlgorithm
	key crypto.Signer
}

func (s joseSigner) Public() *jose.JSONWebKey {
	return &jose.JSONWebKey{KeyID: s.id, Algorithm: string(s.alg), Use: "sig", Key: s.key.Public()}
}

func (s joseSigner) Algs() []jose.SignatureAlgorithm { return []jose.SignatureAlgorithm{s.alg} }

func (s joseSigner) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	h := crypto.SHA256.New()
	h.Write(payload)
	return s.key.Sign(rand.Reader, h.Sum(nil), crypto.SHA256)
}

// sign makes a JWT of claims with ES256, its header naming type JWT and the key.
func (p *Provider) sign(ctx context.Context, claims any) (string, error) {
	id, key, err := p.signer(ctx, jose.ES256)
	if err != nil {
		return "", err
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: joseSigner{id, jose.ES256, key}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	return jwt.Signed(s).Claims(claims).Serialize()
}

var errToken = errors.New("not a token of ours")

// verify reads into claims a JWT that one of our published keys signed, of this
// issuer and with this typ claim. It looks at no time.
func (p *Provider) verify(ctx context.Context, token, typ string, claims any) error {
	t, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(t.Headers) != 1 {
		return errToken
	}
	set, err := p.jwks(ctx)
	if err != nil {
		return err
	}
	key, err := set.Key(t.Headers[0].KeyID)
	if err != nil || key.Algorithm != t.Headers[0].Algorithm {
		return errToken
	}
	var head struct {
		Issuer string `json:"iss"`
		Type   string `json:"typ"`
	}
	if err := t.Claims(key.Key, &head, claims); err != nil || head.Issuer != p.o.Issuer || head.Type != typ {
		return errToken
	}
	return nil
}
