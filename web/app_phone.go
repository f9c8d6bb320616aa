package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"vigie/browser"
	"vigie/directory"
	"vigie/phone"
	"vigie/push"
	"vigie/store"
)

// agentOf is where a call came from, in words.
func agentOf(r *http.Request) string {
	name, system := browser.Agent(r.UserAgent())
	return strings.TrimSpace(name + " " + system)
}

// askCodes takes the three facts and answers the same in every case; only a
// number that cannot be one is said to be none, which its form alone tells.
func (s *Site) askCodes(ctx context.Context, tx *store.Tx, r *http.Request, c call) (reply, error) {
	var body struct {
		NationalID string `json:"national_id"`
		Mobile     string `json:"mobile"`
		Email      string `json:"email"`
	}
	if err := c.read(&body); err != nil {
		return reply{}, err
	}
	var malformed *directory.IDError
	if _, err := s.o.IDs.Parse(body.NationalID); errors.As(err, &malformed) {
		return refusal{status: http.StatusBadRequest, code: "national_id", facts: map[string]any{"reason": malformed.Reason}}.reply()
	}
	ask := phone.Ask{NationalID: body.NationalID, Mobile: body.Mobile, Email: body.Email, Address: address(r), Agent: agentOf(r)}
	busy, err := phone.AskCodes(ctx, tx, ask)
	if err != nil {
		return reply{}, err
	}
	if !busy.IsZero() {
		return refusal{status: http.StatusTooManyRequests, code: "busy", facts: map[string]any{"until": store.Millis(busy)}}.reply()
	}
	return said(http.StatusAccepted, struct{}{})
}

// openTicket takes the two codes.
func (s *Site) openTicket(ctx context.Context, tx *store.Tx, r *http.Request, c call) (reply, error) {
	var body struct {
		NationalID string `json:"national_id"`
		SMS        string `json:"sms"`
		Email      string `json:"email"`
	}
	if err := c.read(&body); err != nil {
		return reply{}, err
	}
	typed := phone.Typed{NationalID: body.NationalID, SMS: body.SMS, Email: body.Email, Device: c.proof.Thumbprint, Address: address(r)}
	result, err := s.Activation.RedeemCodes(ctx, tx, typed)
	if err != nil {
		return reply{}, err
	}
	if result.Ticket == nil {
		facts := map[string]any{"left": result.Left}
		if !result.Until.IsZero() {
			facts["until"] = store.Millis(result.Until)
		}
		return refusal{status: http.StatusForbidden, code: "wrong_codes", facts: facts}.reply()
	}
	return said(http.StatusOK, map[string]any{"ticket": result.Ticket.ID, "name": result.Name, "expires": store.Millis(result.Ticket.Expires), "now": store.Millis(tx.Now)})
}

// drawEpoch draws the epoch of a PIN to come.
func (s *Site) drawEpoch(ctx context.Context, tx *store.Tx, _ *http.Request, c call) (reply, error) {
	var body struct {
		Ticket string
		Change bool
	}
	if err := c.read(&body); err != nil {
		return reply{}, err
	}
	if (body.Ticket == "") != body.Change {
		return reply{}, errBody
	}
	e, err := phone.DrawEpoch(ctx, tx, s.Keys, c.proof.Thumbprint, body.Ticket)
	if err != nil {
		return reply{}, err
	}
	return said(http.StatusOK, map[string]any{"epoch": e.ID, "ends": store.Millis(e.Ends), "now": store.Millis(tx.Now)})
}

// evaluateEpoch evaluates one element under an epoch, once.
func (s *Site) evaluateEpoch(w http.ResponseWriter, r *http.Request, c call) error {
	element, err := c.element()
	if err != nil {
		return err
	}
	var body struct{ Epoch string }
	if err := c.read(&body); err != nil {
		return err
	}
	e, err := phone.EvaluateEpoch(r.Context(), s.DB, s.Keys, phone.Call{Phone: c.proof.Thumbprint, Element: element, Proof: c.proof}, body.Epoch)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, evaluated(e))
}

// activate makes a phone.
func (s *Site) activate(ctx context.Context, tx *store.Tx, r *http.Request, c call) (reply, error) {
	d, err := c.document(s.o.Issuer, phone.Enrol)
	if err != nil {
		return reply{}, err
	}
	p, err := s.Activation.Activate(ctx, tx, d, address(r), agentOf(r))
	if err != nil {
		return reply{}, err
	}
	name, err := nameOf(ctx, tx, p.Professional)
	if err != nil {
		return reply{}, err
	}
	return said(http.StatusCreated, map[string]any{"phone": p.ID, "name": name, "ends": store.Millis(p.Ends), "subscription": p.Subscription != nil})
}

func (s *Site) subscribe(ctx context.Context, tx *store.Tx, _ *http.Request, c call) (reply, error) {
	var body phone.WrittenSubscription
	if err := c.read(&body); err != nil {
		return reply{}, err
	}
	sub, err := push.ParseSubscription(body.Endpoint, body.P256dh, body.Auth, s.Activation.Push)
	if err != nil {
		return reply{}, refusal{status: http.StatusBadRequest, code: "subscription", err: err}
	}
	return reply{Status: http.StatusNoContent}, phone.SetSubscription(ctx, tx, c.phone.ID, &sub)
}

func (s *Site) unsubscribe(ctx context.Context, tx *store.Tx, _ *http.Request, c call) (reply, error) {
	return reply{Status: http.StatusNoContent}, phone.SetSubscription(ctx, tx, c.phone.ID, nil)
}

// testPush pushes a notification that is no request.
func (s *Site) testPush(w http.ResponseWriter, r *http.Request, c call) error {
	if c.phone.Subscription == nil || s.Push == nil {
		return refusal{status: http.StatusConflict, code: "no_subscription"}
	}
	payload, err := json.Marshal(map[string]any{"test": true})
	if err != nil {
		return err
	}
	m := push.Message{Payload: payload, TTL: time.Minute, Urgency: push.High}
	if !s.Push(*c.phone.Subscription, m) {
		return refusal{status: http.StatusServiceUnavailable, code: "busy"}
	}
	return reply{Status: http.StatusAccepted, Body: json.RawMessage(`{}`)}.write(w)
}

// silence has the phone ring no more, or again.
func (s *Site) silence(ctx context.Context, tx *store.Tx, _ *http.Request, c call) (reply, error) {
	d, err := c.document(s.o.Issuer, phone.Silence)
	if err != nil {
		return reply{}, err
	}
	p, err := phone.BeSilent(ctx, tx, d)
	if err != nil {
		return reply{}, err
	}
	s.tellPhones(tx, p)
	return said(http.StatusOK, map[string]any{"silent": p.Silent})
}

func (s *Site) sleep(ctx context.Context, tx *store.Tx, _ *http.Request, c call) (reply, error) {
	d, err := c.document(s.o.Issuer, phone.GoToSleep)
	if err != nil {
		return reply{}, err
	}
	p, err := phone.FallAsleep(ctx, tx, d)
	if err != nil {
		return reply{}, err
	}
	s.tellPhones(tx, p)
	return said(http.StatusOK, map[string]any{"state": p.State(tx.Now)})
}

func (s *Site) wake(ctx context.Context, tx *store.Tx, _ *http.Request, c call) (reply, error) {
	d, err := c.document(s.o.Issuer, phone.WakeUp)
	if err != nil {
		return reply{}, err
	}
	v, err := phone.Wake(ctx, tx, d)
	if err != nil {
		return reply{}, err
	}
	s.tellPhones(tx, c.phone)
	return s.verdict(v, store.Millis(tx.Now))
}

func (s *Site) changePIN(ctx context.Context, tx *store.Tx, _ *http.Request, c call) (reply, error) {
	d, err := c.document(s.o.Issuer, phone.ChangePIN)
	if err != nil {
		return reply{}, err
	}
	v, err := phone.Change(ctx, tx, d)
	if err != nil {
		return reply{}, err
	}
	return s.verdict(v, store.Millis(tx.Now))
}

// tellPhones has the open apps of a phone's professional look again.
func (s *Site) tellPhones(tx *store.Tx, p phone.Phone) {
	tx.OnCommit(func() { s.Logins.Hub().Tell(string(p.Professional)) })
}
