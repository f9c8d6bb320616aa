package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (a *actors) asks(ctx context.Context, name string) error {
	i := slices.IndexFunc(a.Services, func(s *Service) bool { return s.Name == name })
	if i < 0 {
		return fmt.Errorf("there is no service %q", name)
	}
	a.service, a.codes, a.request = a.Services[i], nil, Request{}
	return a.browser.Visit(ctx, a.service.URL+"/login")
}

func (a *actors) types(ctx context.Context, id string) error {
	if err := a.browser.Type(ctx, id); err != nil {
		return err
	}
	return a.remember()
}

func (a *actors) remember() error {
	code := a.browser.Code()
	if code == "" {
		return errors.New("the page shows no code")
	}
	if !slices.Contains(a.codes, code) {
		a.codes = append(a.codes, code)
	}
	return nil
}

func (a *actors) seesCode(ctx context.Context, m []string) error {
	before := len(a.codes)
	if err := a.browser.Look(ctx); err != nil {
		return err
	}
	if err := a.remember(); err != nil {
		return err
	}
	if m[1] == "another" && len(a.codes) == before {
		return errors.New("it is the code from before")
	}
	return nil
}

func (a *actors) seesRing(ctx context.Context, _ []string) error {
	s, err := a.browser.State(ctx)
	if err != nil {
		return err
	}
	if s.Lane != "ring" || s.Status != "pending" {
		return fmt.Errorf("the request is %s in the %s lane", s.Status, s.Lane)
	}
	return nil
}

func (a *actors) ringsInVain(ctx context.Context, m []string) error {
	times, err := strconv.Atoi(m[3])
	if err != nil {
		return err
	}
	for range times {
		if err := a.asks(ctx, m[2]); err != nil {
			return err
		}
		if err := a.browser.Choose(ctx, m[1]); err != nil {
			return err
		}
		a.Pass(61 * time.Second)
	}
	return nil
}

func (a *actors) remembersNobody(context.Context, []string) error {
	if strings.Contains(a.browser.page, `name="choice"`) {
		return errors.New("it offers a name")
	}
	return nil
}

func (a *actors) isTold(ctx context.Context, m []string) error {
	s, err := a.browser.State(ctx)
	if err != nil {
		return err
	}
	if s.Status != m[1] {
		return fmt.Errorf("it is told %q", s.Status)
	}
	return a.browser.Look(ctx)
}

func (a *actors) mustProve(context.Context, []string) error {
	if a.browser.attribute("data-authorization") == "" || !strings.Contains(a.browser.page, `name="national_id"`) {
		return fmt.Errorf("it is at %s, not at the form", a.browser.at)
	}
	return nil
}

func (a *actors) isAsked(context.Context, []string) error {
	if !strings.Contains(a.browser.page, "/continue") {
		return fmt.Errorf("it is at %s, and is not asked", a.browser.at)
	}
	return nil
}

// cannotTake goes back to the page of the sign-in and tries once more.
func (a *actors) cannotTake(ctx context.Context, _ []string) error {
	for authorization := range a.browser.keys {
		if err := a.browser.Visit(ctx, a.Portal+"/login/"+authorization); err != nil {
			return err
		}
	}
	if strings.HasPrefix(a.browser.at.String(), a.service.URL) && a.browser.at.Query().Get("error") == "" {
		return fmt.Errorf("it is sent to the service, at %s", a.browser.at)
	}
	return nil
}

func (a *actors) endShift(ctx context.Context) error {
	if err := a.browser.Visit(ctx, a.Portal+"/fin-de-poste"); err != nil {
		return err
	}
	return a.browser.Post(ctx, "/fin-de-poste")
}

// attacks is somebody who knows a public number: each time a new browser.
func (a *actors) attacks(ctx context.Context, m []string) error {
	times, err := strconv.Atoi(m[3])
	if err != nil {
		return err
	}
	minutes, err := strconv.Atoi(m[4])
	if err != nil {
		return err
	}
	i := slices.IndexFunc(a.Services, func(s *Service) bool { return s.Name == m[1] })
	if i < 0 {
		return fmt.Errorf("there is no service %q", m[1])
	}
	for range times {
		b, err := NewBrowser(a.Browser)
		if err != nil {
			return err
		}
		if err := b.Visit(ctx, a.Services[i].URL+"/login"); err != nil {
			return err
		}
		if err := b.Type(ctx, m[2]); err != nil {
			return err
		}
		if b.Code() == "" {
			return errors.New("the attacker sees no code")
		}
		a.Pass(time.Duration(minutes) * time.Minute / time.Duration(times))
	}
	return nil
}
