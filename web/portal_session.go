package web

import (
	"context"
	"errors"
	"net/http"

	"vigie/browser"
	"vigie/directory"
	"vigie/login"
	"vigie/oidc"
	"vigie/session"
	"vigie/store"
)

// errAsk says that nobody may go on without a request of their own.
var errAsk = errors.New("an approval is needed")

// redeem takes what the phone approved, with the proof of the page's key.
func (s *Site) redeem(w http.ResponseWriter, r *http.Request) error {
	return s.finish(w, r, r.PostForm.Get("proof"))
}

// finish sends the browser back to the service after an approval: the request
// is redeemed, the session opened and the code granted in one transaction. The
// same browser may come again until the service has taken the code.
func (s *Site) finish(w http.ResponseWriter, r *http.Request, proof string) error {
	cookie, old := s.o.Browser.Secret(r), s.o.Session.Secret(r)
	return s.Provider.Finish(leaving(w, r), r, r.PathValue("id"), func(ctx context.Context, tx *store.Tx, a oidc.Authorization) (session.Session, error) {
		asked, found, err := s.Logins.ByAuthorization(ctx, tx, a.ID)
		if err != nil {
			return session.Session{}, err
		}
		if !found {
			return session.Session{}, login.ErrUnknown
		}
		request, err := s.Logins.Redeem(ctx, tx, asked, cookie, proof)
		if err != nil {
			return session.Session{}, err
		}
		if _, present, err := directory.Find(ctx, tx, request.Professional); err != nil || !present {
			return session.Session{}, errors.Join(err, login.ErrExpired) // left the register meanwhile
		}
		note(r, "service", a.Service, "request", request.ID)
		if asked.State == login.Redeemed {
			return again(ctx, tx, a.Session, request)
		}
		opened, _, err := session.Open(ctx, tx, newSession(request, old))
		return opened, err
	})
}

// newSession is the session that an approved request opens.
func newSession(r login.Request, cookie string) session.New {
	n := session.New{Professional: r.Professional, Kind: session.None, Means: session.Mobile, Provisional: r.Lane == login.SilentLane,
		Service: r.Service, Request: r.ID, Phone: r.ClaimedBy, Agent: r.Agent + " " + r.System, Address: r.Address, Cookie: cookie}
	kind := string(r.Kind) // proven before, or kept now
	if r.Lane == login.SilentLane {
		kind = r.Keep
	}
	switch kind {
	case string(browser.Mine):
		n.Kind = session.Mine
	case string(browser.Shared):
		n.Kind = session.Shared
	default:
		return n
	}
	n.Browser = r.Lasting.Thumbprint()
	return n
}

// again is the session of a browser that redeems a second time, because the
// first answer may have been lost.
func again(ctx context.Context, tx *store.Tx, id string, r login.Request) (session.Session, error) {
	current, _, err := session.Renew(ctx, tx, id)
	if err != nil {
		return session.Session{}, err
	}
	if current.Professional != r.Professional {
		return session.Session{}, oidc.ErrTaken
	}
	return current, nil
}

// sessionPage is what templates/portal_session.html shows: a browser that is
// signed in goes into one more service.
type sessionPage struct {
	ID        string
	Service   servicePart
	ServiceID string
	Session   string // id
	Key       string // thumbprint of the lasting key that must sign, "" when a person is asked
	Nonce     string
	Name      string
}

func (s *Site) showSession(w http.ResponseWriter, r *http.Request, v visit, next step) error {
	page := sessionPage{ID: v.authorization.ID, Service: v.service, ServiceID: v.authorization.Service, Session: v.session.ID,
		Nonce: s.Logins.Nonce(v.now, v.authorization.ID), Name: v.name}
	name := "portal_continue"
	if next == stepJoin {
		name, page.Key = "portal_join", v.session.Browser
	}
	s.allowReturn(w, v)
	return render(w, r, http.StatusOK, name, page)
}

// goOn lets a browser that is signed in into one more service: on a personal
// browser by a proof of its lasting key, elsewhere because the person said so.
func (s *Site) goOn(w http.ResponseWriter, r *http.Request) error {
	id, cookie, proof := r.PathValue("id"), s.o.Session.Secret(r), r.PostForm.Get("proof")
	var prompt oidc.Prompt
	err := s.Provider.Finish(leaving(w, r), r, id, func(ctx context.Context, tx *store.Tx, a oidc.Authorization) (session.Session, error) {
		prompt = a.Prompt
		current, signedIn, err := session.Current(ctx, tx, cookie)
		if err != nil {
			return session.Session{}, err
		}
		if !signedIn || !a.Accepts(current) {
			return session.Session{}, errAsk
		}
		note(r, "service", a.Service, "session", current.ID)
		return current, s.mayJoin(ctx, tx, current, a, proof)
	})
	if !errors.Is(err, errAsk) {
		return err
	}
	if prompt == oidc.PromptNone {
		return s.Provider.Deny(leaving(w, r), r, id, "login_required", "")
	}
	http.Redirect(leaving(w, r), r, "/login/"+id+"?step=form", http.StatusSeeOther)
	return nil
}

// mayJoin is nil when the service of a may join the session now, else errAsk.
func (s *Site) mayJoin(ctx context.Context, tx *store.Tx, current session.Session, a oidc.Authorization, proof string) error {
	if _, present, err := directory.Find(ctx, tx, current.Professional); err != nil || !present {
		return errors.Join(err, errAsk) // who left the register signs in no more
	}
	joined, err := session.Joins(ctx, tx, current.ID, a.Service)
	if err != nil {
		return err
	}
	switch decision := session.Decide(current, joined, a.Service, tx.Now); {
	case decision == session.Silent:
		kept, ok, err := browser.FindKept(ctx, tx, current.Browser, current.Professional)
		if err != nil {
			return err
		}
		want := browser.Claim{Use: browser.UseJoin, Request: current.ID, Service: a.Service}
		if !ok || kept.Key.CheckFresh(proof, want, s.Logins.Nonces(), tx.Now, a.ID) != nil {
			return errAsk
		}
		return browser.Used(ctx, tx, kept.Thumbprint, kept.Professional)
	case decision == session.Continue && a.Prompt != oidc.PromptNone:
		return nil
	}
	return errAsk
}

// notMe is somebody else at this browser: the session that was open here ends.
func (s *Site) notMe(w http.ResponseWriter, r *http.Request) error {
	if err := s.close(w, r, "not me"); err != nil {
		return err
	}
	http.Redirect(w, r, "/login/"+r.PathValue("id"), http.StatusSeeOther)
	return nil
}

// closePost ends everything on this browser.
func (s *Site) closePost(w http.ResponseWriter, r *http.Request) error {
	if err := s.close(w, r, "end of post"); err != nil {
		return err
	}
	http.Redirect(w, r, "/fin-de-poste", http.StatusSeeOther)
	return nil
}

// close ends the session of this browser, if there is one, and takes its
// cookie.
func (s *Site) close(w http.ResponseWriter, r *http.Request, why string) error {
	ctx := r.Context()
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		held, alive, err := session.Held(ctx, tx, s.o.Session.Secret(r))
		if err != nil || !alive {
			return err
		}
		_, err = session.End(ctx, tx, held.ID, why, "professional")
		return err
	})
	if err != nil {
		return err
	}
	s.o.Session.Clear(w)
	return nil
}

// endPage is what templates/portal_end.html shows.
type endPage struct {
	Name     string // who is signed in here, "" for nobody
	Services []string
}

// endOfPost asks whether to close everything here, or says that it is done.
func (s *Site) endOfPost(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	var page endPage
	err := s.DB.Read(ctx, func(tx *store.Tx) error {
		page = endPage{}
		held, alive, err := session.Held(ctx, tx, s.o.Session.Secret(r))
		if err != nil || !alive {
			return err
		}
		if page.Name, err = nameOf(ctx, tx, held.Professional); err != nil {
			return err
		}
		if page.Name == "" {
			page.Name = held.Professional.Short()
		}
		joined, err := session.Services(ctx, tx, held.ID)
		if err != nil {
			return err
		}
		for _, j := range joined {
			service, found, err := oidc.FindService(ctx, tx, j.Service)
			if err != nil {
				return err
			}
			if found {
				page.Services = append(page.Services, service.Name)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return render(w, r, http.StatusOK, "portal_end", page)
}
