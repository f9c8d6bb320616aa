package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// templates/layout.html is the frame of every page, templates/part_*.html are
// components, and every other file is one page, named by its path without
// ".html", that defines "title" and "main" (and, if it needs them, "head" and
// "width").
//
//go:embed templates
var templateFiles embed.FS

// frame is what the layout shows around a page.
type frame struct {
	Lang  string
	Theme string // "light", "dark", or empty for what the device says
	Other []choice
	Light template.URL // this page in light, in dark, as the device says
	Dark  template.URL
	Auto  template.URL
	Page  any
}

// choice is another language that this page can be read in.
type choice struct {
	Lang, Name string
	Link       template.URL
}

var languageNames = map[string]string{"fr": "Français", "en": "English"}

// render answers with the page of that name, filled from a struct of the
// page's own. The page is made whole before the first byte: on error nothing
// has been written.
func render(w http.ResponseWriter, r *http.Request, status int, name string, page any) error {
	sets, err := pages()
	if err != nil {
		return err
	}
	lang, theme := languageOf(r), themeOf(r)
	t := sets[lang][name]
	if t == nil {
		return fmt.Errorf("no page %q", name)
	}
	f := frame{
		Lang: lang, Theme: theme, Page: page,
		Light: linkWith(r, "theme", "light"), Dark: linkWith(r, "theme", "dark"), Auto: linkWith(r, "theme", "system"),
	}
	for _, other := range languages {
		if other != lang {
			f.Other = append(f.Other, choice{other, languageNames[other], linkWith(r, "lang", other)})
		}
	}
	var body bytes.Buffer
	if err := t.ExecuteTemplate(&body, "layout", f); err != nil {
		return fmt.Errorf("rendering the page %s: %w", name, err)
	}
	rememberChoices(w, r)
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Language", lang)
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // whoever went away needs no answer
	return nil
}

// pages returns the parsed pages by language and name.
var pages = sync.OnceValues(loadPages)

func loadPages() (map[string]map[string]*template.Template, error) {
	vocabulary, err := vocabulary()
	if err != nil {
		return nil, err
	}
	sets := map[string]map[string]*template.Template{}
	for lang, words := range vocabulary {
		base, err := template.New("").Funcs(functions(words)).ParseFS(templateFiles, "templates/layout.html", "templates/part_*.html")
		if err != nil {
			return nil, fmt.Errorf("reading the layout: %w", err)
		}
		sets[lang], err = parsePages(base)
		if err != nil {
			return nil, err
		}
	}
	return sets, nil
}

func parsePages(base *template.Template) (map[string]*template.Template, error) {
	set := map[string]*template.Template{}
	err := fs.WalkDir(templateFiles, "templates", func(path string, entry fs.DirEntry, err error) error {
		name := strings.TrimSuffix(strings.TrimPrefix(path, "templates/"), ".html")
		if err != nil || entry.IsDir() || name == "layout" || strings.HasPrefix(name, "part_") {
			return err
		}
		page, err := base.Clone()
		if err != nil {
			return err
		}
		set[name], err = page.ParseFS(templateFiles, path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the pages: %w", err)
	}
	return set, nil
}

// functions are what templates may call.
func functions(w *words) template.FuncMap {
	return template.FuncMap{
		"t":     w.say,
		"rich":  w.rich,
		"count": w.count,
		"forms": w.forms,
		"ago":   w.ago,
		"lang":  func() string { return w.lang },
		"asset": func(name string) (string, error) {
			a, err := loadedAssets()
			if err != nil {
				return "", err
			}
			return a.address(name)
		},
		"icon":    icon,
		"grouped": grouped,
		"spelled": func(code string) (string, error) { return spelled(w, code) },
	}
}

// icon draws one symbol of static/icons.svg. It is never the only bearer of a
// meaning: words stand beside it.
func icon(name string) (template.HTML, error) {
	a, err := loadedAssets()
	if err != nil {
		return "", err
	}
	address, err := a.address("icons.svg")
	if err != nil {
		return "", err
	}
	if !bytes.Contains(a.files["icons.svg"].body, []byte(`<symbol id="`+name+`"`)) {
		return "", fmt.Errorf("no icon %q", name)
	}
	return template.HTML(`<svg class="icon" aria-hidden="true" focusable="false"><use href="` + address + `#` + name + `"></use></svg>`), nil
}

// grouped writes a code as it is shown: "482913" as "482 913".
func grouped(code string) string {
	half := len(code) / 2
	return code[:half] + " " + code[half:]
}

// spelled writes a code so that a screen reader says digit by digit.
func spelled(w *words, code string) (string, error) {
	half := len(code) / 2
	apart := func(s string) string { return strings.Join(strings.Split(s, ""), " ") }
	return w.say("common.digits", "first", apart(code[:half]), "second", apart(code[half:]))
}

// countdown is what templates/part_countdown.html shows: seconds left of a
// whole lifetime, 0 ≤ Left ≤ Whole.
type countdown struct {
	Left, Whole int
}

// newCountdown rounds up, so that it shows 0 only when nothing is left.
func newCountdown(left, whole time.Duration) countdown {
	seconds := func(d time.Duration) int { return int((max(d, 0) + time.Second - 1) / time.Second) }
	return countdown{Left: min(seconds(left), seconds(whole)), Whole: seconds(whole)}
}

// Share returns what is left, in percent.
func (c countdown) Share() int {
	if c.Whole <= 0 {
		return 0
	}
	return c.Left * 100 / c.Whole
}

// Short says that little is left.
func (c countdown) Short() bool { return c.Left <= 20 }

// Clock returns what is left as "1:58".
func (c countdown) Clock() string {
	return fmt.Sprintf("%d:%02d", c.Left/60, c.Left%60)
}

// languageOf returns the language to answer r in: what the address asks for
// ("lang"), what was chosen before, what the browser prefers, French.
func languageOf(r *http.Request) string {
	if lang := r.URL.Query().Get("lang"); slices.Contains(languages, lang) {
		return lang
	}
	if c, err := r.Cookie("vigie_lang"); err == nil && slices.Contains(languages, c.Value) {
		return c.Value
	}
	return acceptedLanguage(r.Header.Get("Accept-Language"))
}

// acceptedLanguage reads an Accept-Language header (RFC 9110 §12.5.4) and
// returns the one of our languages that it weighs most.
func acceptedLanguage(header string) string {
	best, weight := languages[0], 0.0
	for entry := range strings.SplitSeq(header, ",") {
		tag, params, _ := strings.Cut(entry, ";")
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		q := 1.0
		if value, found := strings.CutPrefix(strings.TrimSpace(params), "q="); found {
			q, _ = strconv.ParseFloat(value, 64) // unreadable weighs nothing
		}
		if q > weight && slices.Contains(languages, primary) {
			best, weight = primary, q
		}
	}
	return best
}

// themeOf returns "light", "dark", or "" when the device decides.
func themeOf(r *http.Request) string {
	theme := r.URL.Query().Get("theme")
	if theme == "" {
		if c, err := r.Cookie("vigie_theme"); err == nil {
			theme = c.Value
		}
	}
	if theme == "light" || theme == "dark" {
		return theme
	}
	return ""
}

// rememberChoices keeps for a year the language and theme that the address
// names, so that switches are plain links. The cookies are no secrets; script
// (static/theme.js) may set the theme too.
func rememberChoices(w http.ResponseWriter, r *http.Request) {
	keep := func(name, value string, maxAge time.Duration) {
		http.SetCookie(w, &http.Cookie{
			Name: name, Value: value, Path: "/", MaxAge: int(maxAge / time.Second),
			SameSite: http.SameSiteLaxMode,
			// Behind a proxy that ends TLS only this header tells; who forges it
			// loses nothing but a remembered theme.
			Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
		})
	}
	const year = 365 * 24 * time.Hour
	if lang := r.URL.Query().Get("lang"); slices.Contains(languages, lang) {
		keep("vigie_lang", lang, year)
	}
	switch theme := r.URL.Query().Get("theme"); theme {
	case "light", "dark":
		keep("vigie_theme", theme, year)
	case "system":
		keep("vigie_theme", "", -time.Second)
	}
}

// linkWith returns a link to the page being shown with one query parameter
// set. It is relative, so that it holds wherever the page is mounted.
func linkWith(r *http.Request, name, value string) template.URL {
	query := url.Values{}
	for key, values := range r.URL.Query() {
		if key != "lang" && key != "theme" {
			query[key] = values
		}
	}
	query.Set(name, value)
	return template.URL("?" + query.Encode())
}
