package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vigie/directory"
	"vigie/session"
	"vigie/store"
	"vigie/store/storetest"
)

// vigie runs a command line and returns what it printed.
func vigie(t *testing.T, args ...string) (status int, out, words string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(context.WithoutCancel(t.Context()), args, env{out: &o, err: &e, log: slog.New(slog.DiscardHandler)})
	return status, o.String(), e.String()
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	status, out, words := vigie(t, args...)
	if status != 0 {
		t.Fatalf("vigie %s: status %d\n%s", strings.Join(args, " "), status, words)
	}
	return out
}

// place is a data folder with the people of the demonstration, and secrets
// beside it.
func place(t *testing.T) (data, secrets string) {
	t.Helper()
	top := t.TempDir()
	data, secrets = filepath.Join(top, "data"), filepath.Join(top, "secrets.json")
	mustRun(t, "keys", "init", "--secrets", secrets)
	db, err := Config{Data: data}.openDatabase(t.Context(), env{log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := directory.Load(t.Context(), db, directory.Demo()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return data, secrets
}

func TestAServiceIsRegisteredByOneCommand(t *testing.T) {
	data, _ := place(t)
	out := mustRun(t, "service", "add", "--data", data, "--id", "vaccin", "--name", "Vaccin AmeliPRO", "--redirect-uri", "https://vaccin.example/callback")
	var added struct{ ID, Secret string }
	if err := json.Unmarshal([]byte(out), &added); err != nil || added.ID != "vaccin" || len(added.Secret) < 26 {
		t.Fatalf("%v: %s", err, out)
	}
	if out := mustRun(t, "service", "show", "--data", data, "vaccin"); strings.Contains(out, added.Secret) || !strings.Contains(out, "https://vaccin.example/callback") {
		t.Errorf("show prints the secret, or no redirect URI: %s", out)
	}
	for name, args := range map[string][]string{
		"a look-alike": {"--name", "Vаccin AmeliPR0", "--redirect-uri", "https://other.example/callback"}, // Cyrillic а, zero
		"plain http":   {"--name", "Other", "--redirect-uri", "http://other.example/callback"},
		"no address":   {"--name", "Other", "--redirect-uri", "callback"},
	} {
		status, _, words := vigie(t, append([]string{"service", "add", "--data", data}, args...)...)
		if status != 1 || !strings.Contains(words, "cannot be registered") || strings.Contains(words, "goroutine") {
			t.Errorf("%s: status %d, %q", name, status, words)
		}
	}
	mustRun(t, "service", "disable", "--data", data, "vaccin")
	if out := mustRun(t, "service", "list", "--data", data); !strings.Contains(out, "disabled") {
		t.Errorf("the list does not say that it is disabled: %s", out)
	}
	if status, _, words := vigie(t, "service", "disable", "--data", data, "nobody"); status != 1 || !strings.Contains(words, "vigie service list") {
		t.Errorf("disabling an unknown service: %d %q", status, words)
	}
}

func TestTheSupportLineStopsAloneAndAllowsInPairs(t *testing.T) {
	data, secrets := place(t)
	act := func(args ...string) []string {
		return append(args, "--data", data, "--secrets", secrets, "--portal", "https://portal.example")
	}
	const id = "899700000017"
	if status, _, _ := vigie(t, act("professional", "show", id, "--operator", "ada")...); status != 2 {
		t.Errorf("looking without a reason: status %d", status)
	}
	out := mustRun(t, act("professional", "allow-activation", id, "--operator", "ada", "--reason", "forgot the PIN")...)
	code := regexp.MustCompile(`--confirm (\S+)`).FindStringSubmatch(out)
	if code == nil {
		t.Fatal(out)
	}
	if status, _, words := vigie(t, act("professional", "allow-activation", id, "--operator", "ada", "--reason", "forgot the PIN", "--confirm", code[1])...); status != 1 {
		t.Errorf("the same person confirms: status %d, %q", status, words)
	}
	if status, _, words := vigie(t, act("professional", "allow-activation", "899700000021", "--operator", "grace", "--reason", "x", "--confirm", code[1])...); status != 1 {
		t.Errorf("the code is taken for somebody else: status %d, %q", status, words)
	}
	mustRun(t, act("professional", "allow-activation", id, "--operator", "grace", "--reason", "forgot the PIN", "--confirm", code[1])...)
	out = mustRun(t, act("professional", "show", id, "--operator", "ada", "--reason", "call 4711")...)
	for _, want := range []string{"Dr Anne Martin", "activation.allowed", "activation.confirmed", "operator.looked-up", "call 4711", "operator:grace"} {
		if !strings.Contains(out, want) {
			t.Errorf("show does not say %q:\n%s", want, out)
		}
	}
	// Every channel is told: an e-mail and an SMS wait, sealed.
	db, err := Config{Data: data}.openDatabase(t.Context(), env{log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var letters int
	err = db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM messages WHERE professional = $1`, id).Scan(&letters)
	})
	if err != nil || letters < 2 {
		t.Errorf("%d letters tell the professional: %v", letters, err)
	}
}

func TestTheRegisterIsImportedByOneCommand(t *testing.T) {
	data, _ := place(t)
	file := filepath.Join(t.TempDir(), "Extraction_ProSanteConnect_Personne_activite_202603020800.txt")
	mustRun(t, "directory", "generate", "--people", "300", file)
	bad := filepath.Join(t.TempDir(), "bad.txt")
	status, _, words := vigie(t, "directory", "import", "--data", data, "--bad", bad, file)
	if status != 1 || !strings.Contains(words, "--accept-change") || !strings.Contains(words, "Nothing was changed") {
		t.Errorf("a register of other people is taken: status %d, %q", status, words)
	}
	if status, _, words := vigie(t, "directory", "import", "--data", data, "--accept-change", "much", file); status != 2 || !strings.Contains(words, "20%") {
		t.Errorf("--accept-change much: status %d, %q", status, words)
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("8|only|three\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	out := mustRun(t, "directory", "import", "--data", data, "--bad", bad, "--accept-change", "100%", file)
	if !strings.Contains(out, "added 300") || !strings.Contains(out, "removed 6") {
		t.Errorf("the report: %s", out)
	}
	if b, err := os.ReadFile(bad); err != nil || !strings.Contains(string(b), filepath.Base(file)+":") {
		t.Errorf("malformed lines: %v %s", err, b)
	}
}

func TestWhoIsSignedInWithoutAPhoneAndLeavesTheRegisterIsSignedOutWithinTheHour(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		ctx := t.Context()
		if _, err := directory.Load(ctx, db, directory.Demo()); err != nil {
			t.Fatal(err)
		}
		var open session.Session
		err := db.Write(ctx, func(tx *store.Tx) (err error) {
			open, _, err = session.Open(ctx, tx, session.New{Professional: "899700000017", Kind: session.Mine, Means: session.Card, Service: "vaccin"})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := importWithout(ctx, t, db, "899700000017"); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			after time.Duration
			alive bool
		}{{20 * time.Minute, true}, {25 * time.Minute, true}, {20 * time.Minute, false}} {
			clock.Add(c.after)
			err := db.Write(ctx, func(tx *store.Tx) error {
				s, _, err := session.Find(ctx, tx, open.ID)
				if err == nil && session.Alive(s, tx.Now) != c.alive {
					t.Errorf("at %s the session is alive: %t", tx.Now, !c.alive)
				}
				if err == nil && c.alive {
					err = session.Use(ctx, tx, s)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
