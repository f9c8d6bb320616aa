package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"

	"vigie/message"
	"vigie/secrets"
	"vigie/store"
)

// ServeCmd runs one node.
type ServeCmd struct {
	Config
	LogFormat string `help:"text or json." enum:"text,json" default:"text" env:"VIGIE_LOG"`
}

// Run serves until ctx ends.
func (c *ServeCmd) Run(ctx context.Context, e env) error {
	if err := c.check(); err != nil {
		return exit{2, err}
	}
	if c.LogFormat == "json" {
		e.log = slog.New(slog.NewJSONHandler(e.err, nil))
	}
	keys, err := secrets.Load(c.Secrets)
	if err != nil {
		return err
	}
	senders, err := c.senders(e)
	if err != nil {
		return exit{2, err}
	}
	if len(c.Proxies) == 0 && !c.Test && isLoopback(c.Listen) {
		e.log.Warn("everybody seems to come from this machine: name the proxy in front with --proxies, or activation codes have one budget for all")
	}
	db, err := c.openDatabase(ctx, e)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := c.guardTestMark(ctx, db); err != nil {
		return err
	}
	s, err := newServer(ctx, db, keys, serverOptions{config: c.Config, senders: senders, anyHour: c.Test, log: e.log})
	if err != nil {
		return err
	}
	var listeners [2]net.Listener
	for i, address := range []string{c.Listen, c.AppListen} {
		if listeners[i], err = net.Listen("tcp", address); err != nil {
			return fmt.Errorf("listening on %s: %w", address, err)
		}
	}
	s.Start(ctx, listeners[0], listeners[1])
	e.log.Info("Vigie serves", "portal", c.Portal, "app", c.App, "issuer", c.issuer(), "listen", c.Listen, "app-listen", c.AppListen, "bell", "proven")
	<-ctx.Done()
	e.log.Info("Vigie ends: requests under way are finished first")
	s.Stop(context.WithoutCancel(ctx))
	return nil
}

// guardTestMark keeps test databases and real ones apart, for ever.
func (c Config) guardTestMark(ctx context.Context, db *store.DB) error {
	if c.Test {
		if err := store.MarkTest(ctx, db, c.issuer()); err != nil {
			if errors.Is(err, store.ErrNotNew) {
				return fmt.Errorf("--test is for a database that was made for tests with the issuer %s: %w", c.issuer(), err)
			}
			return err
		}
	}
	issuer, test, err := store.IsTest(ctx, db)
	if err != nil {
		return err
	}
	if test && (!c.Test || issuer != c.issuer()) {
		return fmt.Errorf("this database was made for tests with the issuer %s, for ever: serve it with --test and that address, or use another database", issuer)
	}
	return nil
}

// senders are how letters leave. In tests both may be missing.
func (c Config) senders(e env) (map[message.Channel]message.Sender, error) {
	all := map[message.Channel]message.Sender{}
	if c.SMTP != "" {
		u, err := url.Parse(c.SMTP)
		if err != nil { // which would print the password
			return nil, errors.New("--smtp is no address: give smtps://USER:PASSWORD@HOST:465 or smtp://USER:PASSWORD@HOST:587, with %XX for unusual characters of the password")
		}
		o := message.SMTPOptions{Host: u.Hostname(), From: c.MailFrom, Username: u.User.Username()}
		o.Password, _ = u.User.Password()
		switch u.Scheme {
		case "smtps":
			o.TLS = message.Implicit
		case "smtp":
			o.TLS = message.STARTTLS
			if isLoopback(u.Host) && u.Query().Has("plain") { // a mail server on this machine
				o.TLS = message.None
			}
		default:
			return nil, fmt.Errorf("--smtp %s: give smtps://USER:PASSWORD@HOST:465 or smtp://USER:PASSWORD@HOST:587", u.Redacted())
		}
		if port := u.Port(); port != "" {
			if o.Port, err = strconv.Atoi(port); err != nil {
				return nil, fmt.Errorf("--smtp: %w", err)
			}
		}
		sender, err := message.NewSMTP(o)
		if err != nil {
			return nil, fmt.Errorf("--smtp: %w", err)
		}
		all[message.Email] = sender
	}
	if c.SMS != "" {
		sender, err := message.NewSMSGateway(message.SMSOptions{URL: c.SMS, Token: c.SMSToken, From: c.SMSFrom})
		if err != nil {
			return nil, fmt.Errorf("--sms: %w", err)
		}
		all[message.SMS] = sender
	}
	for channel, flag := range map[message.Channel]string{message.Email: "--smtp", message.SMS: "--sms"} {
		if all[channel] == nil {
			e.log.Warn("letters cannot leave: nobody can activate a phone by codes", "channel", channel, "missing", flag)
		}
	}
	return all, nil
}
