package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"vigie/audit"
	"vigie/browser"
	"vigie/directory"
	"vigie/message"
	"vigie/phone"
	"vigie/secrets"
	"vigie/store"
)

// ProfessionalCmd holds the support line's acts for one professional. Each
// needs a reason and is on the record, looking included.
type ProfessionalCmd struct {
	Show            ProfessionalShowCmd    `cmd:"" help:"Who it is, their phones and browsers, and the last entries about them."`
	DisablePhone    ProfessionalDisableCmd `cmd:"" help:"Stop a phone: it must be activated again. One person may."`
	AllowActivation ProfessionalAllowCmd   `cmd:"" help:"Let two codes leave although they would not. Takes two persons, and works from the next day on."`
}

// supportAct is what every act of the support line names.
type supportAct struct {
	Stored
	Operator
	Secrets string `help:"File with the keys that are not in the database." env:"VIGIE_SECRETS" type:"path"`
	Portal  string `help:"Address of the portal, for the letters that tell the professional." env:"VIGIE_PORTAL"`
	Reason  string `help:"Why, for the record; the professional may read it." required:""`
	ID      string `arg:"" help:"National id."`
}

// open returns the database, what activates phones, and whom the act is about.
func (c supportAct) open(ctx context.Context, e env) (*store.DB, *phone.Activation, directory.ID, error) {
	id, err := directory.ParseID(c.ID)
	if err != nil {
		return nil, nil, "", exit{2, err}
	}
	if c.Secrets == "" {
		return nil, nil, "", exit{2, errors.New("--secrets is missing: the letters that tell the professional are sealed with it")}
	}
	keys, err := secrets.Load(c.Secrets)
	if err != nil {
		return nil, nil, "", err
	}
	post, err := message.New(keys.MAC("message"))
	if err != nil {
		return nil, nil, "", err
	}
	db, err := c.Stored.open(ctx, e)
	if err != nil {
		return nil, nil, "", err
	}
	if err := store.BindFingerprint(ctx, db, keys.Fingerprint()); err != nil {
		return nil, nil, "", errors.Join(err, db.Close())
	}
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		return nil, nil, "", errors.Join(err, db.Close())
	}
	return db, &phone.Activation{Keys: keys, Post: post, Portal: c.Portal, Zone: zone}, id, nil
}

// ProfessionalShowCmd shows a professional.
type ProfessionalShowCmd struct{ supportAct }

// Run prints what the support line may see, as JSON.
func (c *ProfessionalShowCmd) Run(ctx context.Context, e env) error {
	db, _, id, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	defer db.Close()
	var out any
	err = db.Write(ctx, func(tx *store.Tx) error { // looking is on the record
		if err := audit.Record(ctx, tx, audit.Event{Kind: audit.OperatorLookedUp, Actor: c.actor(), Professional: id.String(), Detail: map[string]string{"reason": c.Reason}}); err != nil {
			return err
		}
		out, err = shownProfessional(ctx, tx, id)
		return err
	})
	if err != nil {
		return err
	}
	j := json.NewEncoder(e.out)
	j.SetIndent("", "  ")
	return j.Encode(out)
}

func shownProfessional(ctx context.Context, tx *store.Tx, id directory.ID) (any, error) {
	type shownPhone struct {
		ID, Name, Model, System, Mode string
		State                         phone.State
		Created, Ends                 time.Time
		LastUse                       time.Time `json:",omitzero"`
		DisabledWhy                   string    `json:",omitempty"`
	}
	type shownBrowser struct {
		Kind           browser.Kind
		Agent, System  string
		Since, LastUse time.Time
	}
	type shownEntry struct {
		At          time.Time
		Kind, Actor string
		Service     string            `json:",omitempty"`
		Detail      map[string]string `json:",omitempty"`
	}
	out := struct {
		NationalID, Name string
		Present          bool
		Left             time.Time `json:",omitzero"`
		Phones           []shownPhone
		Browsers         []shownBrowser
		Entries          []shownEntry
	}{NationalID: id.String()}
	who, present, err := directory.Find(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	out.Present = present
	if present {
		out.Name = who.DisplayName()
	} else if out.Left, _, err = directory.Left(ctx, tx, id); err != nil {
		return nil, err
	}
	phones, err := phone.Of(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	for _, p := range phones {
		out.Phones = append(out.Phones, shownPhone{p.ID, p.Name, p.Model, p.System, p.Mode, p.State(tx.Now), p.Created, p.Ends, p.LastUse, p.DisabledWhy})
	}
	kept, err := browser.Of(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	for _, k := range kept {
		out.Browsers = append(out.Browsers, shownBrowser{k.Kind, k.Agent, k.System, k.Since, k.LastUse})
	}
	entries, err := audit.Of(ctx, tx, id.String(), 50)
	if err != nil {
		return nil, err
	}
	for _, en := range entries {
		out.Entries = append(out.Entries, shownEntry{en.At, en.Kind, en.Actor, en.Service, en.Detail})
	}
	return out, nil
}

// ProfessionalDisableCmd disables a phone, or all of them.
type ProfessionalDisableCmd struct {
	supportAct
	Phone string `help:"Id of the phone, as shown; without it, all of them."`
}

// Run disables, and tells the professional on every channel.
func (c *ProfessionalDisableCmd) Run(ctx context.Context, e env) error {
	db, act, id, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	defer db.Close()
	var n int
	err = db.Write(ctx, func(tx *store.Tx) error {
		n = 0
		phones, err := phone.Of(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, p := range phones {
			if c.Phone != "" && p.ID != c.Phone || !p.Disabled.IsZero() || !p.Removed.IsZero() {
				continue
			}
			if err := act.DisablePhone(ctx, tx, p.ID, c.Reason, c.actor()); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%s has no such phone; `vigie professional show` lists them", id)
	}
	fmt.Fprintf(e.out, "%d phones disabled. The professional is told on every known channel.\n", n)
	return nil
}

// ProfessionalAllowCmd allows an activation in two steps, by two persons.
type ProfessionalAllowCmd struct {
	supportAct
	Confirm string `help:"The code that the first person was shown: the second person confirms."`
}

// Run prepares the allowance and shows the code, or confirms it.
func (c *ProfessionalAllowCmd) Run(ctx context.Context, e env) error {
	db, act, id, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	defer db.Close()
	if c.Confirm == "" {
		var code string
		err := db.Write(ctx, func(tx *store.Tx) (err error) {
			code, err = act.AllowActivation(ctx, tx, id, c.Reason, c.actor())
			return err
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "Nothing is allowed yet. Another person confirms within a day:\n\n  vigie professional allow-activation %s --operator NAME --reason … --confirm %s\n", id, code)
		return nil
	}
	var allowed phone.Allowance
	err = db.Write(ctx, func(tx *store.Tx) (err error) {
		allowed, err = act.Confirm(ctx, tx, c.Confirm, c.actor())
		if err == nil && allowed.Professional != id {
			err = phone.ErrConfirm
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Allowed from %s to %s, for one activation. The professional is told on every known channel.\n", allowed.Starts.Format(time.DateTime), allowed.Ends.Format(time.DateTime))
	return nil
}
