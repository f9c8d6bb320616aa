package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func getAsset(t *testing.T, method, path string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.Header = header
	w := httptest.NewRecorder()
	Assets().ServeHTTP(w, r)
	return w.Result()
}

func TestAssetsMayBeKeptForEverUnderTheirVersionOnly(t *testing.T) {
	a, err := loadedAssets()
	if err != nil {
		t.Fatal(err)
	}
	address, err := a.address("vigie.css")
	if err != nil {
		t.Fatal(err)
	}
	const forEver, askAnew = "public, max-age=31536000, immutable", "no-cache"
	for path, want := range map[string]string{
		address:                                forEver,
		"/static/vigie.css":                    askAnew,
		"/static/v-0123456789abcdef/vigie.css": askAnew,
	} {
		answer := getAsset(t, "GET", path, nil)
		if answer.StatusCode != http.StatusOK || answer.Header.Get("Cache-Control") != want {
			t.Errorf("GET %s: %d, %q", path, answer.StatusCode, answer.Header.Get("Cache-Control"))
		}
	}
	for _, path := range []string{"/static/", "/static/nothing.css", "/static/../assets.go", "/static/" + a.version + "/", "/static/v-1", "/static/fonts"} {
		if answer := getAsset(t, "GET", path, nil); answer.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, answer.StatusCode)
		}
	}
	if answer := getAsset(t, "POST", address, nil); answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", answer.StatusCode)
	}
	if _, err := a.address("nothing.css"); err == nil {
		t.Error("an asset that does not exist has an address")
	}
}

func TestAnAssetIsTheSamePackedAndPlain(t *testing.T) {
	read := func(answer *http.Response) []byte {
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	plain := getAsset(t, "GET", "/static/vigie.css", nil)
	packed := getAsset(t, "GET", "/static/vigie.css", http.Header{"Accept-Encoding": {"br, gzip"}})
	if plain.Header.Get("Content-Encoding") != "" || packed.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("encodings %q, %q", plain.Header.Get("Content-Encoding"), packed.Header.Get("Content-Encoding"))
	}
	reader, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(unpacked, read(plain)) {
		t.Error("another content when packed")
	}
	kept := getAsset(t, "GET", "/static/vigie.css", http.Header{"If-None-Match": {plain.Header.Get("Etag")}})
	if kept.StatusCode != http.StatusNotModified || len(read(kept)) > 0 {
		t.Errorf("unchanged, and yet %d", kept.StatusCode)
	}
}

func TestScriptsFindTheWordsOfTheirArea(t *testing.T) {
	answer := getAsset(t, "GET", "/static/words/common.fr.json", nil)
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Header.Get("Content-Type") != "application/json" || !bytes.Contains(body, []byte(`"common.pin_1":`)) {
		t.Errorf("%s: %s", answer.Header.Get("Content-Type"), body)
	}
}

func TestTheStylesheetAndThePagesNameOnlyWhatThereIs(t *testing.T) {
	a, err := loadedAssets()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`url\("([^"]+)"\)`).FindAllSubmatch(a.files["vigie.css"].body, -1) {
		if a.files[string(m[1])] == nil {
			t.Errorf("the stylesheet names %s", m[1])
		}
	}
	page := styleGuide(t, "/", nil).Body.String()
	addresses := regexp.MustCompile(`(?:href|src)="(/[^"#]+)`).FindAllStringSubmatch(page, -1)
	if len(addresses) < 10 {
		t.Fatalf("only %d addresses in the style guide", len(addresses))
	}
	for _, m := range addresses {
		if answer := getAsset(t, "GET", m[1], nil); answer.StatusCode != http.StatusOK {
			t.Errorf("the style guide names %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`icons\.svg#([a-z-]+)`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(string(a.files["icons.svg"].body), `id="`+m[1]+`"`) {
			t.Errorf("no icon %s", m[1])
		}
	}
}
