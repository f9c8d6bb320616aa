package web

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func testWords(t *testing.T, lang string) *words {
	t.Helper()
	all, err := vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	return all[lang]
}

func TestBothLanguagesSayTheSameThings(t *testing.T) {
	french, english := testWords(t, "fr").texts, testWords(t, "en").texts
	places := func(text string) string {
		found := placeholder.FindAllString(text, -1)
		slices.Sort(found)
		return fmt.Sprint(slices.Compact(found), strings.Count(text, "|"))
	}
	for _, key := range slices.Sorted(maps.Keys(french)) {
		text, found := english[key]
		switch {
		case !found:
			t.Errorf("%s is said in French only", key)
		case places(text) != places(french[key]):
			t.Errorf("%s has other places or forms in French (%s) than in English (%s)", key, places(french[key]), places(text))
		case strings.TrimSpace(text) == "" || strings.TrimSpace(french[key]) == "":
			t.Errorf("%s is empty", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(english)) {
		if _, found := french[key]; !found {
			t.Errorf("%s is said in English only", key)
		}
	}
}

var (
	quoted   = regexp.MustCompile("[\"'`]([a-z]+\\.[a-z0-9_.]*[a-z0-9_])[\"'`]")
	declared = regexp.MustCompile(`words: ([a-z]+\.[a-z0-9_.]*)\*`)
	fileName = regexp.MustCompile(`\.(js|css|json|html|svg|png|webmanifest)$`)
)

func TestEveryTextIsUsedAndEveryUseHasItsText(t *testing.T) {
	texts := testWords(t, "fr").texts
	areas := map[string]bool{}
	for key := range texts {
		area, _, _ := strings.Cut(key, ".")
		areas[area] = true
	}
	used := map[string]bool{}
	var families []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains([]string{"npm", "testdata", "words", "static/vendor"}, filepath.ToSlash(path)) {
				return filepath.SkipDir
			}
			return nil
		}
		if ext := filepath.Ext(path); strings.HasSuffix(path, "_test.go") || ext != ".go" && ext != ".html" && ext != ".js" {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range declared.FindAllSubmatch(data, -1) {
			families = append(families, string(m[1]))
		}
		for _, m := range quoted.FindAllSubmatch(data, -1) {
			key := string(m[1])
			area, _, _ := strings.Cut(key, ".")
			if !areas[area] || fileName.MatchString(key) {
				continue
			}
			used[key] = true
			if _, found := texts[key]; !found {
				t.Errorf("%s says %q, for which there are no words", path, key)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		inFamily := slices.ContainsFunc(families, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
		if !used[key] && !inFamily {
			t.Errorf("nobody says %s", key)
		}
	}
}

func TestASentenceIsSaidWholeOrNotAtAll(t *testing.T) {
	w := &words{lang: "fr", texts: map[string]string{
		"x.asks": "Le service **{service}** demande à vous reconnaître.",
		"x.days": "{n} jour|{n} jours",
	}}
	if text, err := w.rich("x.asks", "service", "**<b>A&B"); err != nil ||
		text != "Le service <strong>**&lt;b&gt;A&amp;B</strong> demande à vous reconnaître." {
		t.Errorf("rich: %q, %v", text, err)
	}
	for n, want := range map[int]string{0: "0 jour", 1: "1 jour", 2: "2 jours"} {
		if text, err := w.count("x.days", n); err != nil || text != want {
			t.Errorf("count of %d: %q, %v", n, text, err)
		}
	}
	w.lang = "en"
	if text, err := w.count("x.days", 0); err != nil || text != "0 jours" {
		t.Errorf("count of 0 in English: %q, %v", text, err)
	}
	for name, say := range map[string]func() (string, error){
		"unknown key":         func() (string, error) { return w.say("x.nothing") },
		"no value":            func() (string, error) { return w.say("x.asks") },
		"no place":            func() (string, error) { return w.say("x.asks", "service", "A", "place", "B") },
		"name without value":  func() (string, error) { return w.say("x.asks", "service") },
		"nothing to count":    func() (string, error) { return w.count("x.asks", 2) },
		"unknown key, rich":   func() (string, error) { html, err := w.rich("x.nothing"); return string(html), err },
		"unknown key, counts": func() (string, error) { return w.count("x.nothing", 2) },
	} {
		if text, err := say(); err == nil {
			t.Errorf("%s: said %q", name, text)
		}
	}
}

func TestAgoIsInTheUnitThatPeopleUse(t *testing.T) {
	w := testWords(t, "en")
	for since, want := range map[time.Duration]string{
		-time.Second:      "just now",
		4 * time.Second:   "just now",
		12 * time.Second:  "12 seconds ago",
		60 * time.Second:  "1 minute ago",
		119 * time.Second: "1 minute ago",
		3 * time.Hour:     "3 hours ago",
		49 * time.Hour:    "2 days ago",
	} {
		if text, err := w.ago(since); err != nil || text != want {
			t.Errorf("%s: %q, %v", since, text, err)
		}
	}
}

func TestPunctuationAndTelephoneNumbersDoNotBreak(t *testing.T) {
	if text := testWords(t, "en").texts["guide.way_other_more"]; !strings.HasSuffix(text, "0\u00a0809\u00a040\u00a000\u00a082") {
		t.Errorf("%q may break within the number", text)
	}
	for key, text := range testWords(t, "fr").texts {
		if regexp.MustCompile(` [?!:;»]|« `).MatchString(text) {
			t.Errorf("%s: %q may break before its punctuation", key, text)
		}
	}
}
