package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"vigie/stage"
)

// PhoneCmd is a phone in the terminal, for tests, load and people without a
// smartphone at hand. Each command prints one JSON object on standard output
// (listen: one a line) and words on standard error; it fails with status 1, and
// then the object has "error".
type PhoneCmd struct {
	Ask       phoneAskCmd      `cmd:"" help:"Have two codes sent, by SMS and by e-mail."`
	Activate  phoneActivateCmd `cmd:"" help:"Activate a phone with the two codes."`
	Me        phoneMeCmd       `cmd:"" help:"Show how the phone stands, and what waits."`
	Listen    phoneListenCmd   `cmd:"" help:"Print what reaches the phone, one JSON object a line, until interrupted."`
	Claim     phoneClaimCmd    `cmd:"" help:"Fetch the request whose screen shows a code."`
	Approve   phoneApproveCmd  `cmd:"" help:"Approve a request with the PIN."`
	Refuse    phoneRefuseCmd   `cmd:"" help:"Refuse a request."`
	Report    phoneReportCmd   `cmd:"" help:"Refuse a request and say that somebody else asked."`
	Leave     phoneLeaveCmd    `cmd:"" help:"Quit a request without judging it."`
	More      phoneMoreCmd     `cmd:"" help:"Ask for one more minute."`
	Undo      phoneUndoCmd     `cmd:"" help:"End at once what an approval opened."`
	ChangePIN phoneChangeCmd   `cmd:"" name:"change-pin" help:"Change the PIN."`
	Silence   phoneSilenceCmd  `cmd:"" help:"Have the phone ring no more, or again."`
	Sleep     phoneSleepCmd    `cmd:"" help:"Put the phone to sleep; its PIN wakes it for seven days."`
	Wake      phoneWakeCmd     `cmd:"" help:"Wake the phone."`
}

// phoneFile is the phone that most commands are for.
type phoneFile struct {
	Store string `required:"" help:"File that holds the phone." type:"path"`
}

// phoneOptions are what a terminal phone needs of the world.
func phoneOptions(e env, server string) stage.PhoneOptions {
	return stage.PhoneOptions{Server: server, Now: time.Now, Warn: func(words string) { fmt.Fprintln(e.err, "vigie phone:", words) }}
}

func (f phoneFile) open(e env) (*stage.Phone, error) {
	return stage.OpenPhone(f.Store, phoneOptions(e, ""))
}

// use opens the phone, does one thing with it, and prints what came of it.
func (f phoneFile) use(e env, do func(*stage.Phone) (any, error)) error {
	p, err := f.open(e)
	if err != nil {
		return printed(e, nil, err)
	}
	v, err := do(p)
	return printed(e, v, err)
}

// printed prints v, or for an error an object that has "error".
func printed(e env, v any, err error) error {
	if refused, ok := errors.AsType[*stage.Refused](err); ok {
		v = refused
	} else if err != nil {
		v = map[string]string{"error": "failed", "message": err.Error()}
	}
	if err := json.NewEncoder(e.out).Encode(v); err != nil {
		return err
	}
	return err
}

type phoneAskCmd struct {
	Server     string `required:"" help:"Base URL of the portal."`
	NationalID string `required:"" name:"national-id" help:"National id (RPPS)."`
	Mobile     string `required:"" help:"Mobile number in the register."`
	Email      string `required:"" help:"E-mail address in the register."`
}

// Run asks for two codes.
func (c *phoneAskCmd) Run(ctx context.Context, e env) error {
	err := stage.AskCodes(ctx, phoneOptions(e, c.Server), c.NationalID, c.Mobile, c.Email)
	if err == nil {
		fmt.Fprintln(e.err, "If the three facts are those of the register, two codes arrive within a minute.")
	}
	return printed(e, map[string]bool{"asked": true}, err)
}

type phoneActivateCmd struct {
	phoneFile
	Server     string `required:"" help:"Base URL of the portal."`
	NationalID string `required:"" name:"national-id" help:"National id (RPPS)."`
	SMS        string `required:"" name:"sms" help:"Code that came by SMS."`
	Email      string `required:"" help:"Code that came by e-mail."`
	PIN        string `required:"" name:"pin" help:"Four digits to choose."`
	Name       string `help:"What to call the phone." default:"Terminal"`
}

// Run activates a phone.
func (c *phoneActivateCmd) Run(ctx context.Context, e env) error {
	p, err := stage.Activate(ctx, phoneOptions(e, c.Server), stage.NewPhone{
		NationalID: c.NationalID, SMS: c.SMS, Email: c.Email, PIN: c.PIN, Name: c.Name, File: c.Store,
	})
	if err != nil {
		return printed(e, nil, err)
	}
	return printed(e, map[string]string{"phone": p.ID(), "name": p.Name(), "store": c.Store}, nil)
}

type phoneMeCmd struct{ phoneFile }

// Run shows how the phone stands.
func (c *phoneMeCmd) Run(ctx context.Context, e env) error {
	return c.use(e, func(p *stage.Phone) (any, error) { return p.Me(ctx) })
}

type phoneListenCmd struct {
	phoneFile
	Via string `enum:"both,push,stream" default:"both" help:"Ways to listen: push (Web Push to an endpoint on this machine), stream (server-sent events), or both."`
}

// Run prints what reaches the phone.
func (c *phoneListenCmd) Run(ctx context.Context, e env) error {
	p, err := c.open(e)
	if err != nil {
		return printed(e, nil, err)
	}
	lines := json.NewEncoder(e.out)
	var failed error
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err = p.Listen(ctx, c.Via != "stream", func(h stage.Heard) {
		if c.Via == "push" && h.Via != "push" {
			return
		}
		if failed = lines.Encode(h); failed != nil {
			stop() // nobody reads any more
		}
	})
	if err != nil {
		return printed(e, nil, err)
	}
	return failed
}

// claimed is a request with what its screen says.
type claimed struct {
	stage.Request
	Facts stage.Facts `json:"facts"`
}

func withFacts(r stage.Request, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	facts, err := r.Facts()
	return claimed{r, facts}, err
}

type phoneClaimCmd struct {
	phoneFile
	Code string `required:"" help:"The code of the screen."`
}

// Run fetches a request by its code.
func (c *phoneClaimCmd) Run(ctx context.Context, e env) error {
	return c.use(e, func(p *stage.Phone) (any, error) { return withFacts(p.Claim(ctx, c.Code)) })
}

// which names a request: by its code, by its id, or, with neither, the only one
// that waits.
type which struct {
	Code    string `help:"The code of the screen."`
	Request string `help:"The request's id; without it and without a code, the only one that waits."`
}

var errWhich = errors.New("which request? Give --code or --request")

// id returns the request's id, which a code claims.
func (w which) id(ctx context.Context, p *stage.Phone) (string, error) {
	switch {
	case w.Code != "":
		r, err := p.Claim(ctx, w.Code)
		return r.ID, err
	case w.Request != "":
		return w.Request, nil
	}
	waiting, err := p.Waiting(ctx)
	if err != nil {
		return "", err
	}
	if len(waiting) != 1 {
		return "", fmt.Errorf("%w: %d wait", errWhich, len(waiting))
	}
	return waiting[0].ID, nil
}

type phoneApproveCmd struct {
	phoneFile
	which
	PIN  string `required:"" name:"pin" help:"The phone's PIN."`
	Keep string `enum:"mine,shared,no" default:"no" help:"Keep the browser: mine, shared, or no."`
}

// Run approves a request.
func (c *phoneApproveCmd) Run(ctx context.Context, e env) error {
	return c.use(e, func(p *stage.Phone) (any, error) {
		id, err := c.id(ctx, p)
		if err != nil {
			return nil, err
		}
		r, err := p.Open(ctx, id)
		if err != nil {
			return nil, err
		}
		return p.Approve(ctx, r, c.PIN, c.Keep)
	})
}

type phoneRefuseCmd struct {
	phoneFile
	which
}

// Run refuses a request.
func (c *phoneRefuseCmd) Run(ctx context.Context, e env) error {
	return c.use(e, c.turnDown(ctx, (*stage.Phone).Refuse))
}

type phoneReportCmd struct {
	phoneFile
	which
}

// Run reports a request.
func (c *phoneReportCmd) Run(ctx context.Context, e env) error {
	return c.use(e, c.turnDown(ctx, (*stage.Phone).Report))
}

type phoneLeaveCmd struct {
	phoneFile
	which
}

// Run leaves a request.
func (c *phoneLeaveCmd) Run(ctx context.Context, e env) error {
	return c.use(e, c.turnDown(ctx, (*stage.Phone).Leave))
}

func (w which) turnDown(ctx context.Context, deed func(*stage.Phone, context.Context, string) (stage.Answer, error)) func(*stage.Phone) (any, error) {
	return func(p *stage.Phone) (any, error) {
		id, err := w.id(ctx, p)
		if err != nil {
			return nil, err
		}
		return deed(p, ctx, id)
	}
}

type phoneMoreCmd struct {
	phoneFile
	which
}

// Run asks for one more minute.
func (c *phoneMoreCmd) Run(ctx context.Context, e env) error {
	return c.use(e, func(p *stage.Phone) (any, error) {
		id, err := c.id(ctx, p)
		if err != nil {
			return nil, err
		}
		return withFacts(p.More(ctx, id))
	})
}

type phoneUndoCmd struct {
	phoneFile
	Request string `required:"" help:"Id of the request that was approved."`
}

// Run undoes an approval.
func (c *phoneUndoCmd) Run(ctx context.Context, e env) error {
	return c.use(e, func(p *stage.Phone) (any, error) { return map[string]string{"state": "undone"}, p.Undo(ctx, c.Request) })
}

type phoneChangeCmd struct {
	phoneFile
	PIN string `required:"" name:"pin" help:"The PIN in force."`
	New string `required:"" help:"Four digits to choose."`
}

// Run changes the PIN.
func (c *phoneChangeCmd) Run(ctx context.Context, e env) error {
	return c.use(e, func(p *stage.Phone) (any, error) { return p.ChangePIN(ctx, c.PIN, c.New) })
}

type phoneSilenceCmd struct {
	phoneFile
	State string `arg:"" enum:"on,off" help:"on: ring no more; off: ring again."`
}

// Run silences the phone, or has it ring again.
func (c *phoneSilenceCmd) Run(ctx context.Context, e env) error {
	silent := strings.EqualFold(c.State, "on")
	return c.use(e, func(p *stage.Phone) (any, error) { return map[string]bool{"silent": silent}, p.SetSilent(ctx, silent) })
}

type phoneSleepCmd struct{ phoneFile }

// Run puts the phone to sleep.
func (c *phoneSleepCmd) Run(ctx context.Context, e env) error {
	return c.use(e, func(p *stage.Phone) (any, error) { return map[string]string{"state": "asleep"}, p.FallAsleep(ctx) })
}

type phoneWakeCmd struct {
	phoneFile
	PIN string `required:"" name:"pin" help:"The phone's PIN."`
}

// Run wakes the phone.
func (c *phoneWakeCmd) Run(ctx context.Context, e env) error {
	return c.use(e, func(p *stage.Phone) (any, error) { return p.Wake(ctx, c.PIN) })
}
