package phone

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"
)

// The OPRF is RFC 9497 in mode OPRF (0x00) with the suite P256-SHA256. Both
// halves stand here: what the server computes, and what a phone puts in and
// makes of the result. docs/phone-protocol.md says the same in words, with
// vectors.

// ErrElement says that what should be evaluated is no element of the group, in
// its one compressed form of 33 bytes, other than the identity. It is not
// counted.
var ErrElement = errors.New("not an element that can be evaluated")

// The labels of the two derivations.
const (
	oprfLabel = "vigie oprf v1"
	pinLabel  = "vigie pin key v1"
)

// ElementSize is the length of a compressed element, in bytes.
const ElementSize = 33

func parseElement(b []byte) (group.Element, error) {
	if len(b) != ElementSize || b[0] != 2 && b[0] != 3 {
		return nil, ErrElement
	}
	e := group.P256.NewElement()
	if err := e.UnmarshalBinary(b); err != nil || e.IsIdentity() {
		return nil, ErrElement
	}
	return e, nil
}

// oprfKey is the key of one phone, epoch and version of the master secret: RFC
// 9497 §3.2.1 with seed = HKDF-SHA256(master, no salt, oprfLabel) and info =
// the 32 bytes of the phone's thumbprint ‖ the 32 bytes of the epoch.
func oprfKey(master []byte, phone, epoch string) (*oprf.PrivateKey, error) {
	p, err := unb64n(phone, 32)
	if err != nil {
		return nil, fmt.Errorf("phone id: %w", err)
	}
	e, err := unb64n(epoch, 32)
	if err != nil {
		return nil, fmt.Errorf("epoch: %w", err)
	}
	seed, err := hkdf.Key(sha256.New, master, nil, oprfLabel, 32)
	if err != nil {
		return nil, err
	}
	return oprf.DeriveKey(oprf.SuiteP256, oprf.BaseMode, seed, append(p, e...))
}

// evaluate is BlindEvaluate of RFC 9497 §3.3.1.
func evaluate(master []byte, phone, epoch string, element []byte) ([]byte, error) {
	e, err := parseElement(element)
	if err != nil {
		return nil, err
	}
	key, err := oprfKey(master, phone, epoch)
	if err != nil {
		return nil, err
	}
	out, err := oprf.NewServer(oprf.SuiteP256, key).Evaluate(&oprf.EvaluationRequest{Elements: []oprf.Blinded{e}})
	if err != nil {
		return nil, err
	}
	return out.Elements[0].MarshalBinaryCompress()
}

// SecretSize is the length of the secret that a phone draws at activation and
// never sends, in bytes.
const SecretSize = 32

// A Blinding is a PIN on its way through the server's evaluation. It stays in
// memory: with it and the answer the PIN could be tested.
type Blinding struct {
	Element []byte // what the server evaluates

	data *oprf.FinalizeData
}

// Blind prepares a PIN for evaluation. The input of the OPRF is 68 bytes: the
// PIN's four ASCII digits ‖ the phone's secret ‖ the epoch.
func Blind(pin string, secret []byte, epoch string) (*Blinding, error) {
	input, err := pinInput(pin, secret, epoch)
	if err != nil {
		return nil, err
	}
	return blind(oprf.NewClient(oprf.SuiteP256).Blind([][]byte{input}))
}

func pinInput(pin string, secret []byte, epoch string) ([]byte, error) {
	if len(pin) != 4 || strings.Trim(pin, "0123456789") != "" {
		return nil, errors.New("a PIN is four digits")
	}
	if len(secret) != SecretSize {
		return nil, fmt.Errorf("the phone's secret has %d bytes", len(secret))
	}
	e, err := unb64n(epoch, 32)
	if err != nil {
		return nil, fmt.Errorf("epoch: %w", err)
	}
	return append(append([]byte(pin), secret...), e...), nil
}

func blind(data *oprf.FinalizeData, req *oprf.EvaluationRequest, err error) (*Blinding, error) {
	if err != nil {
		return nil, fmt.Errorf("blinding the PIN: %w", err)
	}
	b := &Blinding{data: data}
	if b.Element, err = req.Elements[0].MarshalBinaryCompress(); err != nil {
		return nil, fmt.Errorf("blinding the PIN: %w", err)
	}
	return b, nil
}

// Key makes the PIN key of what the server answered: Ed25519 with seed =
// HKDF-SHA256(the OPRF's output, no salt, pinLabel). A wrong PIN makes another
// key; nothing here can tell.
func (b *Blinding) Key(evaluated []byte) (ed25519.PrivateKey, error) {
	e, err := parseElement(evaluated)
	if err != nil {
		return nil, err
	}
	out, err := oprf.NewClient(oprf.SuiteP256).Finalize(b.data, &oprf.Evaluation{Elements: []oprf.Evaluated{e}})
	if err != nil {
		return nil, fmt.Errorf("finalizing the PIN: %w", err)
	}
	return pinKey(out[0])
}

func pinKey(output []byte) (ed25519.PrivateKey, error) {
	seed, err := hkdf.Key(sha256.New, output, nil, pinLabel, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}
