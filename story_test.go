package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vigie/directory"
	"vigie/message"
	"vigie/oidc"
	"vigie/push/loopback"
	"vigie/secrets"
	"vigie/stage"
	"vigie/store"
	"vigie/store/storetest"
)

// testKeys are drawn once: making them takes tenths of a second.
var testKeys = sync.OnceValues(secrets.Generate)

// world is a whole Vigie with a clock that only the test moves.
type world struct {
	stage.World
	db     *store.DB
	clock  *storetest.Clock
	server *Server
}

func newWorld(t testing.TB, db *store.DB, clock *storetest.Clock) *world {
	t.Helper()
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	return newWorldOf(t, db, clock, keys)
}

// newWorldOf is newWorld with these secrets.
func newWorldOf(t testing.TB, db *store.DB, clock *storetest.Clock, keys *secrets.Secrets) *world {
	t.Helper()
	// The libraries of services look at the real clock.
	clock.Set(time.Now())
	ctx := context.WithoutCancel(t.Context())
	listen := func() (net.Listener, string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return l, "http://localhost:" + port
	}
	portal, portalURL := listen()
	app, appURL := listen()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() && os.Getenv("VIGIE_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	w := &world{db: db, clock: clock}
	mailbox := &message.Mailbox{}
	senders := map[message.Channel]message.Sender{message.SMS: mailbox, message.Email: mailbox}
	config := Config{Portal: portalURL, App: appURL, Test: true, Networks: []string{"127.0.0.0/8=CHU de Rennes"}, Contact: "mailto:test@example.test"}
	if err := store.MarkTest(ctx, db, config.issuer()); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.server, err = newServer(ctx, db, keys, serverOptions{config: config, anyHour: true, log: log, senders: senders}); err != nil {
		t.Fatal(err)
	}
	if _, err := directory.Load(ctx, db, directory.Demo()); err != nil {
		t.Fatal(err)
	}
	w.server.Start(ctx, portal, app)
	t.Cleanup(func() { w.server.Stop(ctx) })

	pushes, err := loopback.Start(loopback.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pushes.Close() })
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	w.World = stage.World{
		Portal: portalURL, Now: clock.Now, Pass: clock.Add,
		HTTP: &http.Client{Timeout: 30 * time.Second, Transport: transport}, Browser: transport,
		Inbox: pushes.Subscribe,
		Pushed: func(ctx context.Context) error {
			for w.server.queue.Stats().Open > 0 {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(5 * time.Millisecond):
				}
			}
			return nil
		},
		Letters: func(ctx context.Context) ([]message.Received, error) {
			if _, err := w.server.Phones.DecideAsks(ctx, db); err != nil {
				return nil, err
			}
			_, err := w.server.Post.Deliver(ctx, db, message.Options{Senders: senders})
			return mailbox.List(), err
		},
		Allow: func(ctx context.Context, who stage.Person) error {
			id, err := directory.ParseID(who.NationalID)
			if err != nil {
				return err
			}
			defer clock.Add(24 * time.Hour) // it works from the next day on
			return db.Write(ctx, func(tx *store.Tx) error {
				code, err := w.server.Phones.AllowActivation(ctx, tx, id, "a second phone", "operator:ada")
				if err != nil {
					return err
				}
				_, err = w.server.Phones.Confirm(ctx, tx, code, "operator:grace")
				return err
			})
		},
		Import: func(ctx context.Context, without string) error { return importWithout(ctx, t, db, without) },
	}
	for _, p := range directory.Demo() {
		w.People = append(w.People, stage.Person{NationalID: p.ID.String(), Name: p.Professional().DisplayName(), Mobile: p.Mobile, Email: p.Email})
	}
	for _, d := range demoServices {
		l, url := listen()
		s := &stage.Service{ID: d.id, Name: d.name, URL: url, Issuer: config.issuer(), Colour: d.colour, Log: log, Now: clock.Now}
		err := db.Write(ctx, func(tx *store.Tx) (err error) {
			_, s.Secret, err = oidc.AddService(ctx, tx, oidc.Service{ID: d.id, Name: d.name, RedirectURIs: []string{s.RedirectURI()}, LogoutURIs: []string{s.LogoutURI()}}, "operator:test")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		h := &http.Server{Handler: s.Handler()}
		go h.Serve(l)
		t.Cleanup(func() { h.Close() })
		w.Services = append(w.Services, s)
	}
	return w
}

// importWithout imports the people of the demonstration as the register's file,
// all but one.
func importWithout(ctx context.Context, t testing.TB, db *store.DB, id string) error {
	file := filepath.Join(t.TempDir(), fmt.Sprintf("Extraction_ProSanteConnect_Personne_activite_%d.txt", time.Now().UnixNano()))
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	err = directory.Write(f, directory.PSC, func(yield func(directory.Entry) bool) {
		for _, p := range directory.Demo() {
			if p.ID.String() != id && !yield(p) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	_, err = importDirectory(ctx, db, []string{file}, directory.ImportOptions{AcceptChange: 1, TempDir: t.TempDir()})
	return err
}

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/story/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d stories found: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			story, err := stage.ParseStory(f)
			if err != nil {
				t.Fatal(err)
			}
			storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
				if err := story.Play(t.Context(), newWorld(t, db, clock).World); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
