package phone

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"
)

// vectors is testdata/vectors.json, which every implementation of
// docs/phone-protocol.md is tried against. All bytes are in base64url.
type vectors struct {
	Comment   string           `json:"comment"`
	PINs      []pinVector      `json:"pins"`
	Proofs    []proofVector    `json:"proofs"`
	Documents []documentVector `json:"documents"`
}

// pinVector is the way from a PIN to its key.
type pinVector struct {
	Name      string `json:"name"`
	PIN       string `json:"pin"`
	Secret    string `json:"secret"` // the phone's 32 bytes
	Epoch     string `json:"epoch"`
	Input     string `json:"input"`   // of the OPRF, 68 bytes
	Blind     string `json:"blind"`   // the phone's scalar, 32 bytes
	Element   string `json:"element"` // blinded: what is sent
	Master    string `json:"master"`  // the server's secret, 32 bytes
	Phone     string `json:"phone"`   // id
	Scalar    string `json:"scalar"`  // the server's key for this phone and epoch
	Evaluated string `json:"evaluated"`
	Output    string `json:"output"` // of the OPRF, 32 bytes
	Seed      string `json:"seed"`   // Ed25519
	Public    string `json:"public"`
}

// proofVector is a proof as it arrives.
type proofVector struct {
	Name       string `json:"name"`
	Proof      string `json:"proof"`
	Method     string `json:"method"`
	URL        string `json:"url"`
	Body       string `json:"body"` // the text itself
	NonceKey   string `json:"nonce_key"`
	Now        int64  `json:"now"` // Unix milliseconds
	Thumbprint string `json:"thumbprint,omitempty"`
	Why        string `json:"why,omitempty"` // "nonce" or "proof"
}

// documentVector is a document as it arrives, with the keys that should have
// signed it.
type documentVector struct {
	Name     string          `json:"name"`
	Document string          `json:"document"` // the text itself
	Iss      string          `json:"iss"`
	Phone    json.RawMessage `json:"phone"` // public key, JWK
	PIN      string          `json:"pin"`   // public key
	Why      string          `json:"why,omitempty"`
}

const vectorsFile = "testdata/vectors.json"

func readVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVectors(t *testing.T) {
	if *update {
		b, err := json.MarshalIndent(makeVectors(t), "", " ")
		if err == nil {
			err = os.WriteFile(vectorsFile, append(b, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	v := readVectors(t)
	if len(v.PINs) == 0 || len(v.Proofs) == 0 || len(v.Documents) == 0 {
		t.Fatal("there are none")
	}
	for _, p := range v.PINs {
		t.Run("pins/"+p.Name, func(t *testing.T) {
			if made := makePIN(t, p.Name, p.PIN, bin(t, p.Secret), p.Epoch, bin(t, p.Blind), bin(t, p.Master), p.Phone); made != p {
				t.Errorf("\nmade %+v\nfile %+v", made, p)
			}
		})
	}
	for _, p := range v.Proofs {
		t.Run("proofs/"+p.Name, func(t *testing.T) {
			proof, err := ParseProof(p.Proof, p.Method, p.URL, []byte(p.Body), NewNonces(bin(t, p.NonceKey)), time.UnixMilli(p.Now))
			switch {
			case strings.HasPrefix(p.Name, "good_"):
				if err != nil || proof.Thumbprint != p.Thumbprint || proof.Hash == "" {
					t.Errorf("%+v, %v", proof, err)
				}
			case p.Why == "nonce":
				if !errors.Is(err, ErrNonce) || errors.Is(err, ErrProof) || proof.Thumbprint != p.Thumbprint {
					t.Errorf("%+v, %v", proof, err)
				}
			default:
				if !errors.Is(err, ErrProof) || errors.Is(err, ErrNonce) {
					t.Errorf("%+v, %v", proof, err)
				}
			}
		})
	}
	for _, d := range v.Documents {
		t.Run("documents/"+d.Name, func(t *testing.T) {
			err := d.check(t)
			if good := strings.HasPrefix(d.Name, "good_"); good != (err == nil) {
				t.Error(err)
			} else if !good && !errors.Is(err, ErrDocument) {
				t.Errorf("%v is no ErrDocument", err)
			}
		})
	}
}

// check reads a document and checks every signature that it should have.
func (v documentVector) check(t *testing.T) error {
	t.Helper()
	d, err := ParseDocument([]byte(v.Document), v.Iss)
	if err != nil {
		return err
	}
	key, err := parseJWK(string(v.Phone))
	if err != nil {
		t.Fatal(err)
	}
	if !d.verify(byPhone, key.Key) {
		return ErrDocument
	}
	if _, signed := d.signatures[byPIN]; signed && !d.verify(byPIN, ed25519.PublicKey(bin(t, v.PIN))) {
		return ErrDocument
	}
	if _, signed := d.signatures[byNewPIN]; signed {
		_, err = d.newPIN(byNewPIN)
	}
	return err
}

func bin(t testing.TB, s string) []byte {
	t.Helper()
	b, err := unb64(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// --- Making them ----------------------------------------------------------

// fixed is 32 bytes that look random and never change.
func fixed(name string) []byte {
	sum := sha256.Sum256([]byte("vigie vector: " + name))
	return sum[:]
}

func fixedKey(t testing.TB, name string) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), fixed(name))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func fixedPIN(name string) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(fixed(name)) }

func makePIN(t testing.TB, name, pin string, secret []byte, epoch string, scalar, master []byte, phone string) pinVector {
	t.Helper()
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	input := must(pinInput(pin, secret, epoch))
	blindScalar := group.P256.NewScalar()
	if err := blindScalar.UnmarshalBinary(scalar); err != nil {
		t.Fatal(err)
	}
	b, err := blind(oprf.NewClient(oprf.SuiteP256).DeterministicBlind([][]byte{input}, []oprf.Blind{blindScalar}))
	if err != nil {
		t.Fatal(err)
	}
	evaluated := must(evaluate(master, phone, epoch, b.Element))
	key, err := b.Key(evaluated)
	if err != nil {
		t.Fatal(err)
	}
	server, err := oprfKey(master, phone, epoch)
	if err != nil {
		t.Fatal(err)
	}
	output := must(oprf.NewServer(oprf.SuiteP256, server).FullEvaluate(input))
	return pinVector{
		Name: name, PIN: pin, Secret: b64.EncodeToString(secret), Epoch: epoch, Input: b64.EncodeToString(input), Blind: b64.EncodeToString(scalar),
		Element: b64.EncodeToString(b.Element), Master: b64.EncodeToString(master), Phone: phone, Scalar: b64.EncodeToString(must(server.MarshalBinary())),
		Evaluated: b64.EncodeToString(evaluated), Output: b64.EncodeToString(output), Seed: b64.EncodeToString(key.Seed()),
		Public: b64.EncodeToString(key.Public().(ed25519.PublicKey)),
	}
}

func makeVectors(t testing.TB) vectors {
	t.Helper()
	v := vectors{Comment: "Test vectors of docs/phone-protocol.md. good_… must be taken, refused_… must be refused. Made by go test ./phone -run Vectors -update."}
	id, err := Thumbprint(&fixedKey(t, "phone").PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	epoch := b64.EncodeToString(fixed("epoch"))
	for _, pin := range []string{"7294", "0000", "8361"} {
		v.PINs = append(v.PINs, makePIN(t, "good_"+pin, pin, fixed("secret"), epoch, fixed("blind "+pin), fixed("master"), id))
	}
	v.PINs = append(v.PINs, makePIN(t, "good_7294_other_epoch", "7294", fixed("secret"), b64.EncodeToString(fixed("epoch 2")), fixed("blind 2"), fixed("master"), id))
	v.Proofs = makeProofs(t, id)
	v.Documents = makeDocuments(t, id)
	return v
}

const (
	vectorURL = "https://app.example/phone/claims"
	vectorIss = "https://portal.example/auth/realms/esante-wallet"
	vectorNow = 1_772_438_400_000 // 2 March 2026, 08:00 UTC
)

// compact signs any header and payload, also wrong ones.
func compact(t testing.TB, key *ecdsa.PrivateKey, header, payload string) string {
	t.Helper()
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	return input + "." + b64.EncodeToString(es256(t, key, input))
}

func es256(t testing.TB, key *ecdsa.PrivateKey, input string) []byte {
	t.Helper()
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

func makeProofs(t testing.TB, id string) []proofVector {
	t.Helper()
	const body = `{"code":"482913"}`
	now := time.UnixMilli(vectorNow)
	key, stranger := fixedKey(t, "phone"), fixedKey(t, "stranger")
	nonceKey := fixed("nonce key")
	nonces := NewNonces(nonceKey)
	public, err := encodeKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	header := `{"typ":"dpop+jwt","alg":"ES256","jwk":` + string(jwk) + `}`
	claims := map[string]string{
		"jti": `"Zm9yIG9uZSBjYWxs"`, "htm": `"POST"`, "htu": `"` + vectorURL + `"`, "iat": "1772438395",
		"bh": `"` + b64.EncodeToString(sum[:]) + `"`, "nonce": `"` + nonces.Fresh(now.Add(-time.Minute), id) + `"`,
	}
	payload := func(changes ...string) string {
		own := map[string]string{}
		for name, value := range claims {
			own[name] = value
		}
		for i := 0; i < len(changes); i += 2 {
			own[changes[i]] = changes[i+1]
		}
		var parts []string
		for _, name := range []string{"jti", "htm", "htu", "iat", "bh", "nonce", "more"} {
			if own[name] != "" {
				parts = append(parts, `"`+name+`":`+own[name])
			}
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	made := func(name, proof, why string) proofVector {
		v := proofVector{Name: name, Proof: proof, Method: "POST", URL: vectorURL, Body: body, NonceKey: b64.EncodeToString(nonceKey), Now: vectorNow, Why: why}
		if why != "proof" {
			v.Thumbprint = id
		}
		return v
	}
	proof := func(payload string) string { return compact(t, key, header, payload) }
	with := func(change func(*proofVector)) proofVector {
		v := made("", proof(payload()), "proof")
		change(&v)
		return v
	}
	quoted := func(s string) string { return `"` + s + `"` }
	good := proof(payload())
	parts := strings.Split(good, ".")
	list := []proofVector{
		made("good_call", good, ""),
		made("good_clock_wrong_by_years", proof(payload("iat", "1")), ""),
		made("refused_no_nonce", proof(payload("nonce", "")), "nonce"),
		made("refused_old_nonce", proof(payload("nonce", quoted(nonces.Fresh(now.Add(-NonceLife), id)))), "nonce"),
		made("refused_nonce_of_the_future", proof(payload("nonce", quoted(nonces.Fresh(now.Add(time.Minute), id)))), "nonce"),
		made("refused_nonce_of_another_key", proof(payload("nonce", quoted(nonces.Fresh(now, "another")))), "nonce"),
		made("refused_nonce_of_another_server", proof(payload("nonce", quoted(NewNonces(fixed("x")).Fresh(now, id)))), "nonce"),
		made("refused_unknown_claim", proof(payload("more", "1")), "proof"),
		made("refused_claim_twice", proof(`{"htm":"POST",`+payload()[1:]), "proof"),
		made("refused_null_claim", proof(payload("jti", "null")), "proof"),
		made("refused_empty_jti", proof(payload("jti", `""`)), "proof"),
		made("refused_long_jti", proof(payload("jti", quoted(strings.Repeat("x", 65)))), "proof"),
		made("refused_no_jti", proof(payload("jti", "")), "proof"),
		made("refused_no_body_hash", proof(payload("bh", "")), "proof"),
		made("refused_iat_no_number", proof(payload("iat", `"1772438395"`)), "proof"),
		made("refused_typ", compact(t, key, strings.Replace(header, "dpop+jwt", "jwt", 1), payload()), "proof"),
		made("refused_alg", compact(t, key, strings.Replace(header, "ES256", "ES384", 1), payload()), "proof"),
		made("refused_alg_none", b64.EncodeToString([]byte(strings.Replace(header, "ES256", "none", 1)))+"."+parts[1]+".", "proof"),
		made("refused_unknown_header", compact(t, key, strings.Replace(header, `{"typ"`, `{"kid":"x","typ"`, 1), payload()), "proof"),
		made("refused_private_key_inside", compact(t, key, strings.Replace(header, `"x":`, `"d":"AA","x":`, 1), payload()), "proof"),
		made("refused_key_not_on_the_curve", compact(t, key, strings.Replace(header, public.y, b64.EncodeToString(fixed("y")), 1), payload()), "proof"),
		made("refused_signed_by_another_key", compact(t, stranger, header, payload()), "proof"),
		made("refused_signature_short", good[:len(good)-4], "proof"),
		made("refused_two_parts", parts[0]+"."+parts[1], "proof"),
		made("refused_padding", parts[0]+"=."+parts[1]+"."+parts[2], "proof"),
		made("refused_empty", "", "proof"),
	}
	return append(list,
		with(func(v *proofVector) { v.Name, v.Method = "refused_other_method", "PUT" }),
		with(func(v *proofVector) { v.Name, v.URL = "refused_other_url", "https://evil.example/phone/claims" }),
		with(func(v *proofVector) { v.Name, v.URL = "refused_url_with_query", vectorURL+"?x" }),
		with(func(v *proofVector) { v.Name, v.Body = "refused_other_body", `{"code":"482914"}` }),
	)
}

func makeDocuments(t testing.TB, id string) []documentVector {
	t.Helper()
	key, stranger := fixedKey(t, "phone"), fixedKey(t, "stranger")
	pin, newPIN, other := fixedPIN("pin"), fixedPIN("new pin"), fixedPIN("other pin")
	public, err := encodeKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	hashOf := func(s string) string { return b64.EncodeToString(fixed(s)) }
	sign := func(d Document, newer ed25519.PrivateKey) string {
		d.Iss, d.IATUnix = vectorIss, vectorNow/1000
		raw, err := Sign(d, key, pin, newer)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	approve := Document{
		Decision: Approve, Request: "REQUEST7KQ2", Service: "vaccin-amelipro", Shown: hashOf("shown"), Browser: hashOf("browser"), Keep: "mine", Kept: hashOf("kept"),
		Lane: "silent", By: "code", Eval: "EVALUATION5XW",
	}
	moved := approve
	moved.Master = 2
	enrol := Document{
		Decision: Enrol, Ticket: "TICKET3NB", Epoch: hashOf("epoch"), Eval: "EVALUATION5XW", Name: "Téléphone d'Anne", Model: "Pixel 8", System: "Android 15", App: "1.0",
		Subscription: &WrittenSubscription{"https://push.example/abc", "BPublic", "auth"},
	}
	made := func(name, document, why string) documentVector {
		return documentVector{name, document, vectorIss, jwk, b64.EncodeToString(pin.Public().(ed25519.PublicKey)), why}
	}
	list := []documentVector{
		made("good_approve", sign(approve, nil), ""),
		made("good_approve_moving_to_a_new_master_secret", sign(moved, newPIN), ""),
		made("good_refuse", sign(Document{Decision: Refuse, Request: "REQUEST7KQ2"}, nil), ""),
		made("good_refuse_naming_the_service", sign(Document{Decision: Refuse, Request: "REQUEST7KQ2", Service: "vaccin-amelipro"}, nil), ""),
		made("good_report", sign(Document{Decision: Report, Request: "REQUEST7KQ2"}, nil), ""),
		made("good_leave", sign(Document{Decision: Leave, Request: "REQUEST7KQ2"}, nil), ""),
		made("good_undo", sign(Document{Decision: Undo, Request: "REQUEST7KQ2"}, nil), ""),
		made("good_enrol", sign(enrol, nil), ""),
		made("good_change_pin", sign(Document{Decision: ChangePIN, Eval: "EVALUATION5XW", Epoch: hashOf("epoch 2")}, newPIN), ""),
		made("good_silence", sign(Document{Decision: Silence, Silent: true}, nil), ""),
		made("good_sleep", sign(Document{Decision: GoToSleep}, nil), ""),
		made("good_wake", sign(Document{Decision: WakeUp, Eval: "EVALUATION5XW"}, nil), ""),
		made("good_remove", sign(Document{Decision: RemoveOne, Eval: "EVALUATION5XW", Target: hashOf("other phone")}, nil), ""),
		made("good_unfreeze", sign(Document{Decision: Unfreeze, Eval: "EVALUATION5XW"}, nil), ""),
	}

	// What is wrong with the payload of an approval, signed by the right keys.
	payload, err := func() ([]byte, error) {
		d := approve
		d.V, d.Iss, d.Phone, d.IATUnix = 1, vectorIss, id, vectorNow/1000
		return d.payload()
	}()
	if err != nil {
		t.Fatal(err)
	}
	both := []signer{{byPhone, key}, {byPIN, pin}}
	raw := func(payload string, signers ...signer) string {
		b, err := signPayload([]byte(payload), signers)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range []struct{ name, old, new string }{
		{"unknown_member", `{`, `{"more":"",`},
		{"member_twice", `{`, `{"request":"REQUEST7KQ2",`},
		{"member_in_another_case", `"request"`, `"Request"`},
		{"member_missing", `"relay":"",`, ``},
		{"member_null", `"relay":""`, `"relay":null`},
		{"member_of_another_decision", `{`, `{"ticket":"TICKET3NB",`},
		{"unknown_decision", `"decision":"approve"`, `"decision":"give"`},
		{"no_decision", `"decision":"approve",`, ``},
		{"version", `"v":1`, `"v":2`},
		{"version_as_text", `"v":1`, `"v":"1"`},
		{"other_issuer", vectorIss, "https://evil.example"},
		{"phone_no_thumbprint", id, "phone"},
		{"iat_as_text", `"iat":1772438400`, `"iat":"1772438400"`},
		{"iat_with_fraction", `"iat":1772438400`, `"iat":1772438400.5`},
		{"empty_request", `"REQUEST7KQ2"`, `""`},
		{"request_with_space", `"REQUEST7KQ2"`, `"REQUEST 7KQ2"`},
		{"empty_eval", `"EVALUATION5XW"`, `""`},
		{"empty_browser", hashOf("browser"), ``},
		{"keep_without_kept", hashOf("kept"), ``},
		{"keep_unknown", `"keep":"mine"`, `"keep":"always"`},
		{"lane_unknown", `"lane":"silent"`, `"lane":"loud"`},
		{"by_unknown", `"by":"code"`, `"by":"guess"`},
		{"binding_three_digits", `"binding":""`, `"binding":"123"`},
		{"relay_yes", `"relay":""`, `"relay":"yes"`},
		{"master_without_pin", `{`, `{"master":2,`},
		{"pin_without_master", `{`, `{"pin":"` + hashOf("x") + `",`},
		{"not_an_object", string(payload), `[]`},
		{"not_json", string(payload), `approve`},
	} {
		changed := strings.Replace(string(payload), c.old, c.new, 1)
		if changed == string(payload) {
			t.Fatalf("%s changes nothing", c.name)
		}
		list = append(list, made("refused_"+c.name, raw(changed, both...), "payload"))
	}

	// What is wrong with the signatures.
	good := sign(approve, nil)
	replaced := func(name, old, new string) documentVector {
		changed := strings.Replace(good, old, new, 1)
		if changed == good {
			t.Fatalf("%s changes nothing", name)
		}
		return made(name, changed, "signatures")
	}
	enc := base64.RawURLEncoding.EncodeToString
	head := func(alg, kid, typ string) string {
		return enc([]byte(`{"alg":"` + alg + `","kid":"` + kid + `","typ":"` + typ + `"}`))
	}
	list = append(list,
		made("refused_phone_alone", raw(string(payload), signer{byPhone, key}), "signatures"),
		made("refused_pin_alone", raw(string(payload), signer{byPIN, pin}), "signatures"),
		made("refused_phone_twice", raw(string(payload), signer{byPhone, key}, signer{byPhone, key}), "signatures"),
		made("refused_new_pin_uncalled_for", raw(string(payload), signer{byPhone, key}, signer{byPIN, pin}, signer{byNewPIN, newPIN}), "signatures"),
		made("refused_new_pin_for_pin", raw(string(payload), signer{byPhone, key}, signer{byNewPIN, pin}), "signatures"),
		made("refused_pin_of_another", raw(string(payload), signer{byPhone, key}, signer{byPIN, other}), "signatures"),
		made("refused_another_phone", raw(string(payload), signer{byPhone, stranger}, signer{byPIN, pin}), "signatures"),
		made("refused_refusal_with_a_pin", raw(`{"v":1,"iss":"`+vectorIss+`","phone":"`+id+`","decision":"refuse","request":"R","iat":1}`, both...), "signatures"),
		replaced("refused_payload_changed", `"payload":"ey`, `"payload":"fy`),
		replaced("refused_unprotected_header", `{"protected"`, `{"header":{"kid":"x"},"protected"`),
		replaced("refused_outer_member", `{"payload"`, `{"more":1,"payload"`),
		replaced("refused_payload_twice", `{"payload"`, `{"payload":"","payload"`),
		replaced("refused_line_break_in_base64url", `"payload":"ey`, `"payload":"e\ny`),
		replaced("refused_other_typ", head("ES256", "phone", DocumentType), head("ES256", "phone", "JWT")),
		replaced("refused_alg_none", head("ES256", "phone", DocumentType), head("none", "phone", DocumentType)),
		replaced("refused_alg_confused", head("EdDSA", "pin", DocumentType), head("ES256", "pin", DocumentType)),
		replaced("refused_flattened", `"signatures":[`, `"signature":[`),
		made("refused_compact", good[strings.Index(good, ":")+2:], "signatures"),
		made("refused_trailing", good+" {}", "signatures"),
		made("refused_empty", "", "signatures"),
	)
	elsewhere := approve
	elsewhere.Request = "REQUEST8AAA"
	list = append(list, made("refused_signatures_of_another_document", moveSignatures(t, good, sign(elsewhere, nil)), "signatures"))
	enrolled := sign(enrol, nil)
	var outer struct{ Payload string }
	if err := json.Unmarshal([]byte(enrolled), &outer); err != nil {
		t.Fatal(err)
	}
	otherKey, err := encodeKey(&stranger.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	otherJWK, err := json.Marshal(otherKey)
	if err != nil {
		t.Fatal(err)
	}
	wrong := bytes.Replace(bin(t, outer.Payload), jwk, otherJWK, 1)
	return append(list, made("refused_enrol_with_another_key", raw(string(wrong), both...), "payload"))
}

// moveSignatures puts the signatures of one document under the payload of
// another.
func moveSignatures(t testing.TB, from, to string) string {
	t.Helper()
	var a, b struct {
		Payload    json.RawMessage `json:"payload"`
		Signatures json.RawMessage `json:"signatures"`
	}
	if err := errors.Join(json.Unmarshal([]byte(from), &a), json.Unmarshal([]byte(to), &b)); err != nil {
		t.Fatal(err)
	}
	b.Signatures = a.Signatures
	moved, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(moved)
}
