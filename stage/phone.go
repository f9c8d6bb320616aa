package stage

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"vigie/phone"
)

// ErrCommonPIN says that a PIN is one of the thousand commonest.
var ErrCommonPIN = errors.New("that PIN is one of those that everybody tries first: choose another")

// PhoneOptions are what a phone needs of the world around it.
type PhoneOptions struct {
	Server string           // base URL of the portal; the phone API's address is read from there
	Now    func() time.Time // the phone's own clock, which may be wrong
	HTTP   *http.Client     // nil: one that gives up after 10 s
	Warn   func(string)     // hears what a person should know; nil: nobody does
}

// A Phone is the phone app without a screen: the second implementation of
// docs/phone-protocol.md. What it keeps is one JSON file with mode 0600, and
// holds nothing that would let a thief of the file test a PIN. Its methods are
// may be called from many goroutines.
type Phone struct {
	o    PhoneOptions
	kept kept
	key  *ecdsa.PrivateKey
	file string // "": in memory only
	api  *caller

	mu    sync.Mutex
	ahead time.Duration // of the server's clock before ours
	epoch string        // of the PIN; "": not asked for yet
}

// kept is what the file holds.
type kept struct {
	Server string `json:"server"`
	API    string `json:"api"`
	Issuer string `json:"issuer"`
	Phone  string `json:"phone"`
	Name   string `json:"name"` // of the professional
	Key    []byte `json:"key"`  // PKCS #8, DER
	Secret []byte `json:"secret"`
}

// discovery is what /.well-known/vigie says.
type discovery struct {
	Issuer string `json:"issuer"`
	Phone  string `json:"phone"`
}

// newPhone makes the key of a phone that is not activated yet.
func newPhone(ctx context.Context, o PhoneOptions) (*Phone, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("drawing the phone's key: %w", err)
	}
	p := &Phone{o: o, key: key, kept: kept{Server: strings.TrimSuffix(o.Server, "/"), Secret: make([]byte, phone.SecretSize)}}
	rand.Read(p.kept.Secret)
	if p.kept.Key, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, fmt.Errorf("drawing the phone's key: %w", err)
	}
	if p.kept.Phone, err = phone.Thumbprint(&key.PublicKey); err != nil {
		return nil, fmt.Errorf("drawing the phone's key: %w", err)
	}
	p.api = newCaller(o, key)
	var found discovery
	if err := p.api.get(ctx, p.kept.Server+"/.well-known/vigie", &found); err != nil {
		return nil, fmt.Errorf("asking %s where its phone API is: %w", o.Server, err)
	}
	p.kept.API, p.kept.Issuer = found.Phone, found.Issuer
	p.api.base = found.Phone
	return p, nil
}

// OpenPhone reads an activated phone from its file. o.Server may be empty.
func OpenPhone(file string, o PhoneOptions) (*Phone, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("opening the phone: %w", err)
	}
	p := &Phone{o: o, file: file}
	if err := json.Unmarshal(b, &p.kept); err != nil {
		return nil, fmt.Errorf("the phone in %s is damaged: %w", file, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(p.kept.Key)
	if err != nil {
		return nil, fmt.Errorf("the phone in %s is damaged: %w", file, err)
	}
	var ok bool
	if p.key, ok = key.(*ecdsa.PrivateKey); !ok || len(p.kept.Secret) != phone.SecretSize {
		return nil, fmt.Errorf("the phone in %s is damaged", file)
	}
	p.api = newCaller(o, p.key)
	p.api.base = p.kept.API
	return p, nil
}

// save writes the file in one step, so that a crash leaves the old one or the
// new one. It refuses to replace another phone's.
func (p *Phone) save() error {
	if p.file == "" {
		return nil
	}
	b, err := json.MarshalIndent(p.kept, "", "  ")
	if err != nil {
		return fmt.Errorf("keeping the phone: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(p.file), ".phone-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("keeping the phone: %w", err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), p.file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keeping the phone: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// ID is the phone's id.
func (p *Phone) ID() string { return p.kept.Phone }

// Name is that of its professional.
func (p *Phone) Name() string { return p.kept.Name }

// AskCodes asks for two codes, as anybody may. What comes of it arrives by SMS
// and by e-mail, or not at all.
func AskCodes(ctx context.Context, o PhoneOptions, nationalID, mobile, email string) error {
	p, err := newPhone(ctx, o)
	if err != nil {
		return err
	}
	return p.api.call(ctx, http.MethodPost, "/phone/codes", map[string]string{"national_id": nationalID, "mobile": mobile, "email": email}, nil)
}

// A NewPhone is what it takes to activate one.
type NewPhone struct {
	NationalID string
	SMS, Email string // the two codes
	PIN        string
	Name       string // as its owner calls it; "": "Terminal"
	Model      string // "": "vigie phone"
	System     string // "": "terminal"
	File       string // where it is kept; "": in memory only
}

// Activate activates a phone. On an error there is none, unless the error is
// that of a network which failed at the last call: the file is there then, and
// [Phone.Me] tells.
func Activate(ctx context.Context, o PhoneOptions, n NewPhone) (*Phone, error) {
	if err := choosable(o, n.PIN); err != nil {
		return nil, err
	}
	if _, err := os.Stat(n.File); n.File != "" && err == nil {
		return nil, fmt.Errorf("%s exists already: it may be a phone", n.File)
	}
	p, err := newPhone(ctx, o)
	if err != nil {
		return nil, err
	}
	p.file = n.File
	var ticket struct{ Ticket, Name string }
	err = p.api.call(ctx, http.MethodPost, "/phone/tickets", map[string]string{"national_id": n.NationalID, "sms": n.SMS, "email": n.Email}, &ticket)
	if err != nil {
		return nil, err
	}
	p.kept.Name = ticket.Name
	chosen, err := p.choosePIN(ctx, map[string]any{"ticket": ticket.Ticket}, n.PIN)
	if err != nil {
		return nil, err
	}
	document, err := p.sign(phone.Document{
		Decision: phone.Enrol, Ticket: ticket.Ticket, Epoch: chosen.epoch, Eval: chosen.evaluation, Name: cmp.Or(n.Name, "Terminal"), Model: cmp.Or(n.Model, "vigie phone"), System: cmp.Or(n.System, "terminal"), App: "1",
	}, chosen.key, nil)
	if err != nil {
		return nil, err
	}
	// Kept before it is sent: an answer that is lost must not lose the key.
	if err := p.save(); err != nil {
		return nil, err
	}
	err = p.api.call(ctx, http.MethodPost, "/phone/activations", map[string]string{"document": document}, nil)
	if _, refused := errors.AsType[*Refused](err); refused && p.file != "" {
		err = errors.Join(err, os.Remove(p.file))
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// choosable refuses a common PIN. On a loopback server, which protects nobody,
// it only warns.
func choosable(o PhoneOptions, pin string) error {
	if !phone.CommonPIN(pin) {
		return nil
	}
	if u, err := url.Parse(o.Server); err == nil && u.Scheme == "http" {
		if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsLoopback() || u.Hostname() == "localhost" {
			o.warn(ErrCommonPIN.Error() + " (accepted on a demonstration)")
			return nil
		}
	}
	return ErrCommonPIN
}

func (o PhoneOptions) warn(words string) {
	if o.Warn != nil {
		o.Warn(words)
	}
}

// chosenPIN is a PIN key under a new epoch.
type chosenPIN struct {
	epoch, evaluation string
	key               ed25519.PrivateKey
}

// choosePIN has an epoch drawn, for a ticket or a change, and makes the key.
func (p *Phone) choosePIN(ctx context.Context, purpose map[string]any, pin string) (chosenPIN, error) {
	var drawn struct {
		Epoch string
		Now   int64
	}
	if err := p.api.call(ctx, http.MethodPost, "/phone/epochs", purpose, &drawn); err != nil {
		return chosenPIN{}, err
	}
	p.heard(drawn.Now, "")
	b, err := phone.Blind(pin, p.kept.Secret, drawn.Epoch)
	if err != nil {
		return chosenPIN{}, err
	}
	e, err := p.evaluate(ctx, "/phone/epochs/evaluate", map[string]string{"epoch": drawn.Epoch}, b)
	if err != nil {
		return chosenPIN{}, err
	}
	return chosenPIN{drawn.Epoch, e.id, e.key}, nil
}

// pinKey is what an evaluation made of a PIN.
type pinKey struct {
	id     string
	key    ed25519.PrivateKey
	next   ed25519.PrivateKey // under a newer master secret; nil: there is none
	master int
}

// evaluate has the server do its half, and makes the key. Neither is kept.
func (p *Phone) evaluate(ctx context.Context, path string, body map[string]string, b *phone.Blinding) (pinKey, error) {
	if body == nil {
		body = map[string]string{}
	}
	body["element"] = base64.RawURLEncoding.EncodeToString(b.Element)
	var answer struct {
		Evaluation string
		Element    string
		Next       *struct {
			Element string
			Master  int
		}
	}
	if err := p.api.call(ctx, http.MethodPost, path, body, &answer); err != nil {
		return pinKey{}, err
	}
	made := pinKey{id: answer.Evaluation}
	var err error
	if made.key, err = finish(b, answer.Element); err != nil {
		return pinKey{}, err
	}
	if answer.Next != nil {
		made.master = answer.Next.Master
		if made.next, err = finish(b, answer.Next.Element); err != nil {
			return pinKey{}, err
		}
	}
	return made, nil
}

func finish(b *phone.Blinding, element string) (ed25519.PrivateKey, error) {
	evaluated, err := base64.RawURLEncoding.DecodeString(element)
	if err != nil {
		return nil, fmt.Errorf("the server's element: %w", err)
	}
	return b.Key(evaluated)
}

// evaluatePIN is evaluate for the PIN in force.
func (p *Phone) evaluatePIN(ctx context.Context, path, pin string) (pinKey, error) {
	p.mu.Lock()
	epoch := p.epoch
	p.mu.Unlock()
	if epoch == "" {
		me, err := p.Me(ctx)
		if err != nil {
			return pinKey{}, err
		}
		epoch = me.Epoch
	}
	b, err := phone.Blind(pin, p.kept.Secret, epoch)
	if err != nil {
		return pinKey{}, err
	}
	return p.evaluate(ctx, path, nil, b)
}

// sign writes a document, by the server's clock as far as it is known.
func (p *Phone) sign(d phone.Document, pin, newPIN ed25519.PrivateKey) (string, error) {
	d.Iss, d.IATUnix = p.kept.Issuer, p.now().Unix()
	b, err := phone.Sign(d, p.key, pin, newPIN)
	return string(b), err
}

// now is the server's time, as far as it is known.
func (p *Phone) now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.o.Now().Add(p.ahead)
}

// heard keeps what the server said of its clock and, if not "", of the epoch.
func (p *Phone) heard(ms int64, epoch string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ahead = time.UnixMilli(ms).Sub(p.o.Now())
	if epoch != "" {
		p.epoch = epoch
	}
}

// hashOf is how a document names what the screen said.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
