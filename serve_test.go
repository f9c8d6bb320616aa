package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"vigie/secrets"
	"vigie/store"
	"vigie/store/storetest"
)

func TestKeysAreMadeOnceForTheirOwnerAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.json")
	out := mustRun(t, "keys", "init", "--secrets", file)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	keys, err := secrets.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, keys.Fingerprint()) || strings.Contains(out, base64.StdEncoding.EncodeToString(keys.MAC(""))) {
		t.Errorf("it prints no fingerprint, or too much: %s", out)
	}
	if status, _, words := vigie(t, "keys", "init", "--secrets", file); status != 1 || !strings.Contains(words, "not overwritten") {
		t.Errorf("a second time: status %d, %q", status, words)
	}
	if after, _ := os.ReadFile(file); string(after) != string(before) {
		t.Error("the second time changed the file")
	}
	if status, _, words := vigie(t, "keys", "rotate", "--secrets", filepath.Join(t.TempDir(), "none")); status != 1 || !strings.Contains(words, "no such file") {
		t.Errorf("rotating what is not there: status %d, %q", status, words)
	}
	mustRun(t, "keys", "rotate", "--master", "--secrets", file)
	rotated, err := secrets.Load(file)
	if err != nil || rotated.MasterVersion() != 2 || rotated.Fingerprint() != keys.Fingerprint() {
		t.Errorf("master version %d: %v", rotated.MasterVersion(), err)
	}
}

// published are the keys that the portal publishes.
func (w *world) published(t *testing.T) jose.JSONWebKeySet {
	t.Helper()
	resp, err := w.HTTP.Get(w.Portal + realm + "/protocol/openid-connect/certs")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestARunningServerTakesRotatedKeysUpAndNobodyNotices(t *testing.T) {
	ctx, clock := t.Context(), storetest.NewClock()
	file := filepath.Join(t.TempDir(), "secrets.json")
	mustRun(t, "keys", "init", "--secrets", file)
	keys, err := secrets.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOf(t, storetest.Open(t, store.Options{Clock: clock.Now}), clock, keys)
	anne, c := w.People[0], w.newClient(t)
	p, _, err := w.Activate(ctx, anne, pin)
	if err != nil {
		t.Fatal(err)
	}
	known := w.published(t) // what a service keeps a copy of
	var issued []tokens
	for round := range 2 {
		got, err := c.signIn(ctx, w.World, anne, p)
		if err != nil {
			t.Fatal(err)
		}
		issued = append(issued, got)
		if round == 0 {
			mustRun(t, "keys", "rotate", "--secrets", file)
			if err := w.server.Keys.Reload(); err != nil { // as the server does every minute
				t.Fatal(err)
			}
		}
	}
	var signers []string
	for i, got := range issued {
		for _, set := range []jose.JSONWebKeySet{known, w.published(t)} {
			token, err := jwt.ParseSigned(got.ID, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
			if err != nil {
				t.Fatal(err)
			}
			claims := map[string]any{}
			if err := token.Claims(set, &claims); err != nil {
				t.Errorf("token %d: %v", i, err)
			}
			if kid := token.Headers[0].KeyID; !slices.Contains(signers, kid) {
				signers = append(signers, kid)
			}
		}
		if active, err := c.active(ctx, got.Access); err != nil || !active {
			t.Errorf("access token %d is worth nothing: %v", i, err)
		}
		if status, _, err := c.refresh(ctx, got.Refresh); err != nil || status != http.StatusOK {
			t.Errorf("refresh token %d is answered %d: %v", i, status, err)
		}
	}
	if len(signers) != 2 {
		t.Errorf("the keys %v signed", signers)
	}
	if n := len(w.published(t).Keys); n != len(known.Keys)+2 {
		t.Errorf("%d keys were published, and now %d", len(known.Keys), n)
	}
}

func TestTheConfigurationIsPrintedWithoutItsSecrets(t *testing.T) {
	status, out, words := vigie(t, "config", "--portal", "https://connexion.example", "--app", "https://telephone.example/",
		"--database", "postgres://vigie:s3cret@db.example/vigie?sslmode=require", "--smtp", "smtps://user:s3cret@mail.example:465",
		"--mail-from", "no-reply@example.org", "--sms", "https://sms.example/send", "--sms-token", "s3cret")
	var shown map[string]any
	if err := json.Unmarshal([]byte(out), &shown); err != nil || status != 0 {
		t.Fatalf("status %d, %v: %s", status, err, out)
	}
	if strings.Contains(out+words, "s3cret") {
		t.Errorf("it prints a password: %s%s", out, words)
	}
	if shown["Issuer"] != "https://connexion.example"+realm || shown["Bell"] != "proven" {
		t.Errorf("issuer %v, bell %v", shown["Issuer"], shown["Bell"])
	}
	for _, want := range []string{"--app", "without a path", "--secrets is missing"} {
		if !strings.Contains(words, want) {
			t.Errorf("it does not say %q is wrong: %s", want, words)
		}
	}
	for _, address := range []string{"postgres://db.example/vigie?user=vigie&password=s3cret", "postgres://vigie:s3cret%zz@db.example/vigie"} {
		if _, out, words := vigie(t, "config", "--database", address, "--smtp", "smtp://user:s3cret%zz@mail.example"); strings.Contains(out+words, "s3cret") {
			t.Errorf("%s: it prints the password: %s%s", address, out, words)
		}
	}
}

func TestServeRefusesWhatIsWrongInWords(t *testing.T) {
	data, file := place(t)
	inside := filepath.Join(data, "secrets.json")
	mustRun(t, "keys", "init", "--secrets", inside)
	other := filepath.Join(t.TempDir(), "other.json")
	mustRun(t, "keys", "init", "--secrets", other)
	keys, err := secrets.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	// stored opens a database, does something to it and closes it.
	stored := func(does func(db *store.DB) error) (data string) {
		t.Helper()
		data = filepath.Join(t.TempDir(), "data")
		db, err := Config{Data: data}.openDatabase(ctx, env{log: quiet})
		if err == nil {
			err = does(db)
		}
		if err == nil {
			err = db.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	const local, localApp = "http://127.0.0.1:1", "http://127.0.0.1:2"
	real := stored(func(db *store.DB) error { return store.BindFingerprint(ctx, db, keys.Fingerprint()) })
	marked := stored(func(db *store.DB) error { return store.MarkTest(ctx, db, local+realm) })
	open := filepath.Join(t.TempDir(), "open.json")
	if b, err := os.ReadFile(file); err != nil || os.WriteFile(open, b, 0o644) != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		status int
		words  string // part of what it says
		args   []string
	}{
		"nothing":                    {2, "--portal", nil},
		"an unknown flag":            {2, "--bogus", []string{"--bogus"}},
		"an argument too much":       {2, "unexpected argument", []string{"now"}},
		"secrets under the data":     {2, "lies under the data folder", []string{"--portal", local, "--app", localApp, "--data", data, "--secrets", inside}},
		"no secrets":                 {2, "vigie keys init", []string{"--portal", local, "--app", localApp, "--data", data}},
		"secrets that are not there": {1, "no such file", []string{"--portal", local, "--app", localApp, "--data", data, "--secrets", filepath.Join(t.TempDir(), "none")}},
		"secrets that others read":   {1, "chmod 600", []string{"--portal", local, "--app", localApp, "--data", data, "--secrets", open}},
		"other secrets":              {1, "not those of this database", []string{"--portal", local, "--app", localApp, "--data", real, "--secrets", other}},
		"plain http":                 {2, "give https://HOST", []string{"--portal", "http://connexion.example", "--app", localApp, "--data", data, "--secrets", file}},
		"a path":                     {2, "without a path", []string{"--portal", local + "/", "--app", localApp, "--data", data, "--secrets", file}},
		"one host for both":          {2, "another host name", []string{"--portal", local, "--app", local, "--data", data, "--secrets", file}},
		"a network without a name":   {2, "PREFIX=NAME", []string{"--portal", local, "--app", localApp, "--data", data, "--secrets", file, "--networks", "192.0.2.0/24"}},
		"mail without a sender":      {2, "--smtp", []string{"--portal", local, "--app", localApp, "--data", data, "--secrets", file, "--smtp", "smtps://mail.example"}},
		"mail by another protocol":   {2, "smtps://USER", []string{"--portal", local, "--app", localApp, "--data", data, "--secrets", file, "--smtp", "http://mail.example"}},
		"SMS in the clear":           {2, "--sms", []string{"--portal", local, "--app", localApp, "--data", data, "--secrets", file, "--sms", "http://sms.example/send"}},
		"no database":                {1, "PostgreSQL", []string{"--portal", local, "--app", localApp, "--secrets", file, "--database", "postgres://vigie:s3cret@127.0.0.1:1/vigie"}},
		"tests on a real database":   {1, "made for tests", []string{"--test", "--portal", local, "--app", localApp, "--data", real, "--secrets", file}},
		"a test database for real":   {1, "made for tests with the issuer " + local, []string{"--portal", local, "--app", localApp, "--data", marked, "--secrets", file}},
		"another issuer's tests":     {1, "made for tests", []string{"--test", "--portal", "http://127.0.0.1:3", "--app", localApp, "--data", marked, "--secrets", file}},
		"tests for everybody":        {2, "loopback only", []string{"--test", "--portal", local, "--app", localApp, "--data", data, "--secrets", file, "--listen", "0.0.0.0:0"}},
		"tests under a real name":    {2, "loopback addresses only", []string{"--test", "--portal", "https://connexion.example", "--app", localApp, "--data", data, "--secrets", file}},
	} {
		status, out, words := vigie(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--app-listen", "127.0.0.1:0"}, c.args...)...)
		if status != c.status || !strings.Contains(words, c.words) {
			t.Errorf("%s: status %d, not %d, or without %q: %s", name, status, c.status, c.words, words)
		}
		if strings.Contains(out+words, "s3cret") || strings.Contains(words, "goroutine") {
			t.Errorf("%s: it says too much: %s", name, words)
		}
	}
	for _, args := range [][]string{{}, {"serv"}, {"keys"}, {"keys", "init"}, {"directory", "import"}} {
		if status, _, words := vigie(t, args...); status != 2 || words == "" {
			t.Errorf("vigie %v: status %d, %q", args, status, words)
		}
	}
}

func TestServeTellsItsLogWhereAndEndsWithItsContext(t *testing.T) {
	data, file := place(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	args := []string{"serve", "--test", "--portal", "http://127.0.0.1:1", "--app", "http://127.0.0.1:2", "--data", data, "--secrets", file, "--listen", "127.0.0.1:0"}
	if status, _, words := vigie(t, append(args, "--app-listen", taken.Addr().String())...); status != 1 || !strings.Contains(words, taken.Addr().String()) {
		t.Errorf("an address that is taken: status %d, %q", status, words)
	}
	ctx, end := context.WithCancel(t.Context())
	log, said := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, append(args, "--app-listen", "127.0.0.1:0", "--log-format", "json"), env{out: io.Discard, err: said, log: quiet})
		said.Close()
	}()
	lines := json.NewDecoder(log)
	for {
		var line struct{ Msg, Issuer, Bell string }
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if line.Msg == "Vigie serves" {
			if line.Issuer != "http://127.0.0.1:1"+realm || line.Bell != "proven" {
				t.Errorf("it says %+v", line)
			}
			break
		}
	}
	go io.Copy(io.Discard, io.MultiReader(lines.Buffered(), log))
	end()
	select {
	case got := <-status:
		if got != 0 {
			t.Errorf("status %d", got)
		}
	case <-time.After(5 * time.Second):
		t.Error("it does not end")
	}
}
