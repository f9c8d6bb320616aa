package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"vigie/browser"
	"vigie/directory"
	"vigie/guard"
	"vigie/login"
	"vigie/message"
	"vigie/oidc"
	"vigie/outgoing"
	"vigie/phone"
	"vigie/push"
	"vigie/secrets"
	"vigie/session"
	"vigie/store"
	"vigie/web"
)

const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 15 * time.Second
	answerTimeout = time.Minute      // of an answer that its reader does not take; streams set their own
	graceTime     = 10 * time.Second // that requests under way get at a shutdown
	cleanEvery    = time.Minute
	cleanBatch    = 1000 // rows of one transaction
)

// Server is one node of Vigie: a value that serve, demo and tests start and
// stop. It owns neither the database nor the listeners that it is given.
type Server struct {
	DB     *store.DB
	Keys   *secrets.Secrets
	Logins *login.Logins
	Site   *web.Site
	Phones *phone.Activation
	Post   *message.Post

	o     serverOptions
	queue *push.Queue
	http  []*http.Server
	stop  context.CancelFunc
	jobs  sync.WaitGroup
}

type serverOptions struct {
	config  Config
	senders map[message.Channel]message.Sender // how letters leave
	anyHour bool                               // codes leave at night too
	demo    http.Handler                       // the demo's start page; nil: none
	log     *slog.Logger
}

// newServer puts a node together, on a database that is up to date. It listens
// to nobody and runs nothing yet.
func newServer(ctx context.Context, db *store.DB, keys *secrets.Secrets, o serverOptions) (*Server, error) {
	if err := store.BindFingerprint(ctx, db, keys.Fingerprint()); err != nil {
		return nil, err
	}
	provider, err := providerID(ctx, db)
	if err != nil {
		return nil, err
	}
	networks, err := o.config.networks()
	if err != nil {
		return nil, err
	}
	proxies, err := o.config.proxies()
	if err != nil {
		return nil, err
	}
	s := &Server{DB: db, Keys: keys, o: o}
	if s.Post, err = message.New(keys.MAC("message")); err != nil {
		return nil, err
	}
	calls := outgoing.Options{Hosts: append(push.Hosts[:len(push.Hosts):len(push.Hosts)], o.config.PushHosts...), AllowLoopback: o.config.Test}
	sender, err := webPush(keys, calls, o.config.Contact, db.Now)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation("Europe/Paris") // whose nights are quiet
	if err != nil {
		return nil, err
	}
	ids := directory.Parser{SkipKey: o.config.SkipRPPSKey}
	s.queue = push.NewQueue(context.WithoutCancel(ctx), push.QueueOptions{Sender: sender, Now: db.Now, Gone: s.forget, Log: o.log})
	s.Phones = &phone.Activation{Keys: keys, Post: s.Post, Portal: o.config.Portal, Zone: zone, AnyHour: o.anyHour, IDs: ids, Push: calls}
	s.Logins = login.New(db, keys, login.Options{Issuer: o.config.issuer(), Networks: networks, Push: s.queue.Put})
	browserCookie, sessionCookie := cookies(o.config.Portal)
	op, err := oidc.New(db, keys, oidc.Options{Issuer: o.config.issuer(), Provider: provider, Browser: browserCookie, Session: sessionCookie,
		Error: web.Wrong, LoggedOut: web.LoggedOut, Log: o.log})
	if err != nil {
		return nil, err
	}
	s.Site, err = web.New(web.Deps{DB: db, Keys: keys, Logins: s.Logins, Provider: op, Activation: s.Phones, Push: s.queue.Put, Log: o.log},
		web.Options{Portal: o.config.Portal, App: o.config.App, Issuer: o.config.issuer(), Browser: browserCookie, Session: sessionCookie,
			VAPID: sender.PublicKey(), Support: o.config.Support, IDs: ids, Demo: o.demo, Proxies: proxies})
	return s, err
}

// cookies are the portal's. On plain http, which is for loopback only, they
// carry the port in their names: ports do not separate cookies.
func cookies(portal string) (browser.Cookie, session.Cookie) {
	u, err := url.Parse(portal)
	if err != nil || u.Scheme == "https" {
		return browser.Cookie{Secure: true}, session.Cookie{Secure: true}
	}
	return browser.Cookie{Suffix: "_" + u.Port()}, session.Cookie{Suffix: "_" + u.Port()}
}

// webPush signs as the VAPID key that is derived from the secrets: phones are
// subscribed to it, and every node is the same to push services.
func webPush(keys *secrets.Secrets, calls outgoing.Options, contact string, now func() time.Time) (*push.WebPush, error) {
	if contact == "" {
		contact = "mailto:postmaster@localhost"
	}
	root := keys.MAC("vapid")
	for try := 0; ; try++ {
		b, err := hkdf.Expand(sha256.New, root, fmt.Sprintf("P-256 %d", try), 32)
		if err != nil {
			return nil, err
		}
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b)
		if err != nil {
			if try > 100 {
				return nil, err
			}
			continue // not a scalar of the curve: one in 2³²
		}
		return push.NewWebPush(push.WebPushOptions{HTTP: outgoing.Client(calls), Key: key, Contact: contact, Now: now})
	}
}

// forget drops a subscription that its push service has forgotten.
func (s *Server) forget(ctx context.Context, endpoint string) {
	err := s.DB.Write(ctx, func(tx *store.Tx) error { return phone.ForgetEndpoint(ctx, tx, endpoint) })
	if err != nil {
		s.o.log.Warn("a dead push subscription stays", "err", err)
	}
}

// providerID is the UUID in every sub: drawn once for a database, for ever.
func providerID(ctx context.Context, db *store.DB) (id string, err error) {
	err = db.Write(ctx, func(tx *store.Tx) error {
		var found bool
		if id, found, err = tx.Setting(ctx, "oidc.provider"); err != nil || found {
			return err
		}
		b := make([]byte, 16)
		rand.Read(b)
		b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // version 4 (RFC 9562 §5.4)
		id = fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
		return tx.SetSetting(ctx, "oidc.provider", id)
	})
	return id, err
}

// Start runs the jobs and serves portal and app on these listeners.
func (s *Server) Start(ctx context.Context, portal, app net.Listener) {
	ctx, s.stop = context.WithCancel(ctx)
	s.job(func() { s.Site.Run(ctx) })
	s.job(func() { s.Logins.Hub().Run(ctx, func(err error) { s.o.log.Warn("waiting pages", "err", err) }) })
	s.job(func() {
		s.report("letters", s.Post.Run(ctx, s.DB, message.Options{Senders: s.o.senders, Log: s.o.log}))
	})
	s.job(func() { s.report("asks for codes", s.Phones.RunAsks(ctx, s.DB, s.o.log)) })
	s.job(func() { s.clean(ctx) })
	for _, l := range []struct {
		on net.Listener
		h  http.Handler
	}{{portal, s.Site.Portal()}, {app, s.Site.App()}} {
		h := &http.Server{Handler: l.h, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, WriteTimeout: answerTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
			ErrorLog: slog.NewLogLogger(s.o.log.Handler(), slog.LevelDebug)}
		s.http = append(s.http, h)
		s.job(func() {
			if err := h.Serve(l.on); !errors.Is(err, http.ErrServerClosed) {
				s.report("listening", err)
			}
		})
	}
}

func (s *Server) job(f func()) {
	s.jobs.Add(1)
	go func() {
		defer s.jobs.Done()
		f()
	}()
}

func (s *Server) report(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.o.log.Error(what, "err", err)
	}
}

// clean removes rows that no longer matter, in batches between which sign-ins
// go on.
func (s *Server) clean(ctx context.Context) {
	t := time.NewTicker(cleanEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		s.report("cleaning", s.Clean(ctx))
		s.report("reading the secrets again", s.Keys.Reload()) // rotated by another process
	}
}

// Clean removes rows that no longer matter, once.
func (s *Server) Clean(ctx context.Context) error {
	for _, f := range []func(context.Context, *store.Tx, int) (int64, error){s.Logins.Clean, guard.Clean} {
		for n := int64(cleanBatch); n >= cleanBatch; {
			err := s.DB.Write(ctx, func(tx *store.Tx) (err error) {
				n, err = f(ctx, tx, cleanBatch)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return errors.Join(session.Clean(ctx, s.DB), oidc.Clean(ctx, s.DB))
}

// Stop ends the streams of waiting pages (they come back by themselves, to
// another node), lets requests under way finish, for at most graceTime, brings
// what they have pushed to its service, and waits for the jobs. A Server that was
// not started may be stopped.
func (s *Server) Stop(ctx context.Context) {
	if s.stop != nil {
		s.stop()
	}
	ctx, cancel := context.WithTimeout(ctx, graceTime)
	defer cancel()
	for _, h := range s.http {
		if err := h.Shutdown(ctx); err != nil {
			h.Close()
		}
	}
	s.queue.Close()
	s.jobs.Wait()
}
