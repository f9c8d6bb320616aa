package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
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

// Server is one node of Vigie: a value that serve, demo and tests start and
// stop. It owns neither the database nor the listeners that it is given.
type Server struct {
	DB     *store.DB
	Keys   *secrets.Secrets
	Logins *login.Logins
	Site   *web.Site

	o     serverOptions
	queue *push.Queue
	http  []*http.Server
	stop  context.CancelFunc
	jobs  sync.WaitGroup
}

type serverOptions struct {
	config    Config
	senders   message.Senders // how letters leave
	loopback  bool            // the demo and tests: phones' push services may be on this machine
	anyHour   bool            // the demo: codes leave at night too
	log       *slog.Logger
	demo      http.Handler // further pages on the portal's own origin; nil: none
	testNoJob bool         // the caller runs the jobs
}

// newServer puts a node together on a database that is up to date.
func newServer(ctx context.Context, db *store.DB, keys *secrets.Secrets, o serverOptions) (*Server, error) {
	if err := store.BindFingerprint(ctx, db, keys.Fingerprint()); err != nil {
		return nil, err
	}
	networks, err := o.config.networks()
	if err != nil {
		return nil, err
	}
	provider, err := providerID(ctx, db)
	if err != nil {
		return nil, err
	}
	s := &Server{DB: db, Keys: keys, o: o}
	sender, err := s.webPush()
	if err != nil {
		return nil, err
	}
	pushing, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.queue = push.NewQueue(pushing, push.QueueOptions{Sender: sender, Now: db.Now, Gone: s.gone, Log: o.log})
	s.Logins = login.New(db, keys, login.Options{Issuer: o.config.issuer(), Networks: networks, Ring: s.ring})
	portal, err := url.Parse(o.config.Portal)
	if err != nil {
		return nil, err
	}
	secure, suffix := portal.Scheme == "https", ""
	if !secure {
		suffix = "_" + portal.Port() // ports do not separate cookies
	}
	_ = provider
	_ = secure
	_ = suffix
	return s, nil
}

// providerID is the UUID in every sub; drawn once for a database, for ever.
func providerID(ctx context.Context, db *store.DB) (id string, err error) {
	err = db.Write(ctx, func(tx *store.Tx) error {
		var found bool
		if id, found, err = tx.Setting(ctx, "oidc.provider"); err != nil || found {
			return err
		}
		id = newUUID()
		return tx.SetSetting(ctx, "oidc.provider", id)
	})
	return id, err
}
