package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"vigie/oidc"
	"vigie/store"
)

// ServiceCmd registers services.
type ServiceCmd struct {
	Add     ServiceAddCmd     `cmd:"" help:"Register a service; its secret is shown once."`
	List    ServiceListCmd    `cmd:"" help:"All services."`
	Show    ServiceShowCmd    `cmd:"" help:"One service, as JSON."`
	Disable ServiceDisableCmd `cmd:"" help:"Stop a service: nothing it holds is worth anything any more."`
}

// Stored is what a command needs to reach the database.
type Stored struct {
	Data     string `help:"Folder of the database." env:"VIGIE_DATA" default:"." type:"path"`
	Database string `help:"postgres://… ; without it, the SQLite file vigie.db in the data folder." env:"VIGIE_DATABASE"`
}

func (s Stored) open(ctx context.Context, e env) (*store.DB, error) {
	return Config{Data: s.Data, Database: s.Database}.openDatabase(ctx, e)
}

// Operator says who acts, for the record.
type Operator struct {
	Operator string `help:"Who acts, for the record." env:"VIGIE_OPERATOR,USER" default:"console"`
}

func (o Operator) actor() string { return "operator:" + o.Operator }

// ServiceAddCmd registers a service.
type ServiceAddCmd struct {
	Stored
	Operator
	ID           string   `help:"Client id; drawn when not given."`
	Name         string   `help:"Name as professionals read it." required:""`
	RedirectURI  []string `name:"redirect-uri" help:"Where the browser returns, compared exactly; may be repeated." required:"" sep:"none"`
	LogoutURI    []string `name:"logout-uri" help:"Where a logout may return to; may be repeated." sep:"none"`
	Frontchannel string   `name:"frontchannel-logout-uri" help:"Loaded in the browser at a logout."`
	Backchannel  string   `name:"backchannel-logout-uri" help:"Called at a logout."`
	Auth         string   `help:"client_secret_basic or private_key_jwt." default:"client_secret_basic"`
	JWKS         string   `name:"jwks" help:"File with the public keys, for private_key_jwt." type:"existingfile"`
	Alg          string   `help:"Signature of ID tokens: RS256 or ES256." default:"RS256"`
	NoPKCE       bool     `name:"no-pkce" help:"Accept a code flow without PKCE; a nonce is then required."`
	Logo         string   `help:"PNG or JPEG file." type:"existingfile"`
	Support      string   `help:"Whom its users call: address, number or page."`
	Security     string   `help:"Whom to call in an incident."`
}

// Run registers the service and prints it with its secret, as JSON.
func (c *ServiceAddCmd) Run(ctx context.Context, e env) error {
	s := oidc.Service{ID: c.ID, Name: c.Name, RedirectURIs: c.RedirectURI, LogoutURIs: c.LogoutURI, FrontchannelLogout: c.Frontchannel, BackchannelLogout: c.Backchannel,
		AuthMethod: c.Auth, Alg: c.Alg, NoPKCE: c.NoPKCE, Support: c.Support, Security: c.Security}
	for _, f := range []struct {
		path string
		take func([]byte)
	}{{c.Logo, func(b []byte) { s.Logo = b }}, {c.JWKS, func(b []byte) { s.JWKS = string(b) }}} {
		if f.path == "" {
			continue
		}
		b, err := os.ReadFile(f.path)
		if err != nil {
			return err
		}
		f.take(b)
	}
	db, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	defer db.Close()
	var secret string
	err = db.Write(ctx, func(tx *store.Tx) (err error) {
		s, secret, err = oidc.AddService(ctx, tx, s, c.actor())
		return err
	})
	if err != nil {
		return err
	}
	return printService(e, s, secret)
}

func printService(e env, s oidc.Service, secret string) error {
	out := map[string]any{"id": s.ID, "name": s.Name, "redirect_uris": s.RedirectURIs, "logout_uris": s.LogoutURIs, "auth": s.AuthMethod, "alg": s.Alg,
		"pkce": !s.NoPKCE, "support": s.Support, "security": s.Security, "frontchannel_logout_uri": s.FrontchannelLogout,
		"backchannel_logout_uri": s.BackchannelLogout, "logo": len(s.Logo) > 0, "created": s.Created.Format(time.RFC3339)}
	if secret != "" {
		out["secret"] = secret
	}
	if !s.Disabled.IsZero() {
		out["disabled"] = s.Disabled.Format(time.RFC3339)
	}
	j := json.NewEncoder(e.out)
	j.SetIndent("", "  ")
	return j.Encode(out)
}

// ServiceListCmd lists services.
type ServiceListCmd struct{ Stored }

// Run prints a line for each service.
func (c *ServiceListCmd) Run(ctx context.Context, e env) error {
	db, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Read(ctx, func(tx *store.Tx) error {
		all, err := oidc.ListServices(ctx, tx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(e.out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tAUTHENTICATION\tSINCE\tSTATE")
		for _, s := range all {
			state := "serves"
			if !s.Disabled.IsZero() {
				state = "disabled " + s.Disabled.Format(time.DateOnly)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.ID, s.Name, s.AuthMethod, s.Created.Format(time.DateOnly), state)
		}
		return w.Flush()
	})
}

// ServiceShowCmd shows a service.
type ServiceShowCmd struct {
	Stored
	ID string `arg:"" help:"Client id."`
}

// Run prints the service as JSON.
func (c *ServiceShowCmd) Run(ctx context.Context, e env) error {
	db, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Read(ctx, func(tx *store.Tx) error {
		s, found, err := oidc.FindService(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("no service has the id %q; `vigie service list` shows them", c.ID)
		}
		return printService(e, s, "")
	})
}

// ServiceDisableCmd disables a service.
type ServiceDisableCmd struct {
	Stored
	Operator
	ID string `arg:"" help:"Client id."`
}

// Run disables the service.
func (c *ServiceDisableCmd) Run(ctx context.Context, e env) error {
	db, err := c.open(ctx, e)
	if err != nil {
		return err
	}
	defer db.Close()
	var served bool
	err = db.Write(ctx, func(tx *store.Tx) (err error) {
		served, err = oidc.DisableService(ctx, tx, c.ID, c.actor())
		return err
	})
	if err != nil {
		return err
	}
	if !served {
		return fmt.Errorf("no service with the id %q serves; `vigie service list` shows them", c.ID)
	}
	fmt.Fprintf(e.out, "%s is disabled.\n", c.ID)
	return nil
}
