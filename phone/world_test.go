package phone

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"vigie/directory"
	"vigie/message"
	"vigie/outgoing"
	"vigie/secrets"
	"vigie/store"
)

const (
	anne    = directory.ID("899700000017")
	iss     = "https://portal.example/auth/realms/esante-wallet"
	api     = "https://app.example/phone/evaluations"
	goodPIN = "7294"
)

var annesAsk = Ask{NationalID: "8 99700000017", Mobile: "06 39 98 00 01", Email: " Anne.Martin@Example.test ", Address: "192.0.2.7", Agent: "Firefox, Windows"}

// A world is a database with Anne Martin in the register, and what it takes to
// activate her phones.
type world struct {
	t       *testing.T
	db      *store.DB
	keys    *secrets.Secrets
	nonces  Nonces
	act     *Activation
	mailbox *message.Mailbox
}

var drawn1 = sync.OnceValues(secrets.Generate)

// ownKeys gives a test secrets that it may rotate.
func (w *world) ownKeys() {
	keys, err := secrets.Generate()
	w.ok(err)
	w.useKeys(keys)
}

func (w *world) useKeys(keys *secrets.Secrets) {
	post, err := message.New(keys.MAC("letters"))
	w.ok(err)
	w.keys, w.nonces = keys, NewNonces(keys.MAC("phone nonces"))
	w.act = &Activation{Keys: keys, Post: post, Portal: "https://portal.example", AnyHour: true, Push: outgoing.Options{AllowLoopback: true}}
}

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	keys, err := drawn1()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, mailbox: &message.Mailbox{}}
	w.useKeys(keys)
	_, err = directory.Load(t.Context(), db, directory.Demo())
	w.ok(err)
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(f func(ctx context.Context, tx *store.Tx) error) {
	w.t.Helper()
	w.ok(w.db.Write(w.t.Context(), func(tx *store.Tx) error { return f(w.t.Context(), tx) }))
}

// ask asks for codes and has the job decide.
func (w *world) ask(a Ask) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := AskCodes(ctx, tx, a)
		return err
	})
	w.decide()
}

func (w *world) decide() {
	w.t.Helper()
	_, err := w.act.DecideAsks(w.t.Context(), w.db)
	w.ok(err)
}

// letters are what was delivered since the last call.
func (w *world) letters() []message.Received {
	w.t.Helper()
	before := len(w.mailbox.List())
	_, err := w.act.Post.Deliver(w.t.Context(), w.db, message.Options{Senders: map[message.Channel]message.Sender{
		message.SMS: w.mailbox, message.Email: w.mailbox,
	}})
	w.ok(err)
	return w.mailbox.List()[before:]
}

// codes are the newest pair that was delivered.
func (w *world) codes() (sms, email string) {
	w.t.Helper()
	for _, l := range w.letters() {
		switch {
		case l.Code == "":
		case l.Channel == message.SMS:
			sms = l.Code
		default:
			email = l.Code
		}
	}
	return sms, email
}

var link = regexp.MustCompile(`https://portal\.example/activation/([A-Z0-9]+)`)

func token(t *testing.T, letters []message.Received) string {
	t.Helper()
	for _, l := range letters {
		if m := link.FindStringSubmatch(l.Text); m != nil {
			return m[1]
		}
	}
	t.Fatal("no letter has a page")
	return ""
}

// A device is the test's phone: what the app keeps.
type device struct {
	*world
	key    *ecdsa.PrivateKey
	id     string
	secret []byte
}

func (w *world) newDevice() *device {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.ok(err)
	id, err := Thumbprint(&key.PublicKey)
	w.ok(err)
	secret := make([]byte, SecretSize)
	rand.Read(secret)
	return &device{w, key, id, secret}
}

// prove makes a call and has it read.
func (d *device) prove(body []byte) Proof {
	d.t.Helper()
	now := d.db.Now()
	header, err := Prove(d.key, "POST", api, body, d.nonces.Fresh(now, d.id), rand.Text(), now)
	d.ok(err)
	p, err := ParseProof(header, "POST", api, body, d.nonces, now)
	d.ok(err)
	return p
}

// parse signs a document and reads it.
func (d *device) parse(doc Document, pin, newPIN ed25519.PrivateKey) Document {
	d.t.Helper()
	doc.Iss = iss
	if doc.IATUnix == 0 {
		doc.IATUnix = d.db.Now().Unix()
	}
	raw, err := Sign(doc, d.key, pin, newPIN)
	d.ok(err)
	parsed, err := ParseDocument(raw, iss)
	d.ok(err)
	return parsed
}

// ticket redeems a pair of codes.
func (d *device) ticket(sms, email string) Ticket {
	d.t.Helper()
	var r Redemption
	d.write(func(ctx context.Context, tx *store.Tx) (err error) {
		r, err = d.act.RedeemCodes(ctx, tx, Typed{string(anne), sms, email, d.id, "192.0.2.7"})
		return err
	})
	if r.Ticket == nil {
		d.t.Fatalf("the codes were refused: %+v", r)
	}
	return *r.Ticket
}

// newPINKey draws an epoch and makes a PIN's key under it.
func (d *device) newPINKey(ticket, pin string) (Evaluation, ed25519.PrivateKey) {
	d.t.Helper()
	var epoch Epoch
	d.write(func(ctx context.Context, tx *store.Tx) (err error) {
		epoch, err = DrawEpoch(ctx, tx, d.keys, d.id, ticket)
		return err
	})
	b, err := Blind(pin, d.secret, epoch.ID)
	d.ok(err)
	e, err := EvaluateEpoch(d.t.Context(), d.db, d.keys, Call{Phone: d.id, Element: b.Element, Proof: d.prove(b.Element)}, epoch.ID)
	d.ok(err)
	key, err := b.Key(e.Element)
	d.ok(err)
	return e, key
}

// enrolment is the document that ends an activation.
func (d *device) enrolment(ticket, pin string) Document {
	d.t.Helper()
	e, key := d.newPINKey(ticket, pin)
	return d.parse(Document{Decision: Enrol, Ticket: ticket, Epoch: e.Epoch, Eval: e.ID, Name: "Téléphone d'Anne", Model: "Pixel 9", System: "Android 16", App: "1.0"}, key, nil)
}

// activate does the whole of it.
func (w *world) activate(pin string) *device {
	w.t.Helper()
	w.ask(annesAsk)
	sms, email := w.codes()
	d := w.newDevice()
	doc := d.enrolment(d.ticket(sms, email).ID, pin)
	w.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := w.act.Activate(ctx, tx, doc, "192.0.2.7", "Chrome, Android")
		return err
	})
	w.letters()
	return d
}

// activateMore lets a second phone in beside the first.
func (w *world) activateMore(pin string) *device {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO allowances (id, professional, reason, first, second, code, opened, confirmed, starts, ends, used)
			VALUES ($1, $2, 'test', 'a', 'b', $1, 1, 1, 1, $3, 0)`, rand.Text(), string(anne), store.Millis(tx.Now.Add(time.Hour)))
		return err
	})
	w.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE pairs SET sent = 1`)
		return err
	})
	return w.activate(pin)
}

func live(context.Context, *store.Tx) error { return nil }

// evaluate asks for an evaluation as the app does.
func (d *device) evaluate(request, pin string) (*Blinding, Evaluation, Verdict) {
	d.t.Helper()
	b, err := Blind(pin, d.secret, d.phone().Epoch)
	d.ok(err)
	e, v, err := Evaluate(d.t.Context(), d.db, d.keys, Call{d.id, request, b.Element, d.prove(b.Element)}, live)
	d.ok(err)
	return b, e, v
}

// approval evaluates a PIN and signs with what comes of it.
func (d *device) approval(request, pin string) Document {
	d.t.Helper()
	b, e, v := d.evaluate(request, pin)
	if v.Outcome != OK {
		d.t.Fatalf("no evaluation: %s until %s", v.Outcome, v.Until)
	}
	return d.approvalWith(request, b, e)
}

func (d *device) approvalWith(request string, b *Blinding, e Evaluation) Document {
	d.t.Helper()
	key, err := b.Key(e.Element)
	d.ok(err)
	doc := approvalOf(request, e.ID)
	var next ed25519.PrivateKey
	if e.Next != 0 {
		next, err = b.Key(e.NextElement)
		d.ok(err)
		doc.Master = e.Next
	}
	return d.parse(doc, key, next)
}

func approvalOf(request, eval string) Document {
	sum := strings.Repeat("A", 43)
	return Document{Decision: Approve, Request: request, Service: "vaccin", Shown: sum, Browser: sum, Keep: "no", Lane: "silent", By: "code", Eval: eval}
}

// check has a document judged.
func (w *world) check(doc Document) Verdict {
	w.t.Helper()
	var v Verdict
	w.write(func(ctx context.Context, tx *store.Tx) (err error) {
		v, err = CheckApproval(ctx, tx, doc)
		return err
	})
	return v
}

// approve is the whole of it.
func (d *device) approve(request, pin string) Verdict {
	d.t.Helper()
	return d.check(d.approval(request, pin))
}

func (d *device) phone() Phone {
	d.t.Helper()
	var p Phone
	d.ok(d.db.Read(d.t.Context(), func(tx *store.Tx) (err error) {
		p, _, err = Find(d.t.Context(), tx, d.id)
		return err
	}))
	return p
}

func (d *device) state() State { return d.phone().State(d.db.Now()) }

// count runs a query that counts.
func (w *world) count(query string, args ...any) int {
	w.t.Helper()
	var n int
	w.ok(w.db.Read(w.t.Context(), func(tx *store.Tx) error { return tx.QueryRow(w.t.Context(), query, args...).Scan(&n) }))
	return n
}
