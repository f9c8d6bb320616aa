package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"vigie/login"
	"vigie/phone"
	"vigie/store"
)

// The phone API. Every call carries a proof by the phone's key (phone.ParseProof)
// and nothing else: no cookie, no token. docs/phone-protocol.md is its contract.

// phoneRoutes are the doors of the phone API.
func (s *Site) phoneRoutes() []route {
	return []route{
		// Keys that are no phone yet.
		{"POST /phone/nonce", s.proven(anyKey, s.freshNonce)},
		{"POST /phone/codes", s.deed(anyKey, s.askCodes)},
		{"POST /phone/tickets", s.deed(anyKey, s.openTicket)},
		{"POST /phone/epochs", s.deed(anyKey, s.drawEpoch)},
		{"POST /phone/epochs/evaluate", s.proven(anyKey, s.evaluateEpoch)},
		{"POST /phone/activations", s.deed(anyKey, s.activate)},

		// Phones, whatever their state.
		{"GET /phone/me", s.proven(aPhone, s.me)},
		{"GET /phone/events", s.proven(aPhone, s.phoneEvents)},
		{"POST /phone/requests/{id}/answer", s.signed(s.answer)},
		{"POST /phone/undo", s.deed(aPhone, s.undo)},
		{"DELETE /phone/subscription", s.deed(aPhone, s.unsubscribe)},
		{"POST /phone/sleep", s.deed(aPhone, s.sleep)}, // a repeat comes from a phone that sleeps
		{"POST /phone/wake/evaluate", s.proven(aPhone, s.evaluateChange(phone.WakeUp))},
		{"POST /phone/wake", s.deed(aPhone, s.wake)},

		// Phones that their professional signs in with.
		{"POST /phone/claims", s.deed(aUsablePhone, s.claim)},
		{"POST /phone/requests/{id}/open", s.deed(aUsablePhone, s.open)},
		{"POST /phone/requests/{id}/more", s.deed(aUsablePhone, s.more)},
		{"POST /phone/requests/{id}/evaluate", s.proven(aUsablePhone, s.evaluate)},
		{"PUT /phone/subscription", s.deed(aUsablePhone, s.subscribe)},
		{"POST /phone/test", s.proven(aUsablePhone, s.testPush)},
		{"PUT /phone/silence", s.deed(aUsablePhone, s.silence)},
		{"POST /phone/pin/evaluate", s.proven(aUsablePhone, s.evaluateChange(phone.ChangePIN))},
		{"POST /phone/pin", s.deed(aUsablePhone, s.changePIN)},
	}
}

// caller says who may call.
type caller int

const (
	anyKey       caller = iota
	aPhone              // activated, whatever became of it
	aUsablePhone        // phone.Phone.Usable
)

// call is a proven call.
type call struct {
	proof phone.Proof
	phone phone.Phone // zero for anyKey
	body  []byte
}

// reply is what a call is answered. It is remembered as JSON, so that a repeat
// gets the same.
type reply struct {
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// refusal answers a call with an error's name, which programs act on, and what
// else they must know.
type refusal struct {
	status int
	code   string
	facts  map[string]any
	err    error // for the log
}

func (r refusal) Error() string {
	if r.err == nil {
		return r.code
	}
	return r.code + ": " + r.err.Error()
}

func (r refusal) Unwrap() error { return r.err }

func (r refusal) reply() (reply, error) {
	facts := map[string]any{"error": r.code}
	for name, value := range r.facts {
		facts[name] = value
	}
	return said(r.status, facts)
}

func said(status int, v any) (reply, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return reply{}, fmt.Errorf("encoding an answer: %w", err)
	}
	return reply{status, b}, nil
}

// proven reads the proof of a call before h sees it, gives the next nonce with
// the answer, and writes every refusal as JSON.
func (s *Site) proven(who caller, h func(http.ResponseWriter, *http.Request, call) error) handler {
	return s.signed(func(w http.ResponseWriter, r *http.Request, c call) error {
		if who != anyKey {
			err := s.DB.Read(r.Context(), func(tx *store.Tx) error { return c.find(r.Context(), tx, who) })
			if err != nil {
				return err
			}
		}
		return h(w, r, c)
	})
}

// signed is proven for calls that find their phone themselves.
func (s *Site) signed(h func(http.ResponseWriter, *http.Request, call) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return badForm(err)
		}
		now := s.DB.Now()
		c := call{body: body}
		c.proof, err = phone.ParseProof(r.Header.Get("DPoP"), r.Method, s.o.App+r.URL.EscapedPath(), body, s.phoneNonces, now)
		if c.proof.Thumbprint != "" {
			w.Header().Set("DPoP-Nonce", s.phoneNonces.Fresh(now, c.proof.Thumbprint))
		}
		if errors.Is(err, phone.ErrNonce) && r.URL.Path == "/phone/nonce" {
			err = nil
		}
		if err == nil {
			err = h(w, r, c)
		}
		return s.refuse(w, r, err)
	}
}

// find finds the phone that proved the call, and refuses who may not make it.
func (c *call) find(ctx context.Context, tx *store.Tx, who caller) error {
	if who == anyKey {
		return nil
	}
	p, found, err := phone.Find(ctx, tx, c.proof.Thumbprint)
	switch {
	case err != nil:
		return err
	case !found:
		return refusal{status: http.StatusForbidden, code: "unknown_phone"}
	case who == aUsablePhone && !p.Usable(tx.Now):
		return refusal{status: http.StatusForbidden, code: string(p.State(tx.Now))}
	}
	c.phone = p
	return nil
}

// refuse answers with what err means to a phone. An error that it does not know
// comes back: fail answers it.
func (s *Site) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	if err == nil {
		return nil
	}
	f, ok := refusalOf(err)
	if !ok {
		r.Header.Set("Accept", "application/json") // fail's words are for people
		return err
	}
	lineOf(r).err = err
	a, err := f.reply()
	if err != nil {
		return err
	}
	return a.write(w)
}

// refusalOf finds the refusal that an error of the domain is.
func refusalOf(err error) (refusal, bool) {
	if f, ok := errors.AsType[refusal](err); ok {
		return f, true
	}
	for _, known := range []struct {
		err    error
		status int
		code   string
	}{
		{phone.ErrNonce, http.StatusUnauthorized, "use_dpop_nonce"},
		{phone.ErrProof, http.StatusUnauthorized, "invalid_dpop_proof"},
		{phone.ErrTicket, http.StatusForbidden, "ticket"},
		{phone.ErrTooMany, http.StatusConflict, "too_many_phones"},
		{phone.ErrElement, http.StatusBadRequest, "element"},
		{phone.ErrDocument, http.StatusBadRequest, "document"}, // before ErrEpoch, which it may wrap
		{phone.ErrEpoch, http.StatusConflict, "epoch"},
		{login.ErrDocument, http.StatusBadRequest, "document"},
		{login.ErrUnknown, http.StatusNotFound, "unknown_request"},
		{login.ErrNotHeld, http.StatusNotFound, "unknown_request"},
		{login.ErrNoMore, http.StatusConflict, "no_more"},
		{login.ErrExpired, http.StatusGone, "expired"},
		{login.ErrAnswered, http.StatusConflict, "answered"},
		{errBody, http.StatusBadRequest, "body"},
	} {
		if errors.Is(err, known.err) {
			return refusal{status: known.status, code: known.code, err: err}, true
		}
	}
	return refusal{}, false
}

func (a reply) write(w http.ResponseWriter) error {
	if len(a.Body) == 0 {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(a.Status)
		return nil
	}
	return writeJSON(w, a.Status, a.Body)
}

// deed makes of a change a handler that does it once: a repeated call gets the
// first answer. An error undoes the change and is not remembered.
func (s *Site) deed(who caller, change func(context.Context, *store.Tx, *http.Request, call) (reply, error)) handler {
	return s.signed(func(w http.ResponseWriter, r *http.Request, c call) error {
		a, err := s.once(r, c, who, change)
		if err != nil {
			return err
		}
		return a.write(w)
	})
}

func (s *Site) once(r *http.Request, c call, who caller, change func(context.Context, *store.Tx, *http.Request, call) (reply, error)) (a reply, err error) {
	ctx := r.Context()
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		a = reply{}
		repeat, first, err := phone.Once(ctx, tx, c.proof)
		if err != nil {
			return err
		}
		if repeat {
			return json.Unmarshal(first, &a)
		}
		c := c // the transaction may run again
		if err := c.find(ctx, tx, who); err != nil {
			return err
		}
		if a, err = change(ctx, tx, r, c); err != nil {
			return err
		}
		b, err := json.Marshal(a)
		if err != nil {
			return fmt.Errorf("encoding an answer: %w", err)
		}
		return phone.Remember(ctx, tx, c.proof, b)
	})
	return a, err
}

var errBody = errors.New("the body is not what this call takes")

// read decodes the body of a call. No text of it holds a zero byte, which
// PostgreSQL does not take.
func (c call) read(v any) error {
	if bytes.Contains(c.body, []byte(`\u0000`)) {
		return errBody
	}
	if err := json.Unmarshal(c.body, v); err != nil {
		return fmt.Errorf("%w: %w", errBody, err)
	}
	return nil
}

// document reads the body {"document": "…"}: the signed document as a string, so
// that it travels and is kept as it was signed. It must be this phone's own.
func (c call) document(iss string, decisions ...string) (phone.Document, error) {
	var body struct{ Document string }
	if err := c.read(&body); err != nil {
		return phone.Document{}, err
	}
	d, err := phone.ParseDocument([]byte(body.Document), iss)
	if err != nil {
		return phone.Document{}, err
	}
	if d.Phone != c.proof.Thumbprint {
		return phone.Document{}, fmt.Errorf("%w: another phone's", phone.ErrDocument)
	}
	for _, decision := range decisions {
		if d.Decision == decision {
			return d, nil
		}
	}
	return phone.Document{}, fmt.Errorf("%w: %q is not decided here", phone.ErrDocument, d.Decision)
}

// freshNonce has nothing to say: the nonce is in the header.
func (s *Site) freshNonce(w http.ResponseWriter, _ *http.Request, _ call) error {
	return reply{Status: http.StatusNoContent}.write(w)
}

// locked says why a phone may not use its PIN.
func locked(v phone.Verdict, now int64) refusal {
	if until := store.Millis(v.Until); until > now {
		return refusal{status: http.StatusLocked, code: "paused", facts: map[string]any{"until": until, "misses": v.Misses}}
	}
	code := string(v.Phone.State(store.FromMillis(now)))
	if v.Phone.ID == "" || code == string(phone.Active) || code == string(phone.Paused) {
		code = string(phone.Disabled)
	}
	return refusal{status: http.StatusForbidden, code: code}
}

// verdict turns what came of a document into an answer; nil facts: it was right.
func (s *Site) verdict(v phone.Verdict, now int64) (reply, error) {
	var r refusal
	switch v.Outcome {
	case phone.Right:
		return said(http.StatusOK, map[string]any{"state": v.Phone.State(store.FromMillis(now)), "misses": v.Misses})
	case phone.Wrong:
		r = refusal{status: http.StatusForbidden, code: "wrong_pin", facts: map[string]any{"misses": v.Misses}}
		if v.Phone.State(store.FromMillis(now)) == phone.Disabled {
			r.code = "disabled"
		}
		if until := store.Millis(v.Until); until > now {
			r.facts["paused_until"] = until
		}
	case phone.Spent:
		r = refusal{status: http.StatusConflict, code: "evaluation"}
	default:
		r = locked(v, now)
	}
	return r.reply()
}
