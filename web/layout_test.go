package web

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

func styleGuide(t *testing.T, target string, set func(r *http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", target, nil)
	if set != nil {
		set(r)
	}
	w := httptest.NewRecorder()
	StyleGuide().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", target, w.Code, w.Body)
	}
	return w
}

func TestAPageSpeaksTheLanguageThatItsReaderAskedFor(t *testing.T) {
	for _, c := range []struct {
		target, cookie, accept, want string
	}{
		{"/", "", "", "fr"},
		{"/", "", "de", "fr"},
		{"/", "", "en-GB,en;q=0.9,fr;q=0.8", "en"},
		{"/", "", "de, fr;q=0.3, en;q=0.7", "en"},
		{"/", "", "EN;Q=0.5", "en"},
		{"/", "", "en;q=0, fr;q=0.1", "fr"},
		{"/", "", "en;q=nonsense", "fr"},
		{"/", "", "en;q=NaN", "fr"},
		{"/", "fr", "en", "fr"},
		{"/", "xx", "en", "en"},
		{"/?lang=en", "fr", "fr", "en"},
		{"/?lang=xx", "en", "fr", "en"},
	} {
		w := styleGuide(t, c.target, func(r *http.Request) {
			if c.cookie != "" {
				r.AddCookie(&http.Cookie{Name: "vigie_lang", Value: c.cookie})
			}
			r.Header.Set("Accept-Language", c.accept)
		})
		if !strings.Contains(w.Body.String(), `<html lang="`+c.want+`"`) || w.Header().Get("Content-Language") != c.want {
			t.Errorf("%+v: answered in %s", c, w.Header().Get("Content-Language"))
		}
	}
}

func TestLanguageAndThemeAreSwitchedByPlainLinksAndKept(t *testing.T) {
	w := styleGuide(t, "/page?x=1&lang=en&theme=dark", nil)
	body := w.Body.String()
	for _, want := range []string{`data-theme="dark"`, `href="?lang=fr&amp;x=1"`, `href="?theme=light&amp;x=1"`, `href="?theme=system&amp;x=1"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	kept := map[string]string{}
	for _, c := range w.Result().Cookies() {
		kept[c.Name] = c.Value
	}
	if kept["vigie_lang"] != "en" || kept["vigie_theme"] != "dark" {
		t.Errorf("kept %v", kept)
	}
	again := styleGuide(t, "/", func(r *http.Request) {
		for _, c := range w.Result().Cookies() {
			r.AddCookie(c)
		}
	})
	if body := again.Body.String(); !strings.Contains(body, `<html lang="en" data-theme="dark">`) {
		t.Error("the choices were forgotten")
	}
	if cookies := again.Result().Cookies(); len(cookies) != 0 {
		t.Errorf("cookies without a choice: %v", cookies)
	}
	if w := styleGuide(t, "/?theme=system", nil); !strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("the theme of the device: %q", w.Header().Get("Set-Cookie"))
	}
	secureWay := styleGuide(t, "/?theme=dark", func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") })
	if !strings.Contains(secureWay.Header().Get("Set-Cookie"), "Secure") {
		t.Error("a cookie set over https goes out over http")
	}
}

func TestAPageIsWrittenWholeOrNotAtAll(t *testing.T) {
	for _, c := range []struct {
		name string
		page any
	}{
		{"no such page", nil},
		{"styleguide", struct{ Code string }{"482913"}}, // fails in the middle: no .Service
	} {
		w := httptest.NewRecorder()
		err := render(w, httptest.NewRequest("GET", "/?lang=en", nil), http.StatusOK, c.name, c.page)
		if err == nil {
			t.Errorf("%s: no error", c.name)
		}
		if w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Errorf("%s: wrote %q, %v", c.name, w.Body, w.Header())
		}
	}
}

func TestNoPageRunsScriptOrStyleOfItsOwn(t *testing.T) {
	body := styleGuide(t, "/", nil).Body.String()
	for _, forbidden := range []string{`style="`, `<style`, `onclick=`, `javascript:`} {
		if strings.Contains(body, forbidden) {
			t.Errorf("the page has %s", forbidden)
		}
	}
	for _, m := range regexp.MustCompile(`<script[^>]*>`).FindAllString(body, -1) {
		if !strings.Contains(m, ` src="/static/`) {
			t.Errorf("the page has %s", m)
		}
	}
}

func TestPagesForbidWhatTheyDoNotNeed(t *testing.T) {
	answer := func(h http.HandlerFunc) http.Header {
		w := httptest.NewRecorder()
		secure(h).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		return w.Header()
	}
	plain := answer(func(http.ResponseWriter, *http.Request) {})
	for name, want := range map[string]string{
		"Content-Security-Policy":    "default-src 'none'; script-src 'self'; ",
		"Permissions-Policy":         "camera=()",
		"Referrer-Policy":            "same-origin",
		"X-Content-Type-Options":     "nosniff",
		"X-Frame-Options":            "DENY",
		"Cross-Origin-Opener-Policy": "same-origin",
	} {
		if !strings.Contains(plain.Get(name), want) {
			t.Errorf("%s: %q", name, plain.Get(name))
		}
	}
	if policy := plain.Get("Content-Security-Policy"); !strings.HasSuffix(policy, "form-action 'self'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	wide := answer(func(w http.ResponseWriter, _ *http.Request) {
		allowForms(w, "https://service.example")
		allowCamera(w)
	})
	if policy := wide.Get("Content-Security-Policy"); !strings.HasSuffix(policy, "form-action 'self' https://service.example") {
		t.Errorf("policy %q", policy)
	}
	if !strings.Contains(wide.Get("Permissions-Policy"), "camera=(self)") {
		t.Errorf("permissions %q", wide.Get("Permissions-Policy"))
	}
}

func TestACountdownNeverShowsMoreOrLessThanThereIs(t *testing.T) {
	for _, c := range []struct {
		left, whole time.Duration
		clock       string
		share       int
	}{
		{118 * time.Second, 120 * time.Second, "1:58", 98},
		{200 * time.Millisecond, time.Minute, "0:01", 1},
		{-time.Second, time.Minute, "0:00", 0},
		{2 * time.Minute, time.Minute, "1:00", 100},
		{0, 0, "0:00", 0},
	} {
		got := newCountdown(c.left, c.whole)
		if got.Clock() != c.clock || got.Share() != c.share {
			t.Errorf("%s of %s: %s, %d %%", c.left, c.whole, got.Clock(), got.Share())
		}
	}
}
