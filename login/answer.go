package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vigie/audit"
	"vigie/browser"
	"vigie/guard"
	"vigie/phone"
	"vigie/push"
	"vigie/store"
)

// Outcome is what became of an answer. A wrong PIN is an outcome, not an error,
// so that what was counted stays counted.
type Outcome struct {
	Request Request
	// Verdict's outcome is phone.Right unless the PIN's signature did not hold;
	// then the request is still open.
	Verdict phone.Verdict
	// Late is why an approval with a right PIN moved nothing: ErrExpired,
	// ErrAnswered, ErrNotHeld (another phone took the request over) or ErrDocument.
	// Its evaluation is taken back all the same.
	Late error
}

// clockSlack is how far a document's iat may lie outside the request's life:
// phones take the time from the server, less the way.
const clockSlack = 30 * time.Second

// Answer carries out a signed approve, refuse, report or leave. Each request is
// answered once: the second of two phones is told in Outcome.Late (approve) or
// by ErrAnswered.
func (l *Logins) Answer(ctx context.Context, tx *store.Tx, d phone.Document) (Outcome, error) {
	p, err := phone.CheckPhone(ctx, tx, d)
	if err != nil {
		return Outcome{}, err
	}
	if d.Decision == "approve" {
		return l.approve(ctx, tx, p, d)
	}
	r, err := l.held(ctx, tx, p, d.Request)
	if err != nil {
		return Outcome{}, err
	}
	switch d.Decision {
	case "refuse":
		r, err = l.turnDown(ctx, tx, r, p, d, Refused, audit.RequestRefused)
	case "report":
		if r, err = l.turnDown(ctx, tx, r, p, d, Reported, audit.RequestReported); err == nil {
			_, err = browser.Drop(ctx, tx, r.Lasting.Thumbprint(), p.Professional, "not me")
		}
	case "leave":
		r, err = l.turnDown(ctx, tx, r, p, d, Left, audit.RequestLeft)
	default:
		return Outcome{}, fmt.Errorf("%w: %q does not answer a request", ErrDocument, d.Decision)
	}
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{Request: r, Verdict: phone.Verdict{Outcome: phone.Right, Phone: p}}, nil
}

func (l *Logins) turnDown(ctx context.Context, tx *store.Tx, r Request, p phone.Phone, d phone.Document, to State, kind string) (Request, error) {
	if d.Service != "" && d.Service != r.Service { // a notification does not know it
		return Request{}, fmt.Errorf("%w: another service", ErrDocument)
	}
	r, err := l.move(ctx, tx, r, Pending, to, r.Expires, "")
	if err != nil {
		return Request{}, err
	}
	if err := l.tellOthers(ctx, tx, r, p); err != nil {
		return Request{}, err
	}
	return r, l.record(ctx, tx, kind, r, audit.Event{Phone: p.ID, Evidence: d.Raw})
}

// tellOthers has the notifications on the professional's other phones say that
// the request is over. Not through Apple's service: there every push makes a
// sound of its own.
func (l *Logins) tellOthers(ctx context.Context, tx *store.Tx, r Request, p phone.Phone) error {
	if r.Lane != RingLane {
		return nil
	}
	all, err := phone.Of(ctx, tx, p.Professional)
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(all, func(o phone.Phone) bool {
		return o.ID == p.ID || !o.CanRing(tx.Now) || o.Subscription == nil || strings.Contains(o.Subscription.Endpoint, ".push.apple.com/")
	})
	return l.push(tx, others, push.Normal, pushed{Request: r.ID, Service: r.ServiceName, Over: true})
}

// approve judges the PIN before anything else: whoever knows it gets the miss of
// its evaluation back, whatever became of the request meanwhile.
func (l *Logins) approve(ctx context.Context, tx *store.Tx, p phone.Phone, d phone.Document) (Outcome, error) {
	verdict, err := phone.CheckApproval(ctx, tx, d)
	if err != nil {
		return Outcome{}, err
	}
	r, err := l.held(ctx, tx, p, d.Request)
	if errors.Is(err, ErrNotHeld) {
		return Outcome{Verdict: verdict, Late: err}, nil
	}
	if err != nil {
		return Outcome{}, err
	}
	if verdict.Outcome != phone.Right {
		return Outcome{Request: r, Verdict: verdict}, nil
	}
	if verdict.Repeat && (r.State == Approved || r.State == Redeemed) {
		return Outcome{Request: r, Verdict: verdict}, nil // its first answer was lost on the way
	}
	if err := l.fits(r, p, d, tx.Now); err != nil {
		return Outcome{Request: r, Verdict: verdict, Late: err}, nil
	}
	approved, err := l.move(ctx, tx, r, Pending, Approved, tx.Now.Add(ApprovedLife), d.Keep)
	if errors.Is(err, ErrExpired) || errors.Is(err, ErrAnswered) {
		return Outcome{Request: r, Verdict: verdict, Late: err}, nil
	}
	if err != nil {
		return Outcome{}, err
	}
	r = approved
	if err := l.record(ctx, tx, audit.RequestApproved, r, audit.Event{Phone: p.ID, Evidence: d.Raw, Detail: map[string]string{"place": r.Place}}); err != nil {
		return Outcome{}, err
	}
	if err := l.tellOthers(ctx, tx, r, p); err != nil {
		return Outcome{}, err
	}
	if err := l.reward(ctx, tx, r, p, d); err != nil {
		return Outcome{}, err
	}
	return Outcome{Request: r, Verdict: verdict}, nil
}

// reward gives the browser what an approval earns it.
func (l *Logins) reward(ctx context.Context, tx *store.Tx, r Request, p phone.Phone, d phone.Document) error {
	if r.Lane == RingLane {
		if err := guard.Approved(ctx, tx, r.ID); err != nil {
			return err
		}
		return browser.Used(ctx, tx, r.Lasting.Thumbprint(), p.Professional)
	}
	if d.Keep == "no" {
		return nil
	}
	return browser.Keep(ctx, tx, r.Lasting, p.Professional, browser.Kind(d.Keep), r.cookied, r.Agent, r.System)
}

// fits checks that an approval names this request, this service, this browser
// and what the screen said, and claims no more than the request allows.
func (l *Logins) fits(r Request, p phone.Phone, d phone.Document, now time.Time) error {
	shown := sha256.Sum256([]byte(r.Shown()))
	kept := ""
	if d.Keep != "no" {
		kept = r.Lasting.Thumbprint()
	}
	switch {
	case r.ClaimedBy != p.ID:
		return ErrNotHeld
	case r.NeedsCode():
		return fmt.Errorf("%w: the code of the screen was not typed", ErrDocument)
	case d.Service != r.Service:
		return fmt.Errorf("%w: another service", ErrDocument)
	case d.Shown != base64.RawURLEncoding.EncodeToString(shown[:]):
		return fmt.Errorf("%w: the screen said something else", ErrDocument)
	case d.Browser != r.Browser():
		return fmt.Errorf("%w: another browser", ErrDocument)
	case d.Lane != string(r.Lane) || d.By != r.Way:
		return fmt.Errorf("%w: another lane or way", ErrDocument)
	case d.Keep != "no" && !r.Keepable():
		return fmt.Errorf("%w: this browser cannot be kept", ErrDocument)
	case d.Kept != kept:
		return fmt.Errorf("%w: another lasting key", ErrDocument)
	case d.Binding != "" || d.Relay != "":
		return fmt.Errorf("%w: it answers what was not asked", ErrDocument)
	}
	iat := d.IAT()
	if iat.Before(r.Asked.Add(-clockSlack)) || iat.After(now.Add(clockSlack)) {
		return fmt.Errorf("%w: signed outside the request's life", ErrDocument)
	}
	return nil
}

// Evaluate computes the phone's PIN element for a request that p holds and that
// waits for its PIN; anything else is refused uncounted.
func (l *Logins) Evaluate(ctx context.Context, p phone.Phone, id string, element []byte, proof phone.Proof) (phone.Evaluation, phone.Verdict, error) {
	call := phone.Call{Phone: p.ID, Purpose: id, Element: element, Proof: proof}
	return phone.Evaluate(ctx, l.db, l.keys, call, func(ctx context.Context, tx *store.Tx) error {
		r, err := l.held(ctx, tx, p, id)
		switch {
		case err != nil:
			return err
		case r.ClaimedBy != p.ID || r.NeedsCode():
			return ErrNotHeld
		case r.Status(tx.Now) == Expired:
			return ErrExpired
		case r.State != Pending:
			return ErrAnswered
		}
		return nil
	})
}
