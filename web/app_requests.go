package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
	"time"

	"vigie/audit"
	"vigie/browser"
	"vigie/login"
	"vigie/oidc"
	"vigie/phone"
	"vigie/session"
	"vigie/store"
)

// requestView is a request as its phone sees it. What the screen says comes from
// Shown alone, whose hash the phone signs.
type requestView struct {
	ID        string `json:"id"`
	Shown     string `json:"shown"`
	Service   string `json:"service"`
	Browser   string `json:"browser"`
	Kept      string `json:"kept"`
	Keepable  bool   `json:"keepable"`
	Lane      string `json:"lane"`
	By        string `json:"by"`
	NeedsCode bool   `json:"needs_code"`
	Expires   int64  `json:"expires"`
	State     string `json:"state"`
	MoreLeft  int    `json:"more_left"`
}

func viewOf(r login.Request, now time.Time) requestView {
	by := r.Way
	if by == "" {
		by = string(r.Lane) // a ring that nobody opened
	}
	return requestView{
		ID: r.ID, Shown: r.Shown(), Service: r.Service, Browser: r.Browser(), Kept: r.Lasting.Thumbprint(), Keepable: r.Keepable(),
		Lane: string(r.Lane), By: by, NeedsCode: r.NeedsCode(), Expires: store.Millis(r.Expires), State: string(r.Status(now)), MoreLeft: r.MoreLeft(),
	}
}

// approvalView is an approval of the professional, from whichever phone.
type approvalView struct {
	Request string `json:"request"`
	Service string `json:"service"`
	Agent   string `json:"agent"`
	System  string `json:"system"`
	Place   string `json:"place"`
	At      int64  `json:"at"`
	Undone  bool   `json:"undone,omitempty"`
}

// meView is what a phone is told of itself. Nothing of it lets anybody test a
// PIN: documents, with their signatures, are shown to no phone.
type meView struct {
	Phone        string         `json:"phone"`
	Professional professional   `json:"professional"`
	State        phone.State    `json:"state"`
	PausedUntil  int64          `json:"paused_until,omitempty"`
	Wakes        bool           `json:"wakes"` // a sleeping phone: by its PIN, and not only by the register
	Misses       int            `json:"misses"`
	Silent       bool           `json:"silent"`
	Subscription bool           `json:"subscription"`
	VAPID        string         `json:"vapid"`
	Epoch        string         `json:"epoch"`
	Ends         int64          `json:"ends"`
	Requests     []requestView  `json:"requests"`
	Approvals    []approvalView `json:"approvals"`
	Now          int64          `json:"now"`
}

type professional struct {
	Name  string `json:"name"`
	Last4 string `json:"last4"`
}

const shownApprovals = 5

func (s *Site) me(w http.ResponseWriter, r *http.Request, c call) error {
	var v meView
	ctx := r.Context()
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if v, err = s.standing(ctx, tx, c.proof.Thumbprint); err != nil {
			return err
		}
		if v.Professional.Name, err = nameOf(ctx, tx, c.phone.Professional); err != nil {
			return err
		}
		v.Approvals, err = approvals(ctx, tx, c.phone)
		return err
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, v)
}

// standing is the part of meView of which a change is told at once.
func (s *Site) standing(ctx context.Context, tx *store.Tx, id string) (meView, error) {
	p, ok, err := phone.Find(ctx, tx, id)
	if err != nil {
		return meView{}, err
	}
	if !ok {
		return meView{}, refusal{status: http.StatusForbidden, code: "unknown_phone"}
	}
	v := meView{
		Phone: p.ID, Professional: professional{Last4: p.Professional.Short()}, State: p.State(tx.Now), Wakes: p.Departed.IsZero(), Misses: p.Misses,
		Silent: p.Silent, Subscription: p.Subscription != nil, VAPID: s.o.VAPID, Epoch: p.Epoch, Ends: store.Millis(p.Ends),
		Requests: []requestView{}, Approvals: []approvalView{}, Now: store.Millis(tx.Now),
	}
	if v.State == phone.Paused {
		v.PausedUntil = store.Millis(p.PausedUntil())
	}
	if !p.Usable(tx.Now) {
		return v, nil
	}
	list, err := s.Logins.List(ctx, tx, p)
	if err != nil {
		return meView{}, err
	}
	for _, r := range list {
		v.Requests = append(v.Requests, viewOf(r, tx.Now))
	}
	return v, nil
}

// approvals are the last ones that p may know of, newest first.
func approvals(ctx context.Context, tx *store.Tx, p phone.Phone) ([]approvalView, error) {
	entries, err := audit.Of(ctx, tx, string(p.Professional), 10*shownApprovals)
	if err != nil {
		return nil, err
	}
	list, undone := []approvalView{}, map[string]bool{}
	for _, e := range entries {
		undone[e.Request] = undone[e.Request] || e.Kind == audit.RequestUndone
	}
	for _, e := range entries {
		if e.Kind != audit.RequestApproved || !p.Saw(e.At) || len(list) == shownApprovals {
			continue
		}
		v := approvalView{Request: e.Request, Service: e.Service, Place: e.Detail["place"], At: store.Millis(e.At), Undone: undone[e.Request]}
		if at := strings.LastIndex(e.Agent, " "); at >= 0 {
			v.Agent, v.System = e.Agent[:at], e.Agent[at+1:]
		}
		service, known, err := oidc.FindService(ctx, tx, e.Service)
		if err != nil {
			return nil, err
		}
		if known {
			v.Service = service.Name
		}
		list = append(list, v)
	}
	return list, nil
}

// phoneEvents tells an open app that something changed, as server-sent events: it
// then asks for /phone/me. A request that merely names the professional changes
// nothing that the phone may see, and sends nothing.
func (s *Site) phoneEvents(w http.ResponseWriter, r *http.Request, c call) error {
	return s.stream(func() { s.followPhone(w, r, c.phone) })
}

func (s *Site) followPhone(w http.ResponseWriter, r *http.Request, p phone.Phone) {
	changed, stop := s.Logins.Hub().Wait(string(p.Professional))
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	var last uint64
	for more := true; more; {
		seen, err := s.fingerprint(r.Context(), p.ID)
		if err == nil && seen != last {
			last = seen
			err = tell(w, "message", map[string]string{"type": "changed"})
		}
		if err != nil {
			lineOf(r).err = err // the answer has begun: only the log can say it
			return
		}
		more = s.awaitChange(w, r, changed)
	}
}

// fingerprint changes when what the phone may see does.
func (s *Site) fingerprint(ctx context.Context, id string) (uint64, error) {
	var v meView
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		v, err = s.standing(ctx, tx, id)
		return err
	})
	if err != nil {
		return 0, err
	}
	v.Now = 0
	h := fnv.New64a()
	if err := json.NewEncoder(h).Encode(v); err != nil {
		return 0, fmt.Errorf("encoding the state of a phone: %w", err)
	}
	return h.Sum64(), nil
}

// awaitChange waits until something may have changed, and sends a comment now
// and then: an app that hears nothing for 5 s asks by itself. It says false when
// the stream is over.
func (s *Site) awaitChange(w http.ResponseWriter, r *http.Request, changed <-chan struct{}) bool {
	beats := time.NewTicker(beat)
	defer beats.Stop()
	for {
		select {
		case <-changed:
			return true
		case <-r.Context().Done():
			return false
		case <-s.ending:
			return false
		case <-beats.C:
			if _, err := fmt.Fprint(w, ":\n\n"); err != nil || http.NewResponseController(w).Flush() != nil {
				return false
			}
		}
	}
}

// claim fetches the request whose screen shows the typed code.
func (s *Site) claim(ctx context.Context, tx *store.Tx, _ *http.Request, c call) (reply, error) {
	var body struct{ Code string }
	if err := c.read(&body); err != nil {
		return reply{}, err
	}
	code, ok := login.ParseCode(body.Code)
	if !ok {
		return reply{}, fmt.Errorf("%w: a code has six or eight digits", errBody)
	}
	r, v, err := s.Logins.Claim(ctx, tx, c.phone, code)
	if err != nil {
		return reply{}, err
	}
	switch v.Result {
	case login.Claimed:
		return said(http.StatusOK, viewOf(r, tx.Now))
	case login.ReplacedCode:
		return refusal{status: http.StatusGone, code: "replaced_code"}.reply()
	case login.CodesPaused:
		return refusal{status: http.StatusTooManyRequests, code: "codes_paused", facts: map[string]any{"until": store.Millis(v.Until)}}.reply()
	}
	return refusal{status: http.StatusNotFound, code: "unknown_code", facts: map[string]any{"last4": c.phone.Professional.Short()}}.reply()
}

func (s *Site) open(ctx context.Context, tx *store.Tx, r *http.Request, c call) (reply, error) {
	found, err := s.Logins.Open(ctx, tx, c.phone, r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	return said(http.StatusOK, viewOf(found, tx.Now))
}

func (s *Site) more(ctx context.Context, tx *store.Tx, r *http.Request, c call) (reply, error) {
	found, err := s.Logins.More(ctx, tx, c.phone, r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	return said(http.StatusOK, viewOf(found, tx.Now))
}

// element reads the body {"element": base64url}.
func (c call) element() ([]byte, error) {
	var body struct{ Element string }
	if err := c.read(&body); err != nil {
		return nil, err
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(body.Element)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", phone.ErrElement, err)
	}
	return b, nil
}

type nextView struct {
	Element string `json:"element"`
	Master  int    `json:"master"`
}

// evaluationView is the server's half of a PIN's key.
type evaluationView struct {
	Evaluation string    `json:"evaluation"`
	Element    string    `json:"element"`
	Epoch      string    `json:"epoch"`
	Next       *nextView `json:"next,omitempty"`
}

func evaluated(e phone.Evaluation) evaluationView {
	b64 := base64.RawURLEncoding.EncodeToString
	v := evaluationView{Evaluation: e.ID, Element: b64(e.Element), Epoch: e.Epoch}
	if e.Next != 0 {
		v.Next = &nextView{b64(e.NextElement), e.Next}
	}
	return v
}

func (s *Site) evaluate(w http.ResponseWriter, r *http.Request, c call) error {
	element, err := c.element()
	if err != nil {
		return err
	}
	e, v, err := s.Logins.Evaluate(r.Context(), c.phone, r.PathValue("id"), element, c.proof)
	return s.tellEvaluation(w, e, v, err)
}

// evaluateChange evaluates a PIN for a document that answers no request.
func (s *Site) evaluateChange(decision string) func(http.ResponseWriter, *http.Request, call) error {
	return func(w http.ResponseWriter, r *http.Request, c call) error {
		element, err := c.element()
		if err != nil {
			return err
		}
		wanted := phone.Call{Phone: c.phone.ID, Purpose: phone.ForChange(decision), Element: element, Proof: c.proof}
		e, v, err := phone.Evaluate(r.Context(), s.DB, s.Keys, wanted, func(context.Context, *store.Tx) error { return nil })
		return s.tellEvaluation(w, e, v, err)
	}
}

func (s *Site) tellEvaluation(w http.ResponseWriter, e phone.Evaluation, v phone.Verdict, err error) error {
	if err != nil {
		return err
	}
	if v.Outcome != phone.OK {
		return locked(v, store.Millis(s.DB.Now()))
	}
	return writeJSON(w, http.StatusOK, evaluated(e))
}

// answer carries out what the phone signed about a request.
func (s *Site) answer(w http.ResponseWriter, r *http.Request, c call) error {
	id := r.PathValue("id")
	a, err := s.once(r, c, aPhone, func(ctx context.Context, tx *store.Tx, _ *http.Request, c call) (reply, error) {
		d, err := c.document(s.o.Issuer, phone.Approve, phone.Refuse, phone.Report, phone.Leave)
		if err != nil {
			return reply{}, err
		}
		if d.Request != id {
			return reply{}, fmt.Errorf("%w: another request", phone.ErrDocument)
		}
		out, err := s.Logins.Answer(ctx, tx, d)
		if err != nil {
			return reply{}, err
		}
		return s.answered(out, store.Millis(tx.Now))
	})
	if errors.Is(err, login.ErrAnswered) {
		return s.howAnswered(r.Context(), id, err)
	}
	if err != nil {
		return err
	}
	return a.write(w)
}

func (s *Site) answered(out login.Outcome, now int64) (reply, error) {
	switch {
	case out.Verdict.Outcome != phone.Right:
		return s.verdict(out.Verdict, now)
	case errors.Is(out.Late, login.ErrAnswered):
		return refusal{status: http.StatusConflict, code: "answered", facts: map[string]any{"state": out.Request.State}}.reply()
	case out.Late != nil:
		f, ok := refusalOf(out.Late)
		if !ok {
			return reply{}, out.Late
		}
		return f.reply()
	}
	return said(http.StatusOK, map[string]any{"state": out.Request.State, "misses": out.Verdict.Misses})
}

// howAnswered says what became of a request that somebody else answered.
func (s *Site) howAnswered(ctx context.Context, id string, cause error) error {
	facts := map[string]any{}
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		r, err := s.Logins.Find(ctx, tx, id)
		if err == nil {
			facts["state"] = r.Status(tx.Now)
		}
		return err
	})
	if err != nil {
		return cause
	}
	return refusal{status: http.StatusConflict, code: "answered", facts: facts, err: cause}
}

// undo ends what an approval opened, at once: the session, or what its browser
// has not taken yet, and the browser's right to ring. It needs no PIN. A phone
// that was stopped undoes what it saw, and nothing later.
func (s *Site) undo(ctx context.Context, tx *store.Tx, _ *http.Request, c call) (reply, error) {
	d, err := c.document(s.o.Issuer, phone.Undo)
	if err != nil {
		return reply{}, err
	}
	p, err := phone.CheckPhone(ctx, tx, d)
	if err != nil {
		return reply{}, err
	}
	entries, err := audit.OfRequest(ctx, tx, string(p.Professional), d.Request)
	if err != nil {
		return reply{}, err
	}
	undone := audit.Event{Kind: audit.RequestUndone, Actor: "professional", Professional: string(p.Professional), Phone: p.ID, Request: d.Request, Evidence: d.Raw}
	var approved bool
	for _, e := range entries {
		switch e.Kind {
		case audit.RequestApproved:
			approved, undone.Browser, undone.Service = p.Saw(e.At), e.Browser, e.Service
		case audit.SessionOpened:
			undone.Session = e.Session
		}
	}
	if !approved {
		return reply{}, login.ErrUnknown
	}
	if _, err := s.Logins.Undo(ctx, tx, p, d.Request); err != nil {
		return reply{}, err
	}
	if _, err := session.End(ctx, tx, undone.Session, "undo", "professional"); err != nil {
		return reply{}, err
	}
	if _, err := browser.Drop(ctx, tx, undone.Browser, p.Professional, "undo"); err != nil {
		return reply{}, err
	}
	if err := audit.Record(ctx, tx, undone); err != nil {
		return reply{}, err
	}
	return said(http.StatusOK, map[string]any{"state": "undone"})
}
