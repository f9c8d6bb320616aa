package stage

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigie/push/loopback"
)

// Story is a text of one deed a line: "actor: deed". Lines that begin with #
// are for readers. Everything is about the first person of the world unless a
// line names another.
type Story []string

// ParseStory reads a story.
func ParseStory(r io.Reader) (Story, error) {
	var s Story
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		s = append(s, line)
	}
	return s, lines.Err()
}

// actors are who acts in one playing of a story.
type actors struct {
	World
	me      Person
	phone   *Phone
	browser *Browser
	service *Service // that the browser last asked for
	request Request  // that the phone last claimed or opened
	codes   []string // that the screen has shown
	visit   visitOf
	inbox   *loopback.Inbox
	rung    int
}

// visitOf is what a service was told at the last greeting.
type visitOf struct{ access, refresh, code string }

// Play carries out the story; the error names the line that went wrong.
func (s Story) Play(ctx context.Context, w World) error {
	a := &actors{World: w, me: w.People[0]}
	var err error
	if a.browser, err = NewBrowser(w.Browser); err != nil {
		return err
	}
	for _, line := range s {
		if err := a.do(ctx, line); err != nil {
			return fmt.Errorf("%s\n\t%w", line, err)
		}
	}
	return nil
}

// deed is one kind of line.
type deed struct {
	pattern string
	do      func(a *actors, ctx context.Context, m []string) error
}

func deeds() []deed {
	return []deed{
		{`professional: activates a phone with (\d{4})`, (*actors).activates},
		{`professional: keeps this browser as (mine|shared) with (\d{4})`, (*actors).keeps},

		{`browser: asks "(.+)"`, func(a *actors, ctx context.Context, m []string) error { return a.asks(ctx, m[1]) }},
		{`browser: types (\S+)`, func(a *actors, ctx context.Context, m []string) error { return a.types(ctx, m[1]) }},
		{`browser: chooses (\S+)`, func(a *actors, ctx context.Context, m []string) error { return a.browser.Choose(ctx, m[1]) }},
		{`browser: rings (\S+) for "(.+)" (\d+) times in vain`, (*actors).ringsInVain},
		{`browser: sees (a|another) code`, (*actors).seesCode},
		{`browser: sees that the phone rings`, (*actors).seesRing},
		{`browser: remembers nobody`, (*actors).remembersNobody},
		{`browser: is told "(.+)"`, (*actors).isTold},
		{`browser: must prove itself`, (*actors).mustProve},
		{`browser: is asked whether to continue`, (*actors).isAsked},
		{`browser: continues`, func(a *actors, ctx context.Context, _ []string) error { return a.browser.Post(ctx, "./continue") }},
		{`browser: gives up`, func(a *actors, ctx context.Context, _ []string) error { return a.browser.Post(ctx, "./cancel") }},
		{`browser: cannot take what was approved`, (*actors).cannotTake},
		{`browser: ends the shift`, func(a *actors, ctx context.Context, _ []string) error { return a.endShift(ctx) }},
		{`browser: signs out`, func(a *actors, ctx context.Context, _ []string) error {
			return a.browser.Visit(ctx, a.service.URL+"/logout")
		}},

		{`phone: has rung (\d+) times`, (*actors).hasRung},
		{`phone: shows no request`, (*actors).showsNone},
		{`phone: types (the|the first|a wrong) code(?:, (paused|unknown|replaced))?`, (*actors).typesCode},
		{`phone: opens the request`, (*actors).opens},
		{`phone: must type the code`, (*actors).mustType},
		{`phone: sees "(.+)"`, (*actors).sees},
		{`phone: approves with (\d{4})(?:, keeps the browser as (mine|shared))?(?:, (wrongly|paused|disabled|too late))?`, (*actors).approves},
		{`phone: (refuses|reports|leaves)`, (*actors).turnsDown},
		{`phone: asks for one more minute(, in vain)?`, (*actors).asksMore},
		{`phone: is (active|asleep|disabled|paused)`, (*actors).phoneIs},

		{`service: greets (nobody|"(.+)")`, (*actors).greets},
		{`service: is told (who it is|nothing any more)`, (*actors).toldMore},
		{`service: presents the code again, in vain`, (*actors).replays},
		{`service: learns (\w+)`, (*actors).learns},

		{`attacker: asks "(.+)" for (\S+), (\d+) times in (\d+) minutes`, (*actors).attacks},
		{`directory: is imported (again|without (\S+))`, (*actors).imports},
		{`clock: (\d+) seconds pass`, (*actors).passes},
	}
}

func (a *actors) do(ctx context.Context, line string) error {
	for _, d := range deeds() {
		if m := regexp.MustCompile("^(?:" + d.pattern + ")$").FindStringSubmatch(line); m != nil {
			return d.do(a, ctx, m)
		}
	}
	return errors.New("nobody knows how to do this")
}

func (a *actors) activates(ctx context.Context, m []string) (err error) {
	a.phone, a.inbox, err = a.Activate(ctx, a.me, m[1])
	return err
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

func (a *actors) greets(ctx context.Context, m []string) error {
	if _, waiting := a.browser.waiting(); waiting {
		if err := a.browser.Look(ctx); err != nil {
			return err
		}
	}
	greeted, seen, err := a.greeting(ctx)
	if err != nil {
		return err
	}
	if want := m[2]; greeted != want {
		return fmt.Errorf("it greets %q; the browser is at %s", greeted, a.browser.at)
	}
	if m[2] != "" {
		a.visit = seen
	}
	return nil
}

// greeting is whom the service greets in this browser, "" for nobody.
func (a *actors) greeting(ctx context.Context) (string, visitOf, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.service.URL+"/me", nil)
	if err != nil {
		return "", visitOf{}, err
	}
	resp, err := a.browser.client.Do(r)
	if err != nil {
		return "", visitOf{}, err
	}
	defer resp.Body.Close()
	var me struct {
		Greeting string `json:"greeting"`
		Access   string `json:"access_token"`
		Refresh  string `json:"refresh_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&me); err != nil {
		return "", visitOf{}, err
	}
	return me.Greeting, visitOf{access: me.Access, refresh: me.Refresh, code: a.service.LastCode()}, nil
}

// toldMore asks userinfo, introspection and refresh with what the service holds.
func (a *actors) toldMore(ctx context.Context, m []string) error {
	userinfo, err := a.status(ctx, http.MethodGet, "/protocol/openid-connect/userinfo", nil, "Bearer "+a.visit.access)
	if err != nil {
		return err
	}
	var told struct {
		Active bool `json:"active"`
	}
	if _, err := a.post(ctx, "/protocol/openid-connect/token/introspect", url.Values{"token": {a.visit.access}}, &told); err != nil {
		return err
	}
	if m[1] == "who it is" {
		if userinfo != http.StatusOK || !told.Active {
			return fmt.Errorf("userinfo answers %d, introspection active=%t", userinfo, told.Active)
		}
		return nil
	}
	refreshed, err := a.post(ctx, "/protocol/openid-connect/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {a.visit.refresh}}, nil)
	if err != nil {
		return err
	}
	if userinfo == http.StatusOK || told.Active || refreshed == http.StatusOK {
		return fmt.Errorf("userinfo answers %d, introspection active=%t, refresh %d", userinfo, told.Active, refreshed)
	}
	return nil
}

func (a *actors) replays(ctx context.Context, _ []string) error {
	status, err := a.post(ctx, "/protocol/openid-connect/token", url.Values{"grant_type": {"authorization_code"}, "code": {a.visit.code},
		"redirect_uri": {a.service.RedirectURI()}, "code_verifier": {a.service.LastVerifier()}}, nil)
	if err == nil && status != http.StatusBadRequest {
		err = fmt.Errorf("the token endpoint answers %d", status)
	}
	return err
}

func (a *actors) post(ctx context.Context, path string, form url.Values, v any) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.service.Issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	r.SetBasicAuth(a.service.ID, a.service.Secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := a.HTTP.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if v != nil {
		return resp.StatusCode, json.NewDecoder(resp.Body).Decode(v)
	}
	return resp.StatusCode, nil
}

func (a *actors) status(ctx context.Context, method, path string, body io.Reader, authorization string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, method, a.service.Issuer+path, body)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", authorization)
	resp, err := a.HTTP.Do(r)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func (a *actors) learns(_ context.Context, m []string) error {
	if got := a.browser.at.Query().Get("error"); got != m[1] {
		return fmt.Errorf("it learns %q at %s", got, a.browser.at)
	}
	return nil
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

func (a *actors) imports(ctx context.Context, m []string) error { return a.Import(ctx, m[2]) }

func (a *actors) passes(_ context.Context, m []string) error {
	seconds, err := strconv.Atoi(m[1])
	if err != nil {
		return err
	}
	a.Pass(time.Duration(seconds) * time.Second)
	return nil
}
