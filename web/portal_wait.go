package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"vigie/directory"
	"vigie/guard"
	"vigie/login"
	"vigie/oidc"
	"vigie/store"
)

// beat is the longest silence of a stream: a page that hears nothing for 5 s
// asks by itself.
const beat = 3 * time.Second

// progress is what a waiting page must know, as it stands in the page, in the
// events and in /state. Until a phone has claimed the request, nothing in it
// depends on whether the number exists.
type progress struct {
	Status    string `json:"status"`     // "new" before anything was asked, else as of login.State
	Request   string `json:"request"`    // id
	Service   string `json:"service"`    // id
	Lane      string `json:"lane"`       // "ring" or "silent"
	Held      bool   `json:"held"`       // a phone has opened or claimed it
	NeedsCode bool   `json:"needs_code"` // a ring on a shared post: the code comes before the PIN
	Keyed     bool   `json:"keyed"`      // the page's key must sign to go on
	Code      string `json:"code"`       // to type into the app, "" when there is none to type
	Expires   int64  `json:"expires"`    // Unix milliseconds
	Now       int64  `json:"now"`        // Unix milliseconds
	Whole     int64  `json:"whole"`      // milliseconds of the whole countdown
	Name      string `json:"name"`       // whose sign-in it is, once a phone has it
	Nonce     string `json:"nonce"`      // for the page's next proof

	over bool          // nothing more will come
	due  time.Duration // until the code or the request runs out
}

// progress reads where the latest request of v stands, and gives it its next
// code when that is due.
func (s *Site) progress(ctx context.Context, v visit, cookie string) (progress, error) {
	if !v.asked {
		return progress{Status: "new", Service: v.authorization.Service, Now: store.Millis(v.now), Nonce: s.Logins.Nonce(v.now, v.authorization.ID), over: true}, nil
	}
	now := v.now
	if v.request.CodeIsStale(now) {
		err := s.DB.Write(ctx, func(tx *store.Tx) (err error) {
			now = tx.Now
			v.request, err = s.Logins.RenewCode(ctx, tx, v.request.ID, cookie)
			return err
		})
		if err != nil {
			return progress{}, err
		}
	}
	r := v.request
	p := progress{
		Status: string(r.Status(now)), Request: r.ID, Service: r.Service, Lane: string(r.Lane), Held: r.ClaimedBy != "",
		NeedsCode: r.NeedsCode(), Keyed: r.Ephemeral.Thumbprint() != "", Expires: store.Millis(r.Expires), Now: store.Millis(now),
		Whole: whole(r).Milliseconds(), Nonce: s.Logins.Nonce(now, r.ID), due: r.Expires.Sub(now),
	}
	if r.Status(now) == login.Pending && (!p.Held || p.NeedsCode) {
		var until time.Time
		p.Code, until = s.Logins.Code(r)
		if p.Code != "" {
			p.due = min(p.due, until.Sub(now))
		}
	}
	p.due = max(p.due, time.Second/10) // clocks differ a little; no page may spin
	switch r.Status(now) {
	case login.Pending, login.Approved:
	default:
		p.over = true
	}
	if p.Held || r.Lane == login.RingLane {
		err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
			p.Name, err = nameOf(ctx, tx, r.Professional)
			return err
		})
		if err != nil {
			return progress{}, err
		}
	}
	return p, nil
}

// whole is how long the countdown of r is when it begins.
func whole(r login.Request) time.Duration {
	switch {
	case r.State == login.Approved || r.State == login.Redeemed:
		return login.ApprovedLife
	case r.ClaimedBy != "":
		return login.OpenLife + time.Duration(r.Extended)*login.ExtraLife
	case r.Lane == login.RingLane:
		return login.RingLife
	}
	return login.SilentLife
}

// waitPage is what templates/portal_wait.html shows.
type waitPage struct {
	ID       string // of the authorization
	Service  servicePart
	Progress progress
	State    string   // Progress as JSON, for the script
	Step     string   // code, ring, held or done: which part shows
	Groups   []string // of the code: one text, in two groups to the eye
	Left     countdown
	Number   string       // as typed, to compare; "" in the ringing lane
	Choice   directory.ID // ringing lane: who may be asked for a code instead
	TooOften bool         // why a proven browser did not ring
	NoPhone  bool
	App      string
	Support  string
}

func (s *Site) showWaiting(w http.ResponseWriter, r *http.Request, v visit) error {
	p, err := s.progress(r.Context(), v, s.o.Browser.Secret(r))
	if err != nil {
		return err
	}
	state, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding the state of a page: %w", err)
	}
	page := waitPage{ID: v.authorization.ID, Service: v.service, Progress: p, State: string(state), Step: p.step(),
		Left:     newCountdown(time.Duration(p.Expires-p.Now)*time.Millisecond, time.Duration(p.Whole)*time.Millisecond),
		TooOften: v.request.Verdict == guard.TooOften, NoPhone: v.request.Verdict == guard.NobodyHome, App: s.o.App, Support: s.o.Support}
	if half := len(p.Code) / 2; half > 0 {
		page.Groups = []string{p.Code[:half], p.Code[half:]}
	}
	if v.request.Lane == login.RingLane {
		page.Choice = v.request.Professional
	} else {
		page.Number = grouped4(v.request.Professional)
	}
	s.allowReturn(w, v)
	return render(w, r, http.StatusOK, "portal_wait", page)
}

// step names the part of the page that shows.
func (p progress) step() string {
	switch {
	case p.Status == string(login.Approved) || p.Status == string(login.Redeemed):
		return "done"
	case p.Held && !p.NeedsCode:
		return "held"
	case p.Lane == string(login.RingLane):
		return "ring"
	}
	return "code"
}

// grouped4 writes a national id in groups that stay together, so that its last
// four characters, which the app shows too, stand alone: "8997 0000 0017".
func grouped4(id directory.ID) string {
	s, groups := id.String(), ""
	for len(s) > 4 {
		s, groups = s[:len(s)-4], "\u00a0"+s[len(s)-4:]+groups
	}
	return s + groups
}

// state answers where the request stands, for pages without a stream.
func (s *Site) state(w http.ResponseWriter, r *http.Request) error {
	p, err := s.look(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, p)
}

// look is progress for a page that waits.
func (s *Site) look(r *http.Request) (progress, error) {
	ctx := r.Context()
	var v visit
	err := s.DB.Read(ctx, func(tx *store.Tx) (err error) {
		v = visit{now: tx.Now}
		if v.authorization, err = s.Provider.Authorization(ctx, tx, r.PathValue("id")); err != nil {
			return err
		}
		if !v.authorization.OfBrowser(s.o.Browser.Secret(r)) {
			return oidc.ErrNotYours
		}
		v.request, v.asked, err = s.Logins.ByAuthorization(ctx, tx, v.authorization.ID)
		return err
	})
	if err != nil {
		return progress{}, err
	}
	return s.progress(ctx, v, s.o.Browser.Secret(r))
}

// events streams progress as server-sent events (HTML §9.2): one at once, one
// after each change, and a beat in between. It reads the database only when the
// hub says that something changed, or when a code or the request runs out.
func (s *Site) events(w http.ResponseWriter, r *http.Request) error {
	p, err := s.look(r)
	if err != nil {
		return err
	}
	return s.stream(func() { s.follow(w, r, p) })
}

// follow streams from p on, until nothing more will come.
func (s *Site) follow(w http.ResponseWriter, r *http.Request, p progress) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not wait for more
	var err error
	for more := true; more; {
		key := p.Request
		changed, stop := s.Logins.Hub().Wait(key)
		// Read after Wait: what happens in between must not be missed.
		if p, err = s.look(r); err == nil {
			err = tell(w, "message", p)
		}
		more = err == nil && !p.over && (p.Request != key || s.await(w, r, changed, p.due))
		stop()
	}
	lineOf(r).err = err // the answer has begun: only the log can say it
}

// await waits until something may have changed or is due, and beats meanwhile.
// It says false when the stream is over.
func (s *Site) await(w http.ResponseWriter, r *http.Request, changed <-chan struct{}, due time.Duration) bool {
	timer := time.NewTimer(due)
	defer timer.Stop()
	beats := time.NewTicker(beat)
	defer beats.Stop()
	for {
		select {
		case <-changed:
			return true
		case <-timer.C:
			return true
		case <-r.Context().Done():
			return false
		case <-s.ending:
			return false
		case <-beats.C:
			if tell(w, "beat", "") != nil {
				return false
			}
		}
	}
}

// tell sends one event and waits until it has left.
func tell(w http.ResponseWriter, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	stream := http.NewResponseController(w)
	// A server's limit for whole answers does not fit a stream; where none can
	// be set (a test's recorder), none is there.
	_ = stream.SetWriteDeadline(time.Time{})
	if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, b); err != nil {
		return err
	}
	return stream.Flush()
}
