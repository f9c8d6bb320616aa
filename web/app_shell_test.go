package web

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func shell(t *testing.T, target string, set func(get func(name, value string))) *httptest.ResponseRecorder {
	t.Helper()
	h, err := Shell{Issuer: "https://portal.example/auth", Portal: "https://portal.example", Support: "0 809 40 00 82"}.Handler()
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", target, nil)
	if set != nil {
		set(r.Header.Set)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestTheAppIsOnePageWithoutDataUnderTheStrictPolicy(t *testing.T) {
	for _, lang := range languages {
		w := shell(t, "/", func(set func(name, value string)) { set("Accept-Language", lang) })
		body := w.Body.String()
		if w.Code != 200 || !strings.Contains(body, `<html lang="`+lang+`"`) || !strings.Contains(body, `content="https://portal.example/auth"`) {
			t.Errorf("%s: %d %.300s", lang, w.Code, body)
		}
		policy := w.Header().Get("Content-Security-Policy")
		for _, rule := range []string{"default-src 'none'", "script-src 'self'", "require-trusted-types-for 'script'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, rule) {
				t.Errorf("the policy lacks %s", rule)
			}
		}
		if inline := regexp.MustCompile(`<script>|<style|style="| on[a-z]+="`).FindString(body); inline != "" {
			t.Errorf("inline script or style: %s", inline)
		}
	}
	if w := shell(t, "/nothing", nil); w.Code != 404 {
		t.Errorf("an unknown address: %d", w.Code)
	}
}

func TestTheManifestMakesTheAppInstallable(t *testing.T) {
	w := shell(t, "/manifest.webmanifest", nil)
	var m struct {
		Name, Display, Scope string
		StartURL             string `json:"start_url"`
		Icons                []struct{ Src, Sizes, Purpose string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	if m.Name != "Vigie" || m.Display != "standalone" || m.Scope != "/" || m.StartURL != "/" || len(m.Icons) != 4 {
		t.Errorf("%+v", m)
	}
	for _, icon := range m.Icons {
		if w := shell(t, icon.Src, nil); w.Code != 200 || w.Header().Get("Content-Type") != "image/png" {
			t.Errorf("%s: %d", icon.Src, w.Code)
		}
	}
}

func TestTheServiceWorkerIsOnePlainScript(t *testing.T) {
	w := shell(t, "/sw.js", nil)
	if w.Header().Get("Cache-Control") != "no-cache" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") {
		t.Errorf("%v", w.Header())
	}
	script := w.Body.Bytes()
	if left := regexp.MustCompile(`(?m)^\s*(import|export)\b.*`).Find(script); left != nil {
		t.Errorf("a module's word is left: %s", left)
	}
	// Modules that share one script share its names.
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(?:async )?(?:const|let|class|function) (\w+)`).FindAllSubmatch(script, -1) {
		if seen[string(m[1])] {
			t.Errorf("two modules of the worker define %s", m[1])
		}
		seen[string(m[1])] = true
	}
	if !seen["writeDocument"] || !seen["sendOrKeep"] {
		t.Error("the worker cannot sign")
	}
	for _, text := range []string{"Authentification pour le service {service}", "Sign-in request from {service}"} {
		if !bytes.Contains(script, []byte(text)) {
			t.Errorf("the worker cannot say %q", text)
		}
	}
}

func TestEverythingThatTheAppLoadsIsKeptForTheTimeWithoutANetwork(t *testing.T) {
	a, err := loadedAssets()
	if err != nil {
		t.Fatal(err)
	}
	kept := offlineFiles(a)
	reads := regexp.MustCompile(`(?:from |import\(|new URL\()['"](\.\.?/[^'"]+)['"]`)
	for name, file := range a.files {
		if !strings.HasPrefix(name, "app/") || path.Ext(name) != ".js" || name == "app/worker.js" {
			continue
		}
		for _, m := range reads.FindAllSubmatch(file.body, -1) {
			needed := path.Join(path.Dir(name), string(m[1]))
			if !slices.Contains(kept, "/static/"+a.version+"/"+needed) {
				t.Errorf("%s needs %s, which is not kept", name, needed)
			}
		}
	}
}
