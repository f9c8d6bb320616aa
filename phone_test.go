package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigie/message"
	"vigie/stage"
	"vigie/store"
	"vigie/store/storetest"
)

// The terminal phone, by its commands alone, from the two codes to a ring that
// it hears by push and by stream, and refuses.
func TestAPhoneInTheTerminal(t *testing.T) {
	clock := storetest.NewClock()
	w := newWorld(t, storetest.Open(t, store.Options{Clock: clock.Now}), clock)
	anne := w.People[0]
	file := filepath.Join(t.TempDir(), "phone.json")
	phone := func(want int, args ...string) map[string]any {
		t.Helper()
		if args[0] != "ask" {
			args = append(args, "--store", file)
		}
		status, out, words := vigie(t, append([]string{"phone"}, args...)...)
		var said map[string]any
		if err := json.Unmarshal([]byte(out), &said); err != nil || status != want {
			t.Fatalf("vigie phone %s: status %d, %q, %q", args[0], status, out, words)
		}
		return said
	}

	phone(0, "ask", "--server", w.Portal, "--national-id", anne.NationalID, "--mobile", anne.Mobile, "--email", anne.Email)
	codes := map[message.Channel]string{}
	for len(codes) < 2 { // the server's own job may be delivering them
		letters, err := w.Letters(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range letters {
			codes[l.Channel] = l.Code
		}
	}
	activate := []string{"activate", "--server", w.Portal, "--national-id", anne.NationalID, "--sms", codes[message.SMS], "--pin", "7294", "--email"}
	if said := phone(1, append(activate, "00000000")...); said["error"] != "wrong_codes" || said["left"] != 4.0 {
		t.Fatalf("wrong codes: %v", said)
	}
	if _, err := os.Stat(file); err == nil {
		t.Fatal("a phone was kept that is none")
	}
	if said := phone(0, append(activate, codes[message.Email])...); said["name"] != anne.Name {
		t.Fatalf("activated: %v", said)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if said := phone(1, append(activate, codes[message.Email])...); !strings.Contains(said["message"].(string), "exists already") {
		t.Fatalf("over an existing phone: %v", said)
	}

	b, err := stage.NewBrowser(w.Browser)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	service := w.Services[0].URL
	must(b.Visit(t.Context(), service+"/login"))
	must(b.Type(t.Context(), anne.NationalID))
	if said := phone(1, "claim", "--code", "000000"); said["error"] != "unknown_code" || said["last4"] != "0017" {
		t.Errorf("an unknown code: %v", said)
	}
	said := phone(0, "claim", "--code", b.Code())
	if facts := said["facts"].(map[string]any); facts["service"] != w.Services[0].Name {
		t.Errorf("claimed: %v", said)
	}
	if said := phone(1, "approve", "--pin", "1357"); said["error"] != "wrong_pin" || said["misses"] != 1.0 {
		t.Errorf("a wrong PIN: %v", said)
	}
	if said := phone(0, "approve", "--pin", "7294", "--keep", "mine"); said["state"] != "approved" || said["misses"] != 1.0 {
		t.Errorf("approved: %v", said)
	}
	must(b.Look(t.Context()))
	if _, _, page := b.Page(); !strings.Contains(page, anne.Name) {
		t.Fatalf("the service greets nobody: %s", page)
	}

	heard, stop := listen(t, file)
	for range 2 {
		if h := <-heard; h.Event != "listening" {
			t.Fatalf("%+v", h)
		}
	}
	must(b.Visit(t.Context(), service+"/logout"))
	must(b.Visit(t.Context(), service+"/login"))
	must(b.Choose(t.Context(), anne.NationalID))
	rang := map[string]stage.Heard{}
	for range 2 {
		h := <-heard
		rang[h.Via] = h
	}
	for _, via := range []string{"push", "stream"} {
		if h := rang[via]; h.Event != "ring" || h.Service != w.Services[0].Name || h.Seconds < 50 || h.Request != rang["push"].Request {
			t.Errorf("by %s: %+v", via, h)
		}
	}
	if said := phone(0, "refuse", "--request", rang["push"].Request); said["state"] != "refused" {
		t.Errorf("refused: %v", said)
	}
	if h := <-heard; h.Event != "over" || h.Request != rang["push"].Request {
		t.Errorf("after the refusal: %+v", h)
	}
	stop()
	if said := phone(0, "me"); said["subscription"] != false || len(said["requests"].([]any)) != 0 {
		t.Errorf("after listening: %v", said)
	}
	if said := phone(1, "refuse"); !strings.Contains(said["message"].(string), "0 wait") {
		t.Errorf("refusing nothing: %v", said)
	}
}

// listen runs "vigie phone listen" until stop, and hands its lines over.
func listen(t *testing.T, file string) (heard <-chan stage.Heard, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"phone", "listen", "--store", file}, env{out: write, err: io.Discard, log: slog.New(slog.DiscardHandler)})
		write.Close()
	}()
	lines := make(chan stage.Heard)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(read); s.Scan(); {
			var h stage.Heard
			if json.Unmarshal(s.Bytes(), &h) == nil {
				lines <- h
			}
		}
	}()
	return lines, func() {
		cancel()
		for range lines {
		}
		if status := <-ended; status != 0 {
			t.Errorf("listen ended with %d", status)
		}
		http.DefaultClient.CloseIdleConnections()
	}
}
