package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
		{"/", "", "en;q=0, fr;q=0.1", "fr"},
		{"/", "", "en;q=nonsense", "fr"},
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
		if !strings.Contains(w.Body.String(), `<html lang="`+c.want+`"`) {
			t.Errorf("%+v: another language", c)
		}
	}
}
