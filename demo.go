package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"vigie/directory"
	"vigie/message"
	"vigie/oidc"
	"vigie/secrets"
	"vigie/stage"
	"vigie/store"
	"vigie/web"
)

// DemoCmd is the whole system on one machine.
type DemoCmd struct {
	Listen   string `help:"Address of the portal; the other pages take free ports beside it." default:"127.0.0.1:8080"`
	Data     string `help:"Folder to keep everything in; without it, a temporary one that is removed at the end." type:"path"`
	Database string `help:"postgres://… of an empty database, instead of a SQLite file in the folder."`
	JSON     bool   `name:"json" help:"First line on standard output: everything a program needs to know, as one JSON object."`
}

// memory is what a demo keeps in its folder beside the database, so that it
// finds the same addresses and services when it starts again.
type memory struct {
	Ports    []int             `json:"ports"` // app, mailbox, services
	Secrets  map[string]string `json:"secrets"`
	Prepared bool              `json:"prepared"`
}

type demoService struct{ id, name, colour, logo string }

var demoServices = []demoService{
	{"vaccin-amelipro", "Vaccin AmeliPRO", "#1d4f91", "img/vaccin.png"},
	{"si-dep", "SI-DEP", "#7a3b69", "img/sidep.png"},
}

// demo is a running demo.
type demo struct {
	dir, secretsFile string
	temporary        bool
	memory           memory
	db               *store.DB
	server           *Server
	mailbox          *message.Mailbox
	services         []*stage.Service
	listeners        []net.Listener // portal, app, mailbox, services
	servers          []*http.Server
}

// Run starts everything, says where, and ends when ctx does.
func (c *DemoCmd) Run(ctx context.Context, e env) error {
	d, err := startDemo(ctx, e, c.Listen, c.Data, c.Database)
	if err != nil {
		return err
	}
	defer d.stop(context.WithoutCancel(ctx))
	if err := d.announce(e, c.JSON); err != nil {
		return err
	}
	<-ctx.Done()
	fmt.Fprintln(e.err, "\nThe demo ends.")
	return nil
}

func startDemo(ctx context.Context, e env, listen, data, database string) (_ *demo, err error) {
	d := &demo{mailbox: &message.Mailbox{}}
	defer func() {
		if err != nil {
			d.stop(context.WithoutCancel(ctx))
		}
	}()
	if err := d.folder(data); err != nil {
		return nil, err
	}
	if err := d.listen(listen); err != nil {
		return nil, err
	}
	config := Config{Data: d.dir, Database: database, Secrets: d.secretsFile, Portal: d.url(0), App: d.url(1), Support: "0 809 40 00 82", Test: true,
		Networks: []string{"127.0.0.0/8=Cabinet de démonstration", "::1/128=Cabinet de démonstration"}, Contact: "mailto:demo@example.test"}
	keys, err := loadOrCreate(d.secretsFile)
	if err != nil {
		return nil, err
	}
	if d.db, err = config.openDatabase(ctx, e); err != nil {
		return nil, err
	}
	if err := store.MarkTest(ctx, d.db, config.issuer()); err != nil {
		if errors.Is(err, store.ErrNotNew) {
			return nil, fmt.Errorf("%s belongs to another Vigie or another address; start the demo with the same --listen, or with another --data: %w", d.dir, err)
		}
		return nil, err
	}
	if d.server, err = newServer(ctx, d.db, keys, serverOptions{config: config, senders: map[message.Channel]message.Sender{message.SMS: d.mailbox, message.Email: d.mailbox}, anyHour: true, demo: d.startPage(), log: e.log}); err != nil {
		return nil, err
	}
	if err := d.prepare(ctx); err != nil {
		return nil, err
	}
	d.server.Start(ctx, d.listeners[0], d.listeners[1])
	d.serve(2, web.MailboxPage(d.mailbox, d.url(0)))
	for i, s := range demoServices {
		service := &stage.Service{ID: s.id, Secret: d.memory.Secrets[s.id], Name: s.name, URL: d.url(3 + i), Issuer: config.issuer(), Colour: s.colour, Log: e.log}
		d.services = append(d.services, service)
		d.serve(3+i, service.Handler())
	}
	return d, nil
}

// folder finds or makes the demo's folder. The secrets lie beside it, never in it.
func (d *demo) folder(data string) error {
	if data == "" {
		top, err := os.MkdirTemp("", "vigie-demo-")
		if err != nil {
			return err
		}
		d.dir, d.temporary = filepath.Join(top, "data"), true
		d.secretsFile = filepath.Join(top, "secrets.json")
		return os.Mkdir(d.dir, 0o700)
	}
	d.dir, d.secretsFile = filepath.Clean(data), filepath.Clean(data)+"-secrets.json"
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(d.dir, "demo.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &d.memory); err != nil {
		return fmt.Errorf("%s/demo.json is damaged; remove the folder to start anew: %w", d.dir, err)
	}
	return nil
}

func (d *demo) remember() error {
	b, err := json.MarshalIndent(d.memory, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.dir, "demo.json"), b, 0o600)
}

func loadOrCreate(path string) (*secrets.Secrets, error) {
	keys, err := secrets.Load(path)
	if errors.Is(err, os.ErrNotExist) {
		return secrets.Create(path)
	}
	return keys, err
}

// listen takes the portal's port and four free ones; a demo that starts again
// takes the same, because a browser keeps what belongs to an address.
func (d *demo) listen(address string) error {
	if !isLoopback(address) {
		return fmt.Errorf("--listen %s: the demo shows live codes to whoever asks, so it listens on loopback only", address)
	}
	first, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("the portal's address is taken; choose another with --listen 127.0.0.1:PORT: %w", err)
	}
	d.listeners = append(d.listeners, first)
	host, _, err := net.SplitHostPort(first.Addr().String())
	if err != nil {
		return err
	}
	known := len(d.memory.Ports) == 2+len(demoServices)
	ports := make([]int, 2+len(demoServices))
	if known {
		ports = d.memory.Ports
	}
	for i, port := range ports {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return fmt.Errorf("a port that this demo used before is taken; end what uses it, or start with another --data: %w", err)
		}
		d.listeners = append(d.listeners, l)
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			ports[i] = tcp.Port
		}
	}
	d.memory.Ports = ports
	return nil
}

// url is the address of listener i. Browsers let localhost, and no other name of
// this machine, have service workers and keys.
func (d *demo) url(i int) string {
	_, port, err := net.SplitHostPort(d.listeners[i].Addr().String())
	if err != nil {
		return ""
	}
	return "http://localhost:" + port
}

// prepare fills a new database: people, services.
func (d *demo) prepare(ctx context.Context) error {
	if d.memory.Prepared {
		return nil
	}
	if _, err := directory.Load(ctx, d.db, directory.Demo()); err != nil {
		return err
	}
	d.memory.Secrets = map[string]string{}
	for i, s := range demoServices {
		logo, err := web.Asset(s.logo)
		if err != nil {
			return err
		}
		url := d.url(3 + i)
		err = d.db.Write(ctx, func(tx *store.Tx) error {
			_, secret, err := oidc.AddService(ctx, tx, oidc.Service{ID: s.id, Name: s.name, Logo: logo, RedirectURIs: []string{url + "/callback"}, LogoutURIs: []string{url + "/"},
				Support: "support@example.test", Security: "securite@example.test"}, "operator:demo")
			d.memory.Secrets[s.id] = secret
			return err
		})
		if err != nil {
			return err
		}
	}
	d.memory.Prepared = true
	return d.remember()
}

func (d *demo) serve(i int, h http.Handler) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout}
	d.servers = append(d.servers, s)
	go s.Serve(d.listeners[i]) //nolint:errcheck // ends with ErrServerClosed
}

func (d *demo) stop(ctx context.Context) {
	for _, s := range d.servers {
		s.Close()
	}
	if d.server != nil {
		d.server.Stop(ctx)
	}
	for _, l := range d.listeners {
		l.Close()
	}
	if d.db != nil {
		d.db.Close()
	}
	if d.temporary {
		os.RemoveAll(filepath.Dir(d.dir))
	}
}

// startPage leads a newcomer through a first sign-in.
func (d *demo) startPage() web.Demo {
	page := web.Demo{Mailbox: d.url(2), App: d.url(1)}
	for i, s := range demoServices {
		page.Services = append(page.Services, web.DemoService{Name: s.name, URL: d.url(3 + i)})
	}
	for _, p := range directory.Demo() {
		page.People = append(page.People, web.DemoPerson{NationalID: p.ID.String(), Name: p.Professional().DisplayName(), Mobile: p.Mobile, Email: p.Email})
	}
	return page
}

type announcement struct {
	Base        string                  `json:"base"`
	Issuer      string                  `json:"issuer"`
	Phone       string                  `json:"phone"`
	Mailbox     string                  `json:"mailbox"`
	MailboxJSON string                  `json:"mailbox_json"`
	Database    string                  `json:"database"`
	Services    []announcedService      `json:"services"`
	People      []announcedProfessional `json:"professionals"`
}

type announcedService struct {
	ID          string `json:"id"`
	Secret      string `json:"secret"`
	Name        string `json:"name"`
	URL         string `json:"url"`
	RedirectURI string `json:"redirect_uri"`
}

type announcedProfessional struct {
	NationalID string `json:"national_id"`
	Name       string `json:"name"`
	Mobile     string `json:"mobile"`
	Email      string `json:"email"`
}

func (d *demo) announcement() announcement {
	a := announcement{Base: d.url(0), Issuer: d.url(0) + realm, Phone: d.url(1), Mailbox: d.url(2), MailboxJSON: d.url(2) + "/mailbox.json",
		Database: filepath.Join(d.dir, "vigie.db")}
	for _, s := range d.services {
		a.Services = append(a.Services, announcedService{s.ID, s.Secret, s.Name, s.URL, s.RedirectURI()})
	}
	for _, p := range directory.Demo() {
		a.People = append(a.People, announcedProfessional{p.ID.String(), p.Professional().DisplayName(), p.Mobile, p.Email})
	}
	return a
}

func (d *demo) announce(e env, asJSON bool) error {
	a := d.announcement()
	if asJSON {
		return json.NewEncoder(e.out).Encode(a)
	}
	fmt.Fprintf(e.out, `Vigie runs on this machine, with fictitious people. Nothing leaves it.

  Start here      %s/demo
  Phone app       %s
  Mailbox         %s
`, a.Base, a.Phone, a.Mailbox)
	for _, s := range a.Services {
		fmt.Fprintf(e.out, "  %-15s %s\n", s.Name, s.URL)
	}
	fmt.Fprintln(e.out, "\nPeople:")
	for _, p := range a.People {
		fmt.Fprintf(e.out, "  %-22s %s   %s   %s\n", p.Name, p.NationalID, p.Mobile, p.Email)
	}
	fmt.Fprintln(e.out, "\nCtrl-C ends it.")
	return nil
}
