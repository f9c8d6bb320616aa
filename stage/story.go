package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
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
	other   struct { // the professional's other phone
		phone   *Phone
		inbox   *loopback.Inbox
		rung    int
		request Request
	}
	inbox *loopback.Inbox
	rung  int
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
		{`professional: activates another phone with (\d{4})`, (*actors).activatesOther},
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
		{`phone: approves with (\d{4})(?:, keeps the browser as (mine|shared))?(?:, (wrongly|paused|disabled|too late|but the request was taken over))?`, (*actors).approves},
		{`phone: (refuses|reports|leaves)`, (*actors).turnsDown},
		{`phone: asks for one more minute(, in vain)?`, (*actors).asksMore},
		{`phone: has (\d+) misses`, (*actors).hasMisses},
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
	if deed, is := strings.CutPrefix(line, "other phone: "); is {
		a.swap()
		defer a.swap()
		return a.do(ctx, "phone: "+deed)
	}
	for _, d := range deeds() {
		if m := regexp.MustCompile("^(?:" + d.pattern + ")$").FindStringSubmatch(line); m != nil {
			return d.do(a, ctx, m)
		}
	}
	return errors.New("nobody knows how to do this")
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
