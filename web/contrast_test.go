package web

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// textOn and shapeOn say which colours are read, or recognised, on which
// grounds; the numbers are contrast ratios of WCAG 2.2.
var (
	textOn = map[string][]string{
		"ink":         {"paper", "ground", "calm-tint", "accent-tint", "amber-tint", "red-tint"},
		"ink-soft":    {"paper", "ground", "calm-tint"},
		"accent-deep": {"paper", "ground", "accent-tint"},
		"red-deep":    {"paper", "ground", "red-tint"},
		"amber-deep":  {"paper", "amber-tint"},
		"on-accent":   {"accent-deep"},
		"on-red":      {"red-deep"},
	}
	shapeOn = map[string][]string{
		"edge":   {"paper", "ground"},
		"accent": {"paper", "accent-tint"},
		"red":    {"paper", "red-tint"},
		"amber":  {"paper", "amber-tint"},
	}
)

func TestEverybodyCanReadThePagesInLightAndInDark(t *testing.T) {
	for name, tokens := range themes(t) {
		for fore, grounds := range textOn {
			for _, ground := range grounds {
				if ratio := contrast(t, tokens, fore, ground); ratio < 7 {
					t.Errorf("%s: text in %s on %s has contrast %.2f, not 7", name, fore, ground, ratio)
				}
			}
		}
		for fore, grounds := range shapeOn {
			for _, ground := range grounds {
				if ratio := contrast(t, tokens, fore, ground); ratio < 3 {
					t.Errorf("%s: shapes in %s on %s have contrast %.2f, not 3", name, fore, ground, ratio)
				}
			}
		}
	}
}

func TestDarkIsTheSameWhetherTheDeviceOrThePersonChoseIt(t *testing.T) {
	all := themes(t)
	if device, person := fmt.Sprint(all["dark by device"]), fmt.Sprint(all["dark by choice"]); device != person {
		t.Errorf("the two copies of the dark tokens differ:\n%s\n%s", device, person)
	}
}

var token = regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)

// themes reads the colour tokens out of the stylesheet.
func themes(t *testing.T) map[string]map[string]string {
	t.Helper()
	sheet, err := staticFiles.ReadFile("static/vigie.css")
	if err != nil {
		t.Fatal(err)
	}
	themes := map[string]map[string]string{}
	for name, selector := range map[string]string{
		"light":          "\n:root {",
		"dark by device": ":root:not([data-theme=\"light\"]) {\n    color-scheme: dark;",
		"dark by choice": ":root[data-theme=\"dark\"] {",
	} {
		_, rule, found := strings.Cut(string(sheet), selector)
		rule, _, closed := strings.Cut(rule, "}")
		if !found || !closed {
			t.Fatalf("no rule %q in the stylesheet", selector)
		}
		themes[name] = map[string]string{}
		for _, m := range token.FindAllStringSubmatch(rule, -1) {
			themes[name][m[1]] = m[2]
		}
		if len(themes[name]) < 15 {
			t.Fatalf("%s: only %d colours found", name, len(themes[name]))
		}
	}
	return themes
}

// contrast is the ratio of WCAG 2.2, 1 to 21.
func contrast(t *testing.T, tokens map[string]string, one, other string) float64 {
	t.Helper()
	a, b := luminance(t, tokens[one]), luminance(t, tokens[other])
	return (math.Max(a, b) + 0.05) / (math.Min(a, b) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	if len(colour) != 7 {
		t.Fatalf("no colour %q", colour)
	}
	value, err := strconv.ParseUint(colour[1:], 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	linear := func(shift uint) float64 {
		c := float64(value>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(16) + 0.7152*linear(8) + 0.0722*linear(0)
}
