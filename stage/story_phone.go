package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func (a *actors) activates(ctx context.Context, m []string) (err error) {
	a.phone, a.inbox, err = a.Activate(ctx, a.me, m[1])
	return err
}

// activatesOther activates a second phone, which the support line allows.
func (a *actors) activatesOther(ctx context.Context, m []string) (err error) {
	if err := a.Allow(ctx, a.me); err != nil {
		return err
	}
	a.other.phone, a.other.inbox, err = a.Activate(ctx, a.me, m[1])
	return err
}

// swap lets the other phone be the one that acts.
func (a *actors) swap() {
	a.phone, a.other.phone = a.other.phone, a.phone
	a.inbox, a.other.inbox = a.other.inbox, a.inbox
	a.rung, a.other.rung = a.other.rung, a.rung
	a.request, a.other.request = a.other.request, a.request
}

func (a *actors) hasMisses(ctx context.Context, m []string) error {
	me, err := a.phone.Me(ctx)
	if err != nil {
		return err
	}
	if m[1] != strconv.Itoa(me.Misses) {
		return fmt.Errorf("it has %d misses", me.Misses)
	}
	return nil
}

// keeps signs in once by code so that the browser is kept, and waits until the
// session is no longer provisional and then over.
func (a *actors) keeps(ctx context.Context, m []string) error {
	for _, line := range []string{
		`browser: asks "` + a.Services[0].Name + `"`, "browser: types " + a.me.NationalID, "phone: types the code",
		"phone: approves with " + m[2] + ", keeps the browser as " + m[1], `service: greets "` + a.me.Name + `"`, "browser: signs out",
	} {
		if err := a.do(ctx, line); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	return nil
}

func (a *actors) hasRung(ctx context.Context, m []string) error {
	want, err := strconv.Atoi(m[1])
	if err != nil {
		return err
	}
	if err := a.Pushed(ctx); err != nil {
		return err
	}
	for more := true; more; {
		select {
		case d := <-a.inbox.Deliveries:
			var ring struct {
				Seconds int `json:"seconds"`
			}
			if d.Err != nil {
				return d.Err
			}
			if err := json.Unmarshal(d.Payload, &ring); err != nil {
				return err
			}
			if strings.Contains(string(d.Payload), a.me.NationalID) || strings.Contains(string(d.Payload), a.me.Name) {
				return fmt.Errorf("the push says who it is about: %s", d.Payload)
			}
			if ring.Seconds > 0 {
				a.rung++
			}
		default:
			more = false
		}
	}
	if a.rung != want {
		return fmt.Errorf("it has rung %d times", a.rung)
	}
	return nil
}

func (a *actors) showsNone(ctx context.Context, _ []string) error {
	me, err := a.phone.Me(ctx)
	if err != nil {
		return err
	}
	if len(me.Requests) > 0 {
		return fmt.Errorf("it shows %d requests", len(me.Requests))
	}
	return nil
}

func (a *actors) typesCode(ctx context.Context, m []string) error {
	code := ""
	switch m[1] {
	case "a wrong":
		code = "000000"
		if slices.Contains(a.codes, code) {
			code = "111111"
		}
		if m[2] == "" {
			m[2] = "unknown"
		}
	case "the first":
		code = a.codes[0]
	default:
		if a.browser.Code() != "" {
			if err := a.remember(); err != nil {
				return err
			}
		}
		code = a.codes[len(a.codes)-1]
	}
	r, err := a.phone.Claim(ctx, code)
	if m[2] != "" {
		return refusedAs(err, map[string]string{"paused": "codes_paused", "unknown": "unknown_code", "replaced": "replaced_code"}[m[2]])
	}
	a.request = r
	return err
}

func refusedAs(err error, code string) error {
	if RefusedAs(err, code) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("it is not refused (%s)", code)
	}
	return fmt.Errorf("not %s: %w", code, err)
}

func (a *actors) opens(ctx context.Context, _ []string) error {
	waiting, err := a.phone.Waiting(ctx)
	if err != nil {
		return err
	}
	if len(waiting) != 1 {
		return fmt.Errorf("it shows %d requests", len(waiting))
	}
	a.request, err = a.phone.Open(ctx, waiting[0].ID)
	return err
}

func (a *actors) mustType(context.Context, []string) error {
	if !a.request.NeedsCode {
		return errors.New("it may go on without the code")
	}
	return nil
}

func (a *actors) sees(_ context.Context, m []string) error {
	f, err := a.request.Facts()
	if err != nil {
		return err
	}
	if f.Service != m[1] {
		return fmt.Errorf("it sees %q", f.Service)
	}
	return nil
}

func (a *actors) approves(ctx context.Context, m []string) error {
	keep := m[2]
	if keep == "" {
		keep = "no"
	}
	_, err := a.phone.Approve(ctx, a.request, m[1], keep)
	switch m[3] {
	case "":
		return err
	case "but the request was taken over":
		return refusedAs(err, "unknown_request")
	case "too late":
		if RefusedAs(err, "expired") || RefusedAs(err, "answered") {
			return nil
		}
		return fmt.Errorf("it is not too late: %w", orNone(err))
	}
	return refusedAs(err, map[string]string{"wrongly": "wrong_pin", "paused": "paused", "disabled": "disabled"}[m[3]])
}

func orNone(err error) error {
	if err == nil {
		return errors.New("it is done")
	}
	return err
}

func (a *actors) turnsDown(ctx context.Context, m []string) error {
	id := a.request.ID
	if id == "" {
		waiting, err := a.phone.Waiting(ctx)
		if err != nil {
			return err
		}
		if len(waiting) != 1 {
			return fmt.Errorf("it shows %d requests", len(waiting))
		}
		id = waiting[0].ID
	}
	_, err := map[string]func(context.Context, string) (Answer, error){"refuses": a.phone.Refuse, "reports": a.phone.Report, "leaves": a.phone.Leave}[m[1]](ctx, id)
	return err
}

func (a *actors) asksMore(ctx context.Context, m []string) error {
	_, err := a.phone.More(ctx, a.request.ID)
	if m[1] != "" {
		return refusedAs(err, "no_more")
	}
	return err
}

func (a *actors) phoneIs(ctx context.Context, m []string) error {
	me, err := a.phone.Me(ctx)
	if err != nil {
		return err
	}
	if me.State != m[1] {
		return fmt.Errorf("it is %s", me.State)
	}
	return nil
}
