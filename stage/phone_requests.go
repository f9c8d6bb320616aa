package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"vigie/phone"
	"vigie/push"
)

// Me is what the server tells a phone of itself.
type Me struct {
	Phone        string `json:"phone"`
	Professional struct {
		Name  string `json:"name"`
		Last4 string `json:"last4"`
	} `json:"professional"`
	State        string     `json:"state"`
	PausedUntil  int64      `json:"paused_until,omitempty"`
	Wakes        bool       `json:"wakes"`
	Misses       int        `json:"misses"`
	Silent       bool       `json:"silent"`
	Subscription bool       `json:"subscription"`
	VAPID        string     `json:"vapid"`
	Epoch        string     `json:"epoch"`
	Ends         int64      `json:"ends"`
	Requests     []Request  `json:"requests"`
	Approvals    []Approval `json:"approvals"`
	Now          int64      `json:"now"`
}

// A Request is a demand to sign in as the phone sees it.
type Request struct {
	ID        string `json:"id"`
	Shown     string `json:"shown"` // JSON text, from which the screen is drawn: see Facts
	Service   string `json:"service"`
	Browser   string `json:"browser"`
	Kept      string `json:"kept"`
	Keepable  bool   `json:"keepable"`
	Lane      string `json:"lane"`
	By        string `json:"by"`
	NeedsCode bool   `json:"needs_code"`
	Expires   int64  `json:"expires"` // Unix milliseconds
	State     string `json:"state"`
	MoreLeft  int    `json:"more_left"`
}

// Facts are what the screen says about a request.
type Facts struct {
	Service string `json:"service"` // its name
	Agent   string `json:"agent"`
	System  string `json:"system"`
	Place   string `json:"place"`
	Asked   int64  `json:"asked"` // Unix milliseconds
	Script  bool   `json:"script"`
}

// Facts reads Shown.
func (r Request) Facts() (Facts, error) {
	var f Facts
	if err := json.Unmarshal([]byte(r.Shown), &f); err != nil {
		return Facts{}, fmt.Errorf("what the screen of request %s says: %w", r.ID, err)
	}
	return f, nil
}

// An Approval is one of the last ones.
type Approval struct {
	Request string `json:"request"`
	Service string `json:"service"` // its name
	Agent   string `json:"agent"`
	System  string `json:"system"`
	Place   string `json:"place"`
	At      int64  `json:"at"` // Unix milliseconds
	Undone  bool   `json:"undone"`
}

// An Answer is what became of an approval or a refusal, or of the phone.
type Answer struct {
	State  string `json:"state"`
	Misses int    `json:"misses"` // wrong PINs since the last right one
}

// Me asks how the phone stands, and sets its idea of the server's clock.
func (p *Phone) Me(ctx context.Context) (Me, error) {
	var me Me
	if err := p.api.call(ctx, http.MethodGet, "/phone/me", nil, &me); err != nil {
		return Me{}, err
	}
	p.heard(me.Now, me.Epoch)
	return me, nil
}

// Claim fetches the request whose screen shows this code.
func (p *Phone) Claim(ctx context.Context, code string) (Request, error) {
	return p.request(ctx, "/phone/claims", map[string]string{"code": code})
}

// Open opens a request that rang.
func (p *Phone) Open(ctx context.Context, id string) (Request, error) {
	return p.request(ctx, "/phone/requests/"+id+"/open", nil)
}

// More asks for one more minute.
func (p *Phone) More(ctx context.Context, id string) (Request, error) {
	return p.request(ctx, "/phone/requests/"+id+"/more", nil)
}

func (p *Phone) request(ctx context.Context, path string, body any) (Request, error) {
	var r Request
	if err := p.api.call(ctx, http.MethodPost, path, body, &r); err != nil {
		return Request{}, err
	}
	return r, nil
}

// send posts a document and reads what became of it.
func (p *Phone) send(ctx context.Context, method, path, document string) (Answer, error) {
	var a Answer
	if err := p.api.call(ctx, method, path, map[string]string{"document": document}, &a); err != nil {
		return Answer{}, err
	}
	return a, nil
}

// Approve approves a request that was opened or claimed. keep is "mine",
// "shared" or "no".
func (p *Phone) Approve(ctx context.Context, r Request, pin, keep string) (Answer, error) {
	made, err := p.evaluatePIN(ctx, "/phone/requests/"+r.ID+"/evaluate", pin)
	if err != nil {
		return Answer{}, err
	}
	d := phone.Document{
		Decision: phone.Approve, Request: r.ID, Service: r.Service, Shown: hashOf(r.Shown), Browser: r.Browser,
		Keep: keep, Lane: r.Lane, By: r.By, Eval: made.id, Master: made.master,
	}
	if keep != "no" {
		d.Kept = r.Kept
	}
	document, err := p.sign(d, made.key, made.next)
	if err != nil {
		return Answer{}, err
	}
	return p.answer(ctx, r.ID, document)
}

// Refuse refuses a request: no PIN is needed, and the request need not have been
// opened.
func (p *Phone) Refuse(ctx context.Context, id string) (Answer, error) {
	return p.turnDown(ctx, id, phone.Refuse)
}

// Report refuses a request and says that somebody else asked.
func (p *Phone) Report(ctx context.Context, id string) (Answer, error) {
	return p.turnDown(ctx, id, phone.Report)
}

// Leave quits a request without judging it.
func (p *Phone) Leave(ctx context.Context, id string) (Answer, error) {
	return p.turnDown(ctx, id, phone.Leave)
}

func (p *Phone) turnDown(ctx context.Context, id, decision string) (Answer, error) {
	document, err := p.sign(phone.Document{Decision: decision, Request: id}, nil, nil)
	if err != nil {
		return Answer{}, err
	}
	return p.answer(ctx, id, document)
}

func (p *Phone) answer(ctx context.Context, id, document string) (Answer, error) {
	return p.send(ctx, http.MethodPost, "/phone/requests/"+id+"/answer", document)
}

// Undo ends what the approval of a request opened.
func (p *Phone) Undo(ctx context.Context, request string) error {
	_, err := p.decide(ctx, http.MethodPost, "/phone/undo", phone.Document{Decision: phone.Undo, Request: request})
	return err
}

// decide sends a document that the phone's key alone signs.
func (p *Phone) decide(ctx context.Context, method, path string, d phone.Document) (Answer, error) {
	document, err := p.sign(d, nil, nil)
	if err != nil {
		return Answer{}, err
	}
	return p.send(ctx, method, path, document)
}

// SetSilent has the phone ring no more, or again.
func (p *Phone) SetSilent(ctx context.Context, silent bool) error {
	_, err := p.decide(ctx, http.MethodPut, "/phone/silence", phone.Document{Decision: phone.Silence, Silent: silent})
	return err
}

// FallAsleep puts the phone to sleep. Its PIN wakes it for seven days.
func (p *Phone) FallAsleep(ctx context.Context) error {
	_, err := p.decide(ctx, http.MethodPost, "/phone/sleep", phone.Document{Decision: phone.GoToSleep})
	return err
}

// Wake wakes the phone.
func (p *Phone) Wake(ctx context.Context, pin string) (Answer, error) {
	made, err := p.evaluatePIN(ctx, "/phone/wake/evaluate", pin)
	if err != nil {
		return Answer{}, err
	}
	document, err := p.sign(phone.Document{Decision: phone.WakeUp, Eval: made.id}, made.key, nil)
	if err != nil {
		return Answer{}, err
	}
	return p.send(ctx, http.MethodPost, "/phone/wake", document)
}

// ChangePIN changes the phone's PIN.
func (p *Phone) ChangePIN(ctx context.Context, old, pin string) (Answer, error) {
	o := p.o
	o.Server = p.kept.Server
	if err := choosable(o, pin); err != nil {
		return Answer{}, err
	}
	chosen, err := p.choosePIN(ctx, map[string]any{"change": true}, pin)
	if err != nil {
		return Answer{}, err
	}
	made, err := p.evaluatePIN(ctx, "/phone/pin/evaluate", old)
	if err != nil {
		return Answer{}, err
	}
	document, err := p.sign(phone.Document{Decision: phone.ChangePIN, Eval: made.id, Epoch: chosen.epoch}, made.key, chosen.key)
	if err != nil {
		return Answer{}, err
	}
	a, err := p.send(ctx, http.MethodPost, "/phone/pin", document)
	if err != nil {
		return Answer{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch = chosen.epoch
	return a, nil
}

// SetSubscription says where the phone is pushed to; nil: nowhere.
func (p *Phone) SetSubscription(ctx context.Context, s *push.Subscription) error {
	if s == nil {
		return p.api.call(ctx, http.MethodDelete, "/phone/subscription", nil, nil)
	}
	return p.api.call(ctx, http.MethodPut, "/phone/subscription", map[string]string{
		"endpoint": s.Endpoint, "p256dh": b64(s.P256dh), "auth": b64(s.Auth),
	}, nil)
}

// Test has the server push a notification that is no request.
func (p *Phone) Test(ctx context.Context) error {
	return p.api.call(ctx, http.MethodPost, "/phone/test", nil, nil)
}

// Waiting returns the live requests that rang on the phone or that it claimed.
func (p *Phone) Waiting(ctx context.Context) ([]Request, error) {
	me, err := p.Me(ctx)
	return me.Requests, err
}

// Left is how long a request lives, by the server's clock.
func (p *Phone) Left(r Request) time.Duration {
	return time.UnixMilli(r.Expires).Sub(p.now())
}
