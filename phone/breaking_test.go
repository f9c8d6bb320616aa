package phone_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudflare/circl/oprf"

	"vigie/browser"
	"vigie/directory"
	"vigie/login"
	"vigie/message"
	"vigie/oidc"
	"vigie/outgoing"
	"vigie/phone"
	"vigie/secrets"
	"vigie/session"
	"vigie/stage"
	"vigie/store"
	"vigie/store/storetest"
	"vigie/web"

	_ "modernc.org/sqlite"
)

// Invariant 7: no two of these three let anybody test a PIN without asking the
// server: what the phone stores; the database, with every document; the master
// secret. The thief's program below knows the protocol, tries all 10 000 PINs,
// and takes what it lacks for whatever 32 bytes it finds in what it has. It gets
// its loot before and after a PIN change.
func TestNoTwoOfThreeTellAPIN(t *testing.T) {
	const first, second = "7294", "8361"
	path := storetest.SQLite(t)
	phoneFile := filepath.Join(t.TempDir(), "phone.json")
	keys, err := secrets.Generate()
	ok(t, err)
	master, _ := keys.Master(1)
	use(t, path, phoneFile, keys, first, second)

	storage, err := os.ReadFile(phoneFile)
	ok(t, err)
	loot := func(kinds ...string) thief {
		var th thief
		for _, kind := range kinds {
			switch kind {
			case "phone":
				th.harvest(string(storage))
				// The app keeps the epoch in force as well.
				for _, value := range query(t, path, `SELECT epoch FROM phones`) {
					th.harvest(value)
				}
			case "database":
				for _, value := range everything(t, path) {
					th.harvest(value)
				}
			case "master":
				th.harvest(hex.EncodeToString(master))
			}
		}
		return th
	}
	all := loot("phone", "database", "master")
	var secret struct{ Secret []byte }
	ok(t, json.Unmarshal(storage, &secret))
	if found := all.tryAll(secret.Secret, master); !slices.Equal(found, []string{first, second}) {
		t.Fatalf("with all three the thief finds %v: the program is no good", found)
	}
	zero := make([]byte, 32)
	for name, c := range map[string]struct {
		thief          thief
		secret, master []byte // what it has, or zeros
	}{
		"phone and database":  {loot("phone", "database"), secret.Secret, zero},
		"database and master": {loot("database", "master"), zero, master},
		"phone and master":    {loot("phone", "master"), secret.Secret, master},
	} {
		t.Run(name, func(t *testing.T) {
			if found := c.thief.tryAll(c.secret, c.master); len(found) > 0 {
				t.Errorf("the PIN is %v", found)
			}
			// If any 32 bytes of the loot could stand for what is missing, the right
			// PINs would be found with them.
			servers := c.thief.servers(c.master)
			for _, guess := range c.thief.blobs {
				for _, pin := range []string{first, second} {
					if c.thief.opens(pin, guess, servers) || c.thief.opens(pin, c.secret, c.thief.servers(guess)) {
						t.Errorf("the PIN is %s, with %x", pin, guess)
					}
				}
			}
			for _, pin := range []string{first, second} {
				if c.thief.says(pin) {
					t.Errorf("the loot says %s in so many words", pin)
				}
			}
		})
	}
}

// use lives a phone's life: activation, a document signed with the PIN, wrong
// PINs, a change, and documents again.
func use(t *testing.T, path, phoneFile string, keys *secrets.Secrets, first, second string) {
	t.Helper()
	db, err := store.Open(t.Context(), path, store.Options{})
	ok(t, err)
	defer db.Close()
	server, activation := serve(t, db, keys)
	_, err = directory.Load(t.Context(), db, directory.Demo())
	ok(t, err)
	o := stage.PhoneOptions{Server: server, Now: time.Now}
	ok(t, stage.AskCodes(t.Context(), o, "899700000017", "0639980001", "anne.martin@example.test"))
	_, err = activation.DecideAsks(t.Context(), db)
	ok(t, err)
	mailbox := &message.Mailbox{}
	_, err = activation.Post.Deliver(t.Context(), db, message.Options{Senders: map[message.Channel]message.Sender{message.SMS: mailbox, message.Email: mailbox}})
	ok(t, err)
	codes := map[message.Channel]string{}
	for _, l := range mailbox.List() {
		codes[l.Channel] = l.Code
	}
	p, err := stage.Activate(t.Context(), o, stage.NewPhone{NationalID: "899700000017", SMS: codes[message.SMS], Email: codes[message.Email], PIN: first, File: phoneFile})
	ok(t, err)
	sign := func(pin string) {
		t.Helper()
		ok(t, p.FallAsleep(t.Context()))
		if _, err := p.Wake(t.Context(), "1357"); !stage.RefusedAs(err, "wrong_pin") {
			t.Fatalf("a wrong PIN: %v", err)
		}
		_, err := p.Wake(t.Context(), pin)
		ok(t, err)
	}
	sign(first)
	_, err = p.ChangePIN(t.Context(), first, second)
	ok(t, err)
	sign(second)
}

// serve runs the real site on a loopback port.
func serve(t *testing.T, db *store.DB, keys *secrets.Secrets) (portal string, a *phone.Activation) {
	t.Helper()
	var site *web.Site
	listen := func(handler func() http.Handler) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler().ServeHTTP(w, r) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	portal = listen(func() http.Handler { return site.Portal() })
	app := listen(func() http.Handler { return site.App() })
	post, err := message.New(keys.MAC("message"))
	ok(t, err)
	a = &phone.Activation{Keys: keys, Post: post, Portal: portal, AnyHour: true, Push: outgoing.Options{AllowLoopback: true}}
	issuer := portal + oidc.Realm
	cookie := browser.Cookie{Suffix: "_t"}
	provider, err := oidc.New(db, keys, oidc.Options{Issuer: issuer, Provider: "550dc1c8-d97b-4b1e-ac8c-8eb4471cf9dd", Browser: cookie, Session: session.Cookie{Suffix: "_t"}, Error: web.Wrong, LoggedOut: web.LoggedOut})
	ok(t, err)
	site, err = web.New(web.Deps{DB: db, Keys: keys, Logins: login.New(db, keys, login.Options{Issuer: issuer}), Provider: provider, Activation: a},
		web.Options{Portal: portal, App: app, Issuer: issuer, Browser: cookie, Session: session.Cookie{Suffix: "_t"}})
	ok(t, err)
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go site.Run(ctx)
	return portal, a
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// --- The thief ---------------------------------------------------------------

// thief is what somebody holds: every text, and every 32 and 64 bytes that can be
// read out of it in any spelling.
type thief struct {
	texts     []string
	blobs     [][]byte // of 32 bytes: secrets, epochs, keys, ids
	documents []string // JWS in general serialization
	known     map[string]bool

	signed []signedText // what the documents hold of PIN keys
}

var (
	b64Word  = regexp.MustCompile(`[A-Za-z0-9_+/-]{43,}={0,2}`)
	hexWord  = regexp.MustCompile(`[0-9a-f]{64}`)
	document = regexp.MustCompile(`\{"payload":"[^"]+","signatures":\[[^\]]+\]\}`)
)

func (th *thief) harvest(value string) {
	if th.known == nil {
		th.known = map[string]bool{}
	}
	if th.known["t"+value] {
		return
	}
	th.known["t"+value] = true
	th.texts = append(th.texts, value)
	if len(value) == 32 {
		th.blob([]byte(value))
	}
	for _, word := range b64Word.FindAllString(value, -1) {
		word = strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(word)
		b, err := base64.RawURLEncoding.DecodeString(word)
		if err != nil {
			continue
		}
		if len(b) == 32 {
			th.blob(b)
		} else if len(b) > 64 { // a payload: what is written in it
			th.harvest(string(b))
		}
	}
	for _, word := range hexWord.FindAllString(value, -1) {
		if b, err := hex.DecodeString(word); err == nil {
			th.blob(b)
		}
	}
	for _, d := range document.FindAllString(value, -1) {
		if !th.known["d"+d] {
			th.known["d"+d] = true
			th.documents = append(th.documents, d)
		}
	}
}

func (th *thief) blob(b []byte) {
	if !th.known["b"+string(b)] {
		th.known["b"+string(b)] = true
		th.blobs = append(th.blobs, bytes.Clone(b))
	}
}

// signedText is what an EdDSA signature was made over.
type signedText struct{ text, signature []byte }

// tryAll returns the PINs that fit, of all there are.
func (th *thief) tryAll(secret, master []byte) []string {
	servers := th.servers(master)
	pins := make(chan string)
	var group sync.WaitGroup
	var mu sync.Mutex
	var found []string
	for range 4 {
		group.Go(func() {
			for pin := range pins {
				if th.opens(pin, secret, servers) {
					mu.Lock()
					found = append(found, pin)
					mu.Unlock()
				}
			}
		})
	}
	for n := range 10_000 {
		pins <- fmt.Sprintf("%04d", n)
	}
	close(pins)
	group.Wait()
	slices.Sort(found)
	return found
}

// A server is the other half of a PIN's key, in the hands of the thief.
type server struct {
	oprf.Server
	epoch []byte
}

// servers are those for every phone and epoch that the loot names.
func (th *thief) servers(master []byte) []server {
	var list []server
	for _, p := range th.named("phone") {
		for _, epoch := range th.named("epoch") {
			seed, err := hkdf.Key(sha256.New, master, nil, "vigie oprf v1", 32)
			must(err)
			key, err := oprf.DeriveKey(oprf.SuiteP256, oprf.BaseMode, seed, slices.Concat(p, epoch))
			must(err)
			list = append(list, server{oprf.NewServer(oprf.SuiteP256, key), epoch})
		}
	}
	th.readSignatures()
	return list
}

// opens makes the PIN's key with each server, and asks whether the loot knows
// the public half or a signature by it.
func (th *thief) opens(pin string, secret []byte, servers []server) bool {
	for _, s := range servers {
		output, err := s.FullEvaluate(slices.Concat([]byte(pin), secret, s.epoch))
		must(err)
		seed, err := hkdf.Key(sha256.New, output, nil, "vigie pin key v1", 32)
		must(err)
		public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
		if th.known["b"+string(public)] {
			return true
		}
		for _, signed := range th.signed {
			if ed25519.Verify(public, signed.text, signed.signature) {
				return true
			}
		}
	}
	return false
}

func (th *thief) readSignatures() {
	th.signed = nil
	for _, text := range th.documents {
		var d struct {
			Payload    string
			Signatures []struct{ Protected, Signature string }
		}
		if json.Unmarshal([]byte(text), &d) != nil {
			continue
		}
		for _, s := range d.Signatures {
			head, err := base64.RawURLEncoding.DecodeString(s.Protected)
			if err != nil || !bytes.Contains(head, []byte("EdDSA")) {
				continue
			}
			signature, err := base64.RawURLEncoding.DecodeString(s.Signature)
			if err == nil {
				th.signed = append(th.signed, signedText{[]byte(s.Protected + "." + d.Payload), signature})
			}
		}
	}
}

// named are the 32 bytes that stand after this name in the loot, and, when none
// do, the 32 bytes that stand alone.
func (th *thief) named(name string) [][]byte {
	var list [][]byte
	for _, text := range th.texts {
		for _, m := range regexp.MustCompile(`"`+name+`":\s*"([A-Za-z0-9_-]{43})"`).FindAllStringSubmatch(text, -1) {
			if b, err := base64.RawURLEncoding.DecodeString(m[1]); err == nil && !slices.ContainsFunc(list, func(k []byte) bool { return bytes.Equal(k, b) }) {
				list = append(list, b)
			}
		}
	}
	if list == nil {
		for _, text := range th.texts {
			if b, err := base64.RawURLEncoding.DecodeString(text); err == nil && len(b) == 32 {
				list = append(list, b)
			}
		}
	}
	return list
}

// says tells whether a text holds the PIN as a word of its own.
func (th *thief) says(pin string) bool {
	word := regexp.MustCompile(`\b` + pin + `\b`)
	return slices.ContainsFunc(th.texts, func(text string) bool { return word.MatchString(text) })
}

func must(err error) {
	if err != nil {
		panic(err) // the thief's program is wrong
	}
}

// everything is every value of every table, as the thief reads the file.
func everything(t *testing.T, path string) []string {
	t.Helper()
	var all []string
	for _, table := range query(t, path, `SELECT name FROM sqlite_master WHERE type = 'table'`) {
		all = append(all, query(t, path, `SELECT * FROM "`+table+`"`)...)
	}
	return all
}

func query(t *testing.T, path, statement string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	ok(t, err)
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), statement)
	ok(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	ok(t, err)
	var all []string
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		ok(t, rows.Scan(values...))
		for _, v := range values {
			switch v := (*v.(*any)).(type) {
			case []byte:
				all = append(all, string(v))
			default:
				all = append(all, fmt.Sprint(v))
			}
		}
	}
	ok(t, rows.Err())
	return all
}
