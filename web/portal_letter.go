package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"vigie/phone"
	"vigie/store"
)

// letterPage is what templates/portal_letter.html shows: the page behind the
// link of a letter that carried a code. Looking at it does nothing, because
// programs that look into mail follow links.
type letterPage struct {
	Token   string
	Sent    string // when the letter left
	CanSend bool   // the next pair was not asked for yet
	Stopped string // until when asks of others are stopped, "" when they are not
}

func (s *Site) letter(w http.ResponseWriter, r *http.Request) error {
	if s.Activation == nil {
		return notFound(w, r)
	}
	page := letterPage{Token: r.PathValue("token")}
	var stored phone.ButtonPage
	err := s.DB.Read(r.Context(), func(tx *store.Tx) (err error) {
		stored, err = s.Activation.Button(r.Context(), tx, page.Token)
		return err
	})
	if err != nil {
		return letterFault(err)
	}
	page.Sent, page.CanSend = s.moment(r, stored.Sent), stored.CanSend
	if !stored.Stopped.IsZero() {
		page.Stopped = s.moment(r, stored.Stopped)
	}
	return render(w, r, http.StatusOK, "portal_letter", page)
}

// pressLetter carries out one of the page's two buttons.
func (s *Site) pressLetter(deed func(a *phone.Activation, ctx context.Context, tx *store.Tx, token, address, agent string) error) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if s.Activation == nil {
			return notFound(w, r)
		}
		token := r.PathValue("token")
		err := s.DB.Write(r.Context(), func(tx *store.Tx) error {
			return deed(s.Activation, r.Context(), tx, token, address(r), shorten(r.UserAgent()))
		})
		if err != nil {
			return letterFault(err)
		}
		http.Redirect(w, r, "/activation/"+token, http.StatusSeeOther)
		return nil
	}
}

func letterFault(err error) error {
	if errors.Is(err, phone.ErrToken) {
		return fault{http.StatusGone, "letter_gone", err}
	}
	return err
}

// moment writes an instant as people read it, in the deployment's time.
func (s *Site) moment(r *http.Request, at time.Time) string {
	if s.Activation.Zone != nil {
		at = at.In(s.Activation.Zone)
	}
	if languageOf(r) == "en" {
		return at.Format("2 January 2006 at 15:04")
	}
	return at.Format("02/01/2006 à 15:04")
}
