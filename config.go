package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"vigie/login"
	"vigie/secrets"
	"vigie/store"
)

// Config is everything that can be set. Each field is a flag and an environment
// variable; the zero value is the safe one.
type Config struct {
	Data     string `help:"Folder of the database and of nothing secret." env:"VIGIE_DATA" default:"." type:"path"`
	Database string `help:"postgres://… ; without it, the SQLite file vigie.db in the data folder." env:"VIGIE_DATABASE"`
	Secrets  string `help:"File with the keys that are not in the database. Never under the data folder, never in its backup." env:"VIGIE_SECRETS" type:"path"`

	Portal    string `help:"Address of the portal as browsers see it: https://HOST. The issuer is this plus /auth/realms/esante-wallet." env:"VIGIE_PORTAL"`
	App       string `help:"Address of the phone app as phones see it: https://ANOTHERHOST." env:"VIGIE_APP"`
	Listen    string `help:"Address on which the portal listens, behind a proxy that speaks TLS." env:"VIGIE_LISTEN" default:"127.0.0.1:8080"`
	AppListen string `help:"Address on which the app listens." env:"VIGIE_APP_LISTEN" default:"127.0.0.1:8081"`

	Proxies []string `help:"Networks of the proxies in front of us, as in 127.0.0.1/32: their X-Forwarded-For says who asks. Without it everybody is the proxy, and shares one budget for activation codes." env:"VIGIE_PROXIES"`

	SMTP      string   `help:"Mail server: smtp://USER:PASSWORD@HOST:587 (STARTTLS) or smtps://USER:PASSWORD@HOST:465." env:"VIGIE_SMTP"`
	MailFrom  string   `help:"Sender of e-mails." env:"VIGIE_MAIL_FROM"`
	SMS       string   `help:"Address of the SMS provider; each message is one POST." env:"VIGIE_SMS"`
	SMSToken  string   `help:"Bearer token of the SMS provider." env:"VIGIE_SMS_TOKEN"`
	SMSFrom   string   `help:"Sender of SMS." env:"VIGIE_SMS_FROM"`
	PushHosts []string `help:"Push services beside those of the browsers, as host names." env:"VIGIE_PUSH_HOSTS"`
	Contact   string   `help:"Whom push services may write to: mailto:… or https://…" env:"VIGIE_CONTACT"`

	Networks    []string `help:"Names of networks, read by professionals as the place: 192.0.2.0/24=CHU de Rennes" env:"VIGIE_NETWORKS" sep:";"`
	Support     string   `help:"The support line as people read it." env:"VIGIE_SUPPORT" default:"0 809 40 00 82"`
	SkipRPPSKey bool     `name:"skip-rpps-key" help:"Accept national ids whose RPPS key is wrong (sandboxes)." env:"VIGIE_SKIP_RPPS_KEY"`

	Test bool `help:"Create or use a database marked for tests, for ever: issuer and listeners on loopback only." env:"VIGIE_TEST"`
}

const realm = "/auth/realms/esante-wallet"

func (c Config) issuer() string { return c.Portal + realm }

func (c Config) database() string {
	if c.Database != "" {
		return c.Database
	}
	return filepath.Join(c.Data, "vigie.db")
}

// check says everything that is wrong, each with what to do.
func (c Config) check() error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	for _, o := range []struct{ flag, value string }{{"--portal", c.Portal}, {"--app", c.App}} {
		if err := checkOrigin(o.value); err != nil {
			say("%s %q: %w", o.flag, o.value, err)
		}
	}
	if c.Portal != "" && c.Portal == c.App {
		say("--app must be another host name (or port) than --portal: no other page may share the app's storage")
	}
	if c.Secrets == "" {
		say("--secrets is missing: make the file with `vigie keys init --secrets FILE`")
	} else if err := secrets.CheckPlace(c.Secrets, c.Data); err != nil {
		wrong = append(wrong, err)
	}
	if _, err := c.networks(); err != nil {
		wrong = append(wrong, err)
	}
	if _, err := c.proxies(); err != nil {
		wrong = append(wrong, err)
	}
	if c.Test {
		for _, address := range []string{c.Listen, c.AppListen} {
			if !isLoopback(address) {
				say("--test listens on loopback only, not on %s", address)
			}
		}
		for _, origin := range []string{c.Portal, c.App} {
			if u, err := url.Parse(origin); err != nil || !isLoopback(u.Host) {
				say("--test is for loopback addresses only, not for %s", origin)
			}
		}
	}
	return errors.Join(wrong...)
}

// checkOrigin accepts https://HOST[:PORT], and http on loopback.
func checkOrigin(s string) error {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return errors.New("it is missing; give https://HOST")
	case err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("give https://HOST without a path or a trailing slash")
	case u.Scheme == "http" && !isLoopback(u.Host):
		return errors.New("plain http is for loopback only; give https://HOST")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("give https://HOST")
	}
	return nil
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}

// proxies are prefixes; a lone address is one that holds nothing else.
func (c Config) proxies() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range c.Proxies {
		p, err := netip.ParsePrefix(text)
		if a, lone := netip.ParseAddr(text); lone == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("--proxies %q: give addresses or networks, as in 127.0.0.1 or 10.0.0.0/24", text)
		}
		all = append(all, p)
	}
	return all, nil
}

func (c Config) networks() ([]login.Network, error) {
	var all []login.Network
	for _, text := range c.Networks {
		prefix, name, _ := strings.Cut(text, "=")
		p, err := netip.ParsePrefix(strings.TrimSpace(prefix))
		if err != nil || strings.TrimSpace(name) == "" {
			return nil, fmt.Errorf("--networks %q: give PREFIX=NAME, as in 192.0.2.0/24=CHU de Rennes", text)
		}
		all = append(all, login.Network{Prefix: p, Name: strings.TrimSpace(name)})
	}
	return all, nil
}

// openDatabase opens the database of c for a command, without keys.
func (c Config) openDatabase(ctx context.Context, e env) (*store.DB, error) {
	if c.Database == "" {
		if err := os.MkdirAll(c.Data, 0o700); err != nil {
			return nil, fmt.Errorf("making the data folder: %w", err)
		}
	}
	return store.Open(ctx, c.database(), store.Options{Log: e.log})
}

// ConfigCmd prints the configuration.
type ConfigCmd struct{ Config }

// Run prints what is in force as JSON, secrets hidden.
func (c *ConfigCmd) Run(e env) error {
	shown := c.Config
	shown.Database, shown.SMTP = hidePassword(shown.Database), hidePassword(shown.SMTP)
	if shown.SMSToken != "" {
		shown.SMSToken = "(hidden)"
	}
	out := json.NewEncoder(e.out)
	out.SetIndent("", "  ")
	if err := out.Encode(struct {
		Config
		Issuer string
		Bell   string
	}{shown, c.issuer(), "proven"}); err != nil {
		return err
	}
	_, err := c.senders(e)
	if err := errors.Join(c.check(), err); err != nil {
		fmt.Fprintf(e.err, "vigie serve would refuse this:\n%v\n", err)
	}
	return nil
}

// hidePassword returns an address without the password that may stand in it.
func hidePassword(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "(unreadable)" // and who knows what of it is the password
	}
	if q := u.Query(); q.Has("password") { // PostgreSQL takes it there too
		q.Set("password", "xxxxx")
		u.RawQuery = q.Encode()
	}
	return u.Redacted()
}
