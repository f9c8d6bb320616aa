package phone

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"vigie/store"
)

// ErrDocument says that a document is not one that this phone could have signed
// for this decision. Nothing was changed.
var ErrDocument = errors.New("not a valid document")

// Limits of a document.
const (
	DocumentType   = "vigie+jws"
	DocumentClock  = 10 * time.Minute // by which iat may be away from our clock
	maxDocument    = 16 << 10         // bytes
	maxIdentifier  = 64
	maxDescription = 100
)

// The decisions that a phone can sign.
const (
	Approve   = "approve"    // a request
	Refuse    = "refuse"     // a request
	Report    = "report"     // refuse, and say that somebody else asked
	Leave     = "leave"      // quit a request without judging it
	Undo      = "undo"       // an approval
	Enrol     = "enrol"      // this phone
	ChangePIN = "change-pin" // of this phone
	Silence   = "silence"    // ring no more, or again
	GoToSleep = "sleep"      // this phone
	WakeUp    = "wake"       // this phone
	RemoveOne = "remove"     // another phone of the same professional
	Unfreeze  = "unfreeze"   // the professional's account
)

// Who signs a document: the kid of each signature's protected header.
const (
	byPhone  = "phone"   // ES256, the phone key
	byPIN    = "pin"     // EdDSA, the key made of the PIN
	byNewPIN = "new-pin" // EdDSA, the PIN key that this document brings
)

// A form is what the document of one decision holds, beside v, iss, phone,
// decision and iat.
type form struct {
	members []string // those that end in "?" may be missing
	signers []string
}

// common are the members of every document.
var common = []string{"v", "iss", "phone", "decision", "iat"}

var forms = map[string]form{
	Approve: {[]string{"request", "service", "shown", "browser", "keep", "kept", "lane", "by", "binding", "relay", "eval", "pin?", "master?"},
		[]string{byPhone, byPIN}}, // and byNewPIN where pin and master are there
	Refuse: {[]string{"request", "service?"}, []string{byPhone}},
	Report: {[]string{"request", "service?"}, []string{byPhone}},
	Leave:  {[]string{"request", "service?"}, []string{byPhone}},
	Undo:   {[]string{"request"}, []string{byPhone}},
	Enrol: {[]string{"ticket", "key", "pin", "epoch", "eval", "name", "model", "system", "app", "subscription?"},
		[]string{byPhone, byPIN}},
	ChangePIN: {[]string{"eval", "epoch", "pin"}, []string{byPhone, byPIN, byNewPIN}},
	Silence:   {[]string{"silent"}, []string{byPhone}},
	GoToSleep: {nil, []string{byPhone}},
	WakeUp:    {[]string{"eval"}, []string{byPhone, byPIN}},
	RemoveOne: {[]string{"eval", "target"}, []string{byPhone, byPIN}},
	Unfreeze:  {[]string{"eval"}, []string{byPhone, byPIN}},
}

// A Document is what a phone decided: a JWS in general JSON serialization (RFC
// 7515 §7.2.1) with one signature for each of its signers. Fields that the
// decision does not have are zero.
type Document struct {
	V        int    `json:"v"`
	Iss      string `json:"iss"`
	Phone    string `json:"phone"`
	Decision string `json:"decision"`
	IATUnix  int64  `json:"iat"` // seconds

	Request string `json:"request"` // approve, refuse, report, leave, undo
	Service string `json:"service"` // approve; the others may say it: a notification does not know it
	Shown   string `json:"shown"`   // SHA-256 of what the screen said
	Browser string `json:"browser"` // thumbprint of the request's key, or SHA-256 of the cookie's secret
	Keep    string `json:"keep"`    // mine, shared or no
	Kept    string `json:"kept"`    // thumbprint of the browser's lasting key, or empty
	Lane    string `json:"lane"`    // ring or silent
	By      string `json:"by"`      // ring, scan, code, link, start or binding
	Binding string `json:"binding"` // two digits, or empty
	Relay   string `json:"relay"`   // empty: the question was not asked; "no": answered no
	Eval    string `json:"eval"`    // id of the evaluation that made the PIN's signature

	PIN    string `json:"pin"`    // a new PIN key, Ed25519, base64url
	Master int    `json:"master"` // approve: the newer version of the master secret that it belongs to
	Epoch  string `json:"epoch"`

	Ticket       string               `json:"ticket"` // enrol
	Key          ecKey                `json:"key"`
	Name         string               `json:"name"`
	Model        string               `json:"model"`
	System       string               `json:"system"`
	App          string               `json:"app"`
	Subscription *WrittenSubscription `json:"subscription"`

	Silent bool   `json:"silent"` // silence
	Target string `json:"target"` // remove: the other phone

	Raw        []byte            `json:"-"` // the whole document, as it came: the evidence
	signatures map[string]string // signer → JWS in compact serialization
}

// IAT is when the phone signed, by its own clock.
func (d Document) IAT() time.Time { return time.Unix(d.IATUnix, 0).UTC() }

// A WrittenSubscription is a push subscription as PushSubscription.toJSON()
// writes it, flat and without expirationTime. Nothing of it is judged yet.
type WrittenSubscription struct {
	Endpoint string `json:"endpoint"`
	P256dh   string `json:"p256dh"`
	Auth     string `json:"auth"`
}

// UnmarshalJSON accepts the three members and no other.
func (s *WrittenSubscription) UnmarshalJSON(b []byte) error {
	type plain WrittenSubscription
	return decode(b, (*plain)(s), "endpoint", "p256dh", "auth")
}

// ParseDocument reads a document that was made for the issuer iss: its shape,
// its decision, and that every signature which the decision asks for is there
// and no other. No signature is checked: that is for [CheckPhone] and
// [CheckApproval]. The error is [ErrDocument].
func ParseDocument(raw []byte, iss string) (Document, error) {
	d, err := parseDocument(raw, iss)
	if err != nil {
		return Document{}, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	return d, nil
}

func parseDocument(raw []byte, iss string) (Document, error) {
	if len(raw) > maxDocument {
		return Document{}, fmt.Errorf("%d bytes", len(raw))
	}
	var outer struct {
		Payload    string            `json:"payload"`
		Signatures []json.RawMessage `json:"signatures"`
	}
	if err := decode(raw, &outer, "payload", "signatures"); err != nil {
		return Document{}, err
	}
	payload, err := unb64(outer.Payload)
	if err != nil {
		return Document{}, err
	}
	// What the decision is comes first: it says which members there must be.
	var members map[string]json.RawMessage
	var decision string
	if err := json.Unmarshal(payload, &members); err != nil {
		return Document{}, err
	}
	if err := json.Unmarshal(members["decision"], &decision); err != nil {
		return Document{}, fmt.Errorf("decision: %w", err)
	}
	f, ok := forms[decision]
	if !ok {
		return Document{}, fmt.Errorf("unknown decision %.40q", decision)
	}
	var d Document
	if err := decode(payload, &d, slices.Concat(f.members, common)...); err != nil {
		return Document{}, err
	}
	if d.V != 1 || d.Iss != iss || !thumbprintLike(d.Phone) {
		return Document{}, fmt.Errorf("it is for version %d, issuer %.200q, phone %.60q", d.V, d.Iss, d.Phone)
	}
	if err := d.check(); err != nil {
		return Document{}, err
	}
	signers := f.signers
	if d.Decision == Approve && d.PIN != "" {
		signers = []string{byPhone, byPIN, byNewPIN}
	}
	if d.signatures, err = parseSignatures(outer.Payload, outer.Signatures, signers); err != nil {
		return Document{}, err
	}
	d.Raw = slices.Clone(raw)
	return d, nil
}

// parseSignatures reads the signatures of a document, exactly one by each of
// signers, each under its own algorithm.
func parseSignatures(payload string, raw []json.RawMessage, signers []string) (map[string]string, error) {
	if len(raw) != len(signers) {
		return nil, fmt.Errorf("%d signatures instead of %d", len(raw), len(signers))
	}
	found := make(map[string]string, len(raw))
	for _, r := range raw {
		var s struct {
			Protected string `json:"protected"`
			Signature string `json:"signature"`
		}
		if err := decode(r, &s, "protected", "signature"); err != nil {
			return nil, fmt.Errorf("signature: %w", err)
		}
		var head struct {
			Typ string `json:"typ"`
			Alg string `json:"alg"`
			Kid string `json:"kid"`
		}
		if err := decodePart(s.Protected, &head, "typ", "alg", "kid"); err != nil {
			return nil, fmt.Errorf("protected header: %w", err)
		}
		if head.Typ != DocumentType || head.Alg != string(algorithm(head.Kid)) || !slices.Contains(signers, head.Kid) || found[head.Kid] != "" {
			return nil, fmt.Errorf("signature with typ %.20q, alg %.20q, kid %.20q", head.Typ, head.Alg, head.Kid)
		}
		if _, err := unb64n(s.Signature, 64); err != nil {
			return nil, fmt.Errorf("signature by %s: %w", head.Kid, err)
		}
		found[head.Kid] = s.Protected + "." + payload + "." + s.Signature
	}
	return found, nil
}

func algorithm(signer string) jose.SignatureAlgorithm {
	if signer == byPhone {
		return jose.ES256
	}
	return jose.EdDSA
}

// check judges each value by itself and, where two must agree, both.
func (d Document) check() error {
	for name, value := range map[string]string{"request": d.Request, "service": d.Service, "eval": d.Eval, "ticket": d.Ticket} {
		if len(value) > maxIdentifier || strings.ContainsFunc(value, notPrintable) {
			return fmt.Errorf("%s is no identifier", name)
		}
	}
	for name, value := range map[string]string{"name": d.Name, "model": d.Model, "system": d.System, "app": d.App} {
		if len(value) > maxDescription || strings.ContainsFunc(value, unicode.IsControl) {
			return fmt.Errorf("%s is too long or has control characters", name)
		}
	}
	for name, value := range map[string]string{"shown": d.Shown, "browser": d.Browser, "kept": d.Kept, "pin": d.PIN, "epoch": d.Epoch, "target": d.Target} {
		if value != "" && !thumbprintLike(value) {
			return fmt.Errorf("%s is not 32 bytes in base64url", name)
		}
	}
	f := forms[d.Decision]
	has := func(member string) bool { return slices.Contains(f.members, member) }
	if has("request") && d.Request == "" || has("eval") && d.Eval == "" || has("pin") && d.PIN == "" || has("epoch") && d.Epoch == "" || has("target") && d.Target == "" {
		return errors.New("a member is empty")
	}
	switch d.Decision {
	case Approve:
		return d.checkApprove()
	case Enrol:
		if d.Ticket == "" || strings.TrimSpace(d.Name) == "" {
			return errors.New("ticket or name is empty")
		}
		key, err := d.Key.parse()
		if err != nil {
			return err
		}
		if t, err := thumbprint(key); err != nil || t != d.Phone {
			return errors.New("key is not that of phone")
		}
	}
	return nil
}

func (d Document) checkApprove() error {
	for _, c := range []struct {
		name, value string
		allowed     []string
	}{
		{"keep", d.Keep, []string{"mine", "shared", "no"}},
		{"lane", d.Lane, []string{"ring", "silent"}},
		{"by", d.By, []string{"ring", "scan", "code", "link", "start", "binding"}},
		{"relay", d.Relay, []string{"", "no"}},
	} {
		if !slices.Contains(c.allowed, c.value) {
			return fmt.Errorf("%s is %.20q", c.name, c.value)
		}
	}
	switch {
	case d.Service == "" || d.Shown == "" || d.Browser == "":
		return errors.New("service, shown or browser is empty")
	case d.Keep != "no" && d.Kept == "":
		return errors.New("a browser is kept, but no key is named")
	case d.Binding != "" && (len(d.Binding) != 2 || strings.Trim(d.Binding, "0123456789") != ""):
		return errors.New("binding is not two digits")
	case (d.PIN == "") != (d.Master == 0) || d.Master < 0:
		return errors.New("pin and master go together")
	}
	return nil
}

func thumbprintLike(s string) bool {
	_, err := unb64n(s, 32)
	return err == nil
}

func notPrintable(r rune) bool { return r <= ' ' || r > '~' }

// verify tells whether the signature by signer is good under key.
func (d Document) verify(signer string, key any) bool {
	jws, err := jose.ParseSignedCompact(d.signatures[signer], []jose.SignatureAlgorithm{algorithm(signer)})
	if err != nil {
		return false
	}
	_, err = jws.Verify(key)
	return err == nil
}

// newPIN is the PIN key that the document brings, once its holder has signed the
// document with it as signer.
func (d Document) newPIN(signer string) (ed25519.PublicKey, error) {
	b, err := unb64n(d.PIN, ed25519.PublicKeySize)
	if err != nil {
		return nil, fmt.Errorf("%w: pin: %w", ErrDocument, err)
	}
	key := ed25519.PublicKey(b)
	if !d.verify(signer, key) {
		return nil, fmt.Errorf("%w: the new PIN key did not sign it", ErrDocument)
	}
	return key, nil
}

// CheckPhone tells who signed d: the phone that it names. It checks the phone's
// own signature and that iat is within [DocumentClock] of now; whoever moves a
// request checks that iat lies in its life.
//
// That is enough to refuse, report, leave, undo, silence and sleep. The phone
// comes back in whatever state it is; a removed one may only undo, for
// [UndoAfter]. The error is [ErrDocument].
func CheckPhone(ctx context.Context, tx *store.Tx, d Document) (Phone, error) {
	p, ok, err := Find(ctx, tx, d.Phone)
	if err != nil {
		return Phone{}, err
	}
	if !ok {
		return Phone{}, fmt.Errorf("%w: unknown phone", ErrDocument)
	}
	if away := tx.Now.Sub(d.IAT()); away > DocumentClock || away < -DocumentClock {
		return Phone{}, fmt.Errorf("%w: signed at %s", ErrDocument, d.IAT().Format(time.RFC3339))
	}
	if !p.Removed.IsZero() && (d.Decision != Undo || tx.Now.Sub(p.Removed) > UndoAfter) {
		return Phone{}, fmt.Errorf("%w: the phone was removed", ErrDocument)
	}
	key, err := parseJWK(p.jwk)
	if err != nil {
		return Phone{}, fmt.Errorf("reading the key of phone %s: %w", p.ID, err)
	}
	if !d.verify(byPhone, key.Key) {
		return Phone{}, fmt.Errorf("%w: the phone did not sign it", ErrDocument)
	}
	return p, nil
}

func parseJWK(jwk string) (jose.JSONWebKey, error) {
	var k ecKey
	if err := json.Unmarshal([]byte(jwk), &k); err != nil {
		return jose.JSONWebKey{}, err
	}
	return k.parse()
}
