// Command vendorjs writes web/static/vendor, web/static/fonts and
// web/static/icons.svg from the npm packages that web/npm/package-lock.json
// pins, so that neither Node nor a bundler is needed to build or run Vigie.
//
// It is run by `go generate ./web` after `npm ci` in web/npm. Modules are
// bundled into single ES modules that stay readable: what a reviewer reads is
// what the browser runs.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// modules are the bundles to make and the packages whose licence they carry.
var modules = []struct {
	name     string
	packages []string
}{
	{"p256oprf", []string{"@noble/curves", "@noble/hashes"}},
	{"ed25519", []string{"@noble/curves", "@noble/hashes"}},
	{"jsqr", []string{"jsqr"}},
}

// fonts are the cuts that pages use; latin-ext serves names of people.
var fonts = []string{"latin-400-normal", "latin-400-italic", "latin-700-normal", "latin-ext-400-normal", "latin-ext-700-normal"}

// icons gives our name of each icon and the file of lucide that it comes from.
var icons = map[string]string{
	"alert":     "triangle-alert",
	"arrow":     "arrow-right",
	"back":      "arrow-left",
	"backspace": "delete",
	"ban":       "ban",
	"bell":      "bell",
	"bell-off":  "bell-off",
	"camera":    "camera",
	"card":      "id-card",
	"check":     "check",
	"chevron":   "chevron-right",
	"clock":     "clock",
	"done":      "circle-check",
	"download":  "download",
	"globe":     "globe",
	"help":      "life-buoy",
	"history":   "history",
	"info":      "info",
	"key":       "key-round",
	"keyboard":  "keyboard",
	"lock":      "lock",
	"log-out":   "log-out",
	"mail":      "mail",
	"message":   "message-square",
	"moon":      "moon",
	"no":        "circle-x",
	"offline":   "wifi-off",
	"phone":     "smartphone",
	"place":     "map-pin",
	"print":     "printer",
	"qr":        "qr-code",
	"refresh":   "refresh-cw",
	"screen":    "monitor",
	"settings":  "settings",
	"shield":    "shield",
	"safe":      "shield-check",
	"sun":       "sun",
	"trash":     "trash-2",
	"user":      "user-round",
	"x":         "x",
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "vendorjs:", err)
		os.Exit(1)
	}
}

func run() error {
	// go generate runs in the folder of the file that asks for it: web.
	for _, module := range modules {
		if err := bundle(module.name, module.packages); err != nil {
			return fmt.Errorf("bundling %s: %w", module.name, err)
		}
	}
	if err := copyFonts(); err != nil {
		return fmt.Errorf("copying fonts: %w", err)
	}
	if err := writeSprite(); err != nil {
		return fmt.Errorf("writing icons: %w", err)
	}
	return nil
}

// bundle writes one ES module and the licences of the packages in it.
func bundle(name string, packages []string) error {
	var banner, licences strings.Builder
	banner.WriteString("// Made by `go generate ./web`; do not edit. Licence: " + name + ".LICENSE. From")
	for _, p := range packages {
		version, err := versionOf(p)
		if err != nil {
			return err
		}
		fmt.Fprintf(&banner, " %s %s", p, version)
		text, err := os.ReadFile(filepath.Join("npm/node_modules", p, "LICENSE"))
		if err != nil {
			return err
		}
		fmt.Fprintf(&licences, "%s %s\n\n%s\n", p, version, text)
	}
	// Those who import it are checked, it is not.
	banner.WriteString("\n// @ts-nocheck")
	result := api.Build(api.BuildOptions{
		EntryPoints:   []string{"npm/src/" + name + ".js"},
		Bundle:        true,
		Format:        api.FormatESModule,
		Platform:      api.PlatformBrowser,
		Target:        api.ES2022,
		Charset:       api.CharsetUTF8,
		TreeShaking:   api.TreeShakingTrue,
		LegalComments: api.LegalCommentsInline,
		Banner:        map[string]string{"js": banner.String()},
		Outfile:       "static/vendor/" + name + ".js",
		Write:         true,
		LogLevel:      api.LogLevelWarning,
	})
	if len(result.Errors) > 0 {
		return errors.New(result.Errors[0].Text)
	}
	return os.WriteFile("static/vendor/"+name+".LICENSE", []byte(licences.String()), 0o644)
}

func versionOf(packageName string) (string, error) {
	data, err := os.ReadFile(filepath.Join("npm/node_modules", packageName, "package.json"))
	if err != nil {
		return "", err
	}
	var manifest struct{ Version string }
	if err := json.Unmarshal(data, &manifest); err != nil {
		return "", fmt.Errorf("reading package.json of %s: %w", packageName, err)
	}
	return manifest.Version, nil
}

func copyFonts() error {
	const from = "npm/node_modules/@fontsource/atkinson-hyperlegible/"
	for _, cut := range fonts {
		if err := copyFile(from+"files/atkinson-hyperlegible-"+cut+".woff2", "static/fonts/atkinson-"+cut+".woff2"); err != nil {
			return err
		}
	}
	return copyFile(from+"LICENSE", "static/fonts/LICENSE")
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

var (
	svgContent = regexp.MustCompile(`(?s)<svg[^>]*>(.*)</svg>`)
	blanks     = regexp.MustCompile(`\s+`)
)

// writeSprite puts the icons into one SVG file of symbols.
func writeSprite() error {
	const from = "npm/node_modules/lucide-static/"
	version, err := versionOf("lucide-static")
	if err != nil {
		return err
	}
	names := make([]string, 0, len(icons))
	for name := range icons {
		names = append(names, name)
	}
	slices.Sort(names)
	var sprite strings.Builder
	fmt.Fprintf(&sprite, "<!-- Made by `go generate ./web`; do not edit. lucide-static %s, licence: icons.LICENSE -->\n", version)
	sprite.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">` + "\n")
	for _, name := range names {
		data, err := os.ReadFile(from + "icons/" + icons[name] + ".svg")
		if err != nil {
			return err
		}
		content := svgContent.FindSubmatch(data)
		if content == nil {
			return fmt.Errorf("%s.svg holds no drawing", icons[name])
		}
		drawing := strings.TrimSpace(blanks.ReplaceAllString(string(content[1]), " "))
		fmt.Fprintf(&sprite, "<symbol id=%q viewBox=\"0 0 24 24\">%s</symbol>\n", name, drawing)
	}
	sprite.WriteString("</svg>\n")
	if err := os.WriteFile("static/icons.svg", []byte(sprite.String()), 0o644); err != nil {
		return err
	}
	return copyFile(from+"LICENSE", "static/icons.LICENSE")
}
