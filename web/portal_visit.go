package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"vigie/browser"
	"vigie/directory"
	"vigie/login"
	"vigie/oidc"
	"vigie/session"
	"vigie/store"
)

// visit is everything stored that decides what a browser sees of an
// authorization, read at one instant.
type visit struct {
	now           time.Time
	authorization oidc.Authorization
	yours         bool // this browser was sent by the service
	service       servicePart
	request       login.Request // the latest one; zero when none was asked
	asked         bool
	session       session.Session // that this browser holds; zero without
	signedIn      bool
	joined        bool   // the service is in that session
	name          string // whose session it is
}

// servicePart is what templates/part_service.html shows.
type servicePart struct {
	Name string
	Logo string // address of a picture, "" without
}

// visit reads what is stored about the authorization id for the browser of r,
// without its session.
// Nothing here depends on a number that somebody typed.
func (s *Site) visit(ctx context.Context, tx *store.Tx, r *http.Request, id string) (visit, error) {
	v := visit{now: tx.Now}
	var err error
	if v.authorization, err = s.Provider.Authorization(ctx, tx, id); err != nil {
		return visit{}, err
	}
	if v.yours = v.authorization.OfBrowser(s.o.Browser.Secret(r)); !v.yours {
		return v, nil
	}
	v.service.Name = v.authorization.ServiceName
	if v.authorization.HasLogo {
		v.service.Logo = "/logos/" + v.authorization.Service
	}
	v.request, v.asked, err = s.Logins.ByAuthorization(ctx, tx, id)
	return v, err
}

// withSession adds the session that the browser of r holds, for the steps that
// may depend on it.
func (s *Site) withSession(ctx context.Context, tx *store.Tx, r *http.Request, v visit) (visit, error) {
	if !v.yours {
		return v, nil
	}
	var err error
	if v.session, v.signedIn, err = session.Current(ctx, tx, s.o.Session.Secret(r)); err != nil || !v.signedIn {
		return v, err
	}
	if v.joined, err = session.Joins(ctx, tx, v.session.ID, v.authorization.Service); err != nil {
		return visit{}, err
	}
	v.name, err = nameOf(ctx, tx, v.session.Professional)
	return v, err
}

// nameOf is how pages call a professional; "" when the register does not know
// them any more.
func nameOf(ctx context.Context, tx *store.Tx, id directory.ID) (string, error) {
	p, found, err := directory.Find(ctx, tx, id)
	if err != nil || !found {
		return "", err
	}
	return p.DisplayName(), nil
}

// step is what the dispatcher shows next.
type step string

// The steps of an authorization.
const (
	stepElsewhere step = "elsewhere" // another browser's
	stepGone      step = "gone"      // too old
	stepFinished  step = "finished"  // the service has its answer
	stepWait      step = "wait"      // a request waits for the phone, or for the page's key
	stepRedeem    step = "redeem"    // approved, and the browser set no key
	stepOver      step = "over"      // a request ended without an approval
	stepJoin      step = "join"      // the lasting key signs, nobody is asked
	stepContinue  step = "continue"  // who is signed in goes on, or is somebody else
	stepDeny      step = "deny"      // prompt=none, and somebody would have to be asked
	stepForm      step = "form"      // who are you?
)

// underWay says that a request decides what comes next, and no session.
func (v visit) underWay() bool {
	if !v.asked {
		return false
	}
	switch v.request.Status(v.now) {
	case login.Pending, login.Approved, login.Redeemed:
		return true
	}
	return false
}

// step decides from what is stored alone. Form is the wish, by a link of ours,
// to be asked who one is although something else could go on.
func (v visit) step(form bool) step {
	a := v.authorization
	switch {
	case !v.yours:
		return stepElsewhere
	case a.Taken:
		return stepFinished
	case !v.now.Before(a.Expires):
		return stepGone
	}
	if v.asked {
		switch v.request.Status(v.now) {
		case login.Approved, login.Redeemed:
			if v.request.Ephemeral.Thumbprint() == "" {
				return stepRedeem
			}
			return stepWait
		case login.Pending:
			if !form {
				return stepWait
			}
		case login.Refused, login.Reported, login.Left, login.Expired:
			if !form {
				return stepOver
			}
		}
	}
	if v.signedIn && !form && a.Accepts(v.session) {
		switch decision := session.Decide(v.session, v.joined, a.Service, v.now); {
		case decision == session.Silent:
			return stepJoin
		case decision == session.Continue && a.Prompt != oidc.PromptNone:
			return stepContinue
		}
	}
	if a.Prompt == oidc.PromptNone {
		return stepDeny
	}
	return stepForm
}

// remembered is a professional who keeps this browser: one click.
type remembered struct {
	ID         directory.ID
	Thumbprint string // of the browser's lasting key
	Label      string // a name, or initials on a shared post
	Initials   string
	Shared     bool
}

// letters are initials as a small round picture shows them: "AM".
var letters = strings.NewReplacer(".", "", " ", "")

// remembered returns the professionals who keep the browser of r.
func (s *Site) remembered(ctx context.Context, tx *store.Tx, r *http.Request) ([]remembered, error) {
	kept, err := browser.Remembered(ctx, tx, s.o.Browser.Secret(r))
	if err != nil {
		return nil, err
	}
	var all []remembered
	for _, k := range kept {
		p, found, err := directory.Find(ctx, tx, k.Professional)
		if err != nil {
			return nil, err
		}
		if !found {
			continue // left the register: signs in no more
		}
		one := remembered{ID: k.Professional, Thumbprint: k.Thumbprint, Label: p.DisplayName(), Initials: letters.Replace(p.Initials()), Shared: k.Kind == browser.Shared}
		if one.Shared {
			one.Label = p.Initials() // a name only once it is chosen
		}
		all = append(all, one)
	}
	return all, nil
}
