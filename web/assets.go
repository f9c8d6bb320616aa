package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:generate go run vigie/internal/vendorjs

//go:embed static
var staticFiles embed.FS

// assets is everything under /static/: the files of static/ and, for scripts,
// the words of each area as words/AREA.LANGUAGE.json.
type assets struct {
	// version names the content of all files together, so that scripts and
	// styles may name each other by plain relative addresses.
	version string
	files   map[string]*asset
}

type asset struct {
	contentType string
	etag        string
	body        []byte
	gzipped     []byte // nil where it would not be smaller
}

var loadedAssets = sync.OnceValues(loadAssets)

func loadAssets() (*assets, error) {
	a := &assets{files: map[string]*asset{}}
	whole := sha256.New()
	add := func(name string, body []byte) error {
		file, err := newAsset(name, body)
		if err != nil {
			return fmt.Errorf("reading the asset %s: %w", name, err)
		}
		a.files[name] = file
		fmt.Fprintf(whole, "%s %s\n", name, file.etag)
		return nil
	}
	err := fs.WalkDir(staticFiles, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := staticFiles.ReadFile(name)
		if err != nil {
			return err
		}
		return add(strings.TrimPrefix(name, "static/"), body)
	})
	if err != nil {
		return nil, err
	}
	words, err := wordFiles.ReadDir("words")
	if err != nil {
		return nil, err
	}
	for _, file := range words {
		_, lang, _ := strings.Cut(strings.TrimSuffix(file.Name(), ".json"), ".")
		texts, err := readWords(file.Name(), lang)
		if err != nil {
			return nil, err
		}
		body, err := json.Marshal(texts)
		if err != nil {
			return nil, err
		}
		if err := add("words/"+file.Name(), body); err != nil {
			return nil, err
		}
	}
	a.version = "v-" + hex.EncodeToString(whole.Sum(nil)[:8])
	return a, nil
}

// contentTypes says it here rather than by the machine's MIME table, which
// differs from one server to the next.
var contentTypes = map[string]string{
	".css":         "text/css; charset=utf-8",
	".js":          "text/javascript; charset=utf-8",
	".json":        "application/json",
	".svg":         "image/svg+xml",
	".png":         "image/png",
	".woff2":       "font/woff2",
	".webmanifest": "application/manifest+json",
	".LICENSE":     "text/plain; charset=utf-8",
	"":             "text/plain; charset=utf-8",
}

func newAsset(name string, body []byte) (*asset, error) {
	contentType, known := contentTypes[path.Ext(name)]
	if !known {
		return nil, fmt.Errorf("no content type for %q", path.Ext(name))
	}
	sum := sha256.Sum256(body)
	file := &asset{contentType: contentType, etag: `W/"` + hex.EncodeToString(sum[:8]) + `"`, body: body}
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(body); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	if packed.Len() < len(body)*9/10 {
		file.gzipped = packed.Bytes()
	}
	return file, nil
}

// address returns the URL path of an asset, good for as long as its content.
func (a *assets) address(name string) (string, error) {
	if a.files[name] == nil {
		return "", fmt.Errorf("no asset %q", name)
	}
	return "/static/" + a.version + "/" + name, nil
}

// Assets serves GET and HEAD of /static/VERSION/NAME, which may be cached for
// ever, and /static/NAME, which is asked for anew each time. Another version
// than ours is answered with what we have, not to be kept: while nodes are
// being replaced, a page of one may take its assets from another.
func Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := loadedAssets()
		if err != nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/static/")
		version := ""
		if strings.HasPrefix(name, "v-") {
			version, name, _ = strings.Cut(name, "/")
		}
		file := a.files[name]
		if file == nil {
			http.NotFound(w, r)
			return
		}
		file.serve(w, r, version == a.version)
	})
}

func (file *asset) serve(w http.ResponseWriter, r *http.Request, forEver bool) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Content-Type", file.contentType)
	header.Set("Etag", file.etag)
	if forEver {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		header.Set("Cache-Control", "no-cache")
	}
	body := file.body
	if file.gzipped != nil {
		header.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			header.Set("Content-Encoding", "gzip")
			body = file.gzipped
		}
	}
	if r.Header.Get("If-None-Match") == file.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body) // whoever went away needs no answer
}
