package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Shell is what the phone app must know of the deployment that serves it.
type Shell struct {
	Issuer  string // whom the app's signed documents are addressed to
	Portal  string // origin of the portal, for "where do I sign in?"
	Support string // telephone number of the support line as people read it; "" if there is none
}

// Handler serves what the phone app is made of: its one page, its manifest, its
// service worker and its files. The page holds no data: everything else comes
// through the phone API.
func (s Shell) Handler() (http.Handler, error) {
	a, err := loadedAssets()
	if err != nil {
		return nil, err
	}
	worker, err := workerScript(a)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		body, err := s.page(languageOf(r), themeOf(r))
		if err != nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		writeShell(w, "text/html; charset=utf-8", body)
	})
	mux.HandleFunc("GET /manifest.webmanifest", func(w http.ResponseWriter, r *http.Request) {
		body, err := manifest(a, languageOf(r))
		if err != nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		writeShell(w, "application/manifest+json", body)
	})
	mux.HandleFunc("GET /sw.js", func(w http.ResponseWriter, r *http.Request) {
		writeShell(w, "text/javascript; charset=utf-8", worker)
	})
	// Browsers and iOS ask for these by name whatever the page says.
	for name, file := range map[string]string{"/favicon.ico": "app/icons/icon-192.png", "/apple-touch-icon.png": "app/icons/apple-180.png"} {
		if a.files[file] == nil {
			return nil, fmt.Errorf("no asset %q", file)
		}
		mux.HandleFunc("GET "+name, func(w http.ResponseWriter, r *http.Request) { a.files[file].serve(w, r, false) })
	}
	mux.Handle("/static/", Assets())
	return secure(mux), nil
}

func writeShell(w http.ResponseWriter, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	// Asked for anew each time; the service worker keeps what is shown offline.
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(body) // whoever went away needs no answer
}

// page is the app's one page, in which script draws every screen.
func (s Shell) page(lang, theme string) ([]byte, error) {
	sets, err := pages()
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	err = sets[lang]["app_shell"].ExecuteTemplate(&body, "app", struct {
		Shell
		Theme string
	}{s, theme})
	if err != nil {
		return nil, fmt.Errorf("rendering the app's page: %w", err)
	}
	return body.Bytes(), nil
}

// manifest makes the app installable (W3C Web Application Manifest).
func manifest(a *assets, lang string) ([]byte, error) {
	vocabulary, err := vocabulary()
	if err != nil {
		return nil, err
	}
	description, err := vocabulary[lang].say("app.description")
	if err != nil {
		return nil, err
	}
	type image struct {
		Src     string `json:"src"`
		Sizes   string `json:"sizes"`
		Type    string `json:"type"`
		Purpose string `json:"purpose"`
	}
	var icons []image
	for _, i := range []image{
		{"icon-192.png", "192x192", "image/png", "any"},
		{"icon-512.png", "512x512", "image/png", "any"},
		{"maskable-192.png", "192x192", "image/png", "maskable"},
		{"maskable-512.png", "512x512", "image/png", "maskable"},
	} {
		if i.Src, err = a.address("app/icons/" + i.Src); err != nil {
			return nil, err
		}
		icons = append(icons, i)
	}
	return json.MarshalIndent(map[string]any{
		"id": "/", "start_url": "/", "scope": "/", "display": "standalone", "orientation": "natural",
		"name": "Vigie", "short_name": "Vigie", "description": description, "lang": lang, "dir": "ltr",
		"background_color": "#ffffff", "theme_color": "#ffffff", "categories": []string{"medical", "security"},
		"icons": icons,
	}, "", "  ")
}

// workerModules are the modules that the service worker is put together from,
// each after those it imports. Firefox ESR knows no module workers, so their
// import and export words are taken away and the rest becomes one plain script.
var workerModules = []string{"bytes.js", "store.js", "keys.js", "protocol.js", "documents.js", "answers.js", "worker.js"}

var (
	importLine = regexp.MustCompile(`(?m)^import\b[^;]*;\n`)
	exportWord = regexp.MustCompile(`(?m)^export `)
)

// workerScript is /sw.js. It changes whenever a file of the app does, so that
// browsers fetch the new app; and it carries the words of the notifications,
// since it must speak when nothing else can be read.
func workerScript(a *assets) ([]byte, error) {
	vocabulary, err := vocabulary()
	if err != nil {
		return nil, err
	}
	said := map[string]map[string]string{}
	for lang, w := range vocabulary {
		said[lang] = map[string]string{}
		for key, text := range w.texts {
			// words: app.push_*
			if _, name, ours := strings.Cut(key, ".push_"); ours && strings.HasPrefix(key, "app.") {
				said[lang][name] = text
			}
		}
	}
	icon, err := a.address("app/icons/icon-192.png")
	if err != nil {
		return nil, err
	}
	badge, err := a.address("app/icons/badge-96.png")
	if err != nil {
		return nil, err
	}
	facts, err := json.Marshal(map[string]any{"version": a.version, "files": offlineFiles(a), "words": said, "icon": icon, "badge": badge})
	if err != nil {
		return nil, err
	}
	var script bytes.Buffer
	fmt.Fprintf(&script, "'use strict';\nconst FACTS = %s;\n", facts)
	for _, name := range workerModules {
		file := a.files["app/"+name]
		if file == nil {
			return nil, fmt.Errorf("no asset app/%s for the service worker", name)
		}
		fmt.Fprintf(&script, "\n// --- %s\n", name)
		script.Write(exportWord.ReplaceAll(importLine.ReplaceAll(file.body, nil), nil))
	}
	return script.Bytes(), nil
}

// offlineFiles are the addresses of what the app runs on without a network.
func offlineFiles(a *assets) []string {
	var list []string
	for name := range a.files {
		dir, base := path.Split(name)
		var needed bool
		switch dir {
		case "":
			needed = slices.Contains([]string{"vigie.css", "icons.svg", "pin.js", "countdown.js", "trusted.js"}, base)
		case "app/", "app/screens/":
			needed = base != "worker.js"
		case "img/":
			needed = base == "vigie.svg"
		case "fonts/":
			needed = strings.HasPrefix(base, "atkinson-latin-") && !strings.HasPrefix(base, "atkinson-latin-ext-")
		case "vendor/":
			needed = base == "p256oprf.js" || base == "ed25519.js"
		case "words/":
			needed = strings.HasPrefix(base, "app.") || strings.HasPrefix(base, "common.")
		}
		if needed {
			list = append(list, "/static/"+a.version+"/"+name)
		}
	}
	slices.Sort(list)
	return list
}
