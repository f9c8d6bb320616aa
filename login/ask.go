package login

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"vigie/audit"
	"vigie/browser"
	"vigie/directory"
	"vigie/guard"
	"vigie/phone"
	"vigie/push"
	"vigie/store"
)

// Ask is what a browser brings when it asks to sign in.
type Ask struct {
	Authorization string
	Service       string
	ServiceName   string
	// Professional is a number as typed (silent lane) or as chosen (ringing
	// lane). In the silent lane it may be empty and nobody looks it up.
	Professional directory.ID
	Cookie       string      // the browser's cookie secret
	Ephemeral    browser.Key // made for this request; zero without script
	Lasting      browser.Key // proven by RingProof, or offered for keeping; zero without
	RingProof    string      // JWS by the lasting key, use "ring"; "" asks for the silent lane
	Agent        string
	System       string
	Address      string // of the browser
}

// Ask opens a request for the browser that presents a. With a valid ring proof
// the professional's phones ring after commit; in every other case the request
// is silent, and what was typed is stored as typed.
//
// The browser's older open request for the same authorization is replaced. One
// that was already approved is returned as it is.
func (l *Logins) Ask(ctx context.Context, tx *store.Tx, a Ask) (Request, error) {
	if a.Cookie == "" {
		return Request{}, ErrNotYours
	}
	older, found, err := l.ByAuthorization(ctx, tx, a.Authorization)
	if err != nil {
		return Request{}, err
	}
	if found {
		if done, err := l.replace(ctx, tx, older, a); err != nil || done {
			return older, err
		}
	}
	kept, verdict, err := l.judge(ctx, tx, a)
	if err != nil {
		return Request{}, err
	}
	r := Request{
		ID: rand.Text(), Authorization: a.Authorization, Service: a.Service, ServiceName: a.ServiceName, Professional: a.Professional,
		Lane: SilentLane, State: Pending, Asked: tx.Now, Expires: tx.Now.Add(SilentLife), Verdict: verdict,
		Ephemeral: a.Ephemeral, Lasting: a.Lasting, Agent: a.Agent, System: a.System, Address: a.Address, Place: l.place(a.Address),
		cookied: browser.Hash(a.Cookie), codeIndex: -1,
	}
	r.cookie = browser.Bind(a.Cookie, r.ID)
	var phones []phone.Phone
	if verdict == guard.Ring {
		if phones, err = l.ringable(ctx, tx, a.Professional); err != nil {
			return Request{}, err
		}
		if len(phones) == 0 {
			r.Verdict = guard.NobodyHome
		} else {
			r.Lane, r.Kind, r.Expires = RingLane, kept.Kind, tx.Now.Add(RingLife)
		}
	}
	if r.Lane == SilentLane && r.Professional != "" || r.NeedsCode() {
		if err := l.mint(ctx, tx, &r); err != nil {
			return Request{}, err
		}
	}
	if err := l.insert(ctx, tx, r); err != nil {
		return Request{}, err
	}
	l.changed(tx, r)
	if r.Lane == SilentLane {
		if r.Verdict == guard.Unproven {
			return r, nil // no audit of a silent ask before a phone claims it
		}
		return r, l.record(ctx, tx, audit.RequestSilenced, r, audit.Event{Detail: map[string]string{"why": string(r.Verdict)}})
	}
	return r, l.ring(ctx, tx, r, kept, phones)
}

// replace ends the browser's older request for the same authorization. It says
// done when that one must stand: approved, or already redeemed.
func (l *Logins) replace(ctx context.Context, tx *store.Tx, older Request, a Ask) (done bool, err error) {
	if !older.OfBrowser(a.Cookie) {
		return false, ErrNotYours
	}
	switch older.Status(tx.Now) {
	case Approved, Redeemed:
		return true, nil
	case Pending:
		if _, err := l.move(ctx, tx, older, Pending, Replaced, older.Expires, ""); err != nil && !errors.Is(err, ErrExpired) {
			return false, err
		}
	}
	return false, nil
}

// judge says whether the browser proved a lasting key that the professional
// keeps and, if so, what the guard thinks of ringing.
func (l *Logins) judge(ctx context.Context, tx *store.Tx, a Ask) (browser.Kept, guard.Verdict, error) {
	if a.RingProof == "" || a.Professional == "" || a.Ephemeral.Thumbprint() == "" {
		return browser.Kept{}, guard.Unproven, nil
	}
	want := browser.Claim{Use: browser.UseRing, Request: a.Authorization, Service: a.Service, Professional: string(a.Professional), Key: a.Ephemeral.Thumbprint()}
	err := a.Lasting.CheckFresh(a.RingProof, want, l.nonces, tx.Now, a.Authorization)
	if errors.Is(err, browser.ErrProof) {
		return browser.Kept{}, guard.Unproven, nil
	}
	if err != nil {
		return browser.Kept{}, "", err
	}
	kept, ok, err := browser.FindKept(ctx, tx, a.Lasting.Thumbprint(), a.Professional)
	if err != nil || !ok {
		return browser.Kept{}, guard.Unproven, err
	}
	verdict, err := guard.Judge(ctx, tx, kept)
	return kept, verdict, err
}

func (l *Logins) ringable(ctx context.Context, tx *store.Tx, id directory.ID) ([]phone.Phone, error) {
	if _, present, err := directory.Find(ctx, tx, id); err != nil || !present {
		return nil, err
	}
	all, err := phone.Of(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	var can []phone.Phone
	for _, p := range all {
		if p.CanRing(tx.Now) {
			can = append(can, p)
		}
	}
	return can, nil
}

func (l *Logins) ring(ctx context.Context, tx *store.Tx, r Request, kept browser.Kept, phones []phone.Phone) error {
	if err := guard.Rang(ctx, tx, r.ID, kept); err != nil {
		return err
	}
	err := l.push(tx, phones, push.High, pushed{Request: r.ID, Service: r.ServiceName, Seconds: int(RingLife / time.Second)})
	if err != nil {
		return err
	}
	return l.record(ctx, tx, audit.RequestRang, r, audit.Event{Browser: kept.Thumbprint})
}

// push sends m to these phones after commit. The topic replaces an older message
// about the same request that has not arrived yet (RFC 8030 §5.4).
func (l *Logins) push(tx *store.Tx, phones []phone.Phone, urgency push.Urgency, m pushed) error {
	payload, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding a push: %w", err)
	}
	for _, p := range phones {
		if p.Subscription == nil || l.o.Push == nil {
			continue
		}
		to := *p.Subscription
		tx.OnCommit(func() {
			l.o.Push(to, push.Message{Payload: payload, TTL: RingLife, Urgency: urgency, Topic: m.Request})
		})
	}
	return nil
}

// record writes what happened to r; more fills or overrides.
func (l *Logins) record(ctx context.Context, tx *store.Tx, kind string, r Request, more audit.Event) error {
	more.Kind, more.Professional, more.Request, more.Service = kind, string(r.Professional), r.ID, r.Service
	if more.Actor == "" {
		more.Actor = "professional"
	}
	if more.Browser == "" {
		more.Browser = r.Lasting.Thumbprint()
	}
	if more.Address == "" {
		more.Address = r.Address
	}
	more.Agent = r.Agent + " " + r.System
	return audit.Record(ctx, tx, more)
}

func (l *Logins) insert(ctx context.Context, tx *store.Tx, r Request) error {
	_, err := tx.Exec(ctx, `INSERT INTO requests (`+requestColumns+`, changed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, '', 0, '', 0, '', $8)`,
		r.ID, r.Authorization, r.Service, r.ServiceName, string(r.Professional), string(r.Lane), string(r.State), store.Millis(r.Asked), store.Millis(r.Expires),
		r.cookie, r.Ephemeral.JWK(), r.Lasting.JWK(), string(r.Kind), string(r.cookied), r.Agent, r.System, r.Address, r.Place, string(r.Verdict),
		r.codeIndex, r.codeDraw, store.Millis(r.codeAt))
	if err != nil {
		return fmt.Errorf("storing a request: %w", err)
	}
	return nil
}

// place is the network's name that the operator gave, or "".
func (l *Logins) place(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	for _, n := range l.o.Networks {
		if n.Prefix.Contains(a.Unmap()) {
			return n.Name
		}
	}
	return ""
}

func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }
