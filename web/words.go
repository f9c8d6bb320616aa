package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"
)

// languages are those that pages are written in; the first is used when
// nothing says which one a person reads.
var languages = []string{"fr", "en"}

// words/AREA.LANGUAGE.json holds the texts of one area: a flat object whose
// keys begin with "AREA.". In a text, {name} stands for a value, **…** is
// emphasis (rich), and "one|many" are the two forms that count chooses from.
//
//go:embed words/*.json
var wordFiles embed.FS

// words are all texts in one language.
type words struct {
	lang  string
	texts map[string]string
}

// vocabulary returns the words by language.
var vocabulary = sync.OnceValues(loadWords)

func loadWords() (map[string]*words, error) {
	files, err := wordFiles.ReadDir("words")
	if err != nil {
		return nil, fmt.Errorf("reading the words: %w", err)
	}
	all := map[string]*words{}
	for _, lang := range languages {
		all[lang] = &words{lang: lang, texts: map[string]string{}}
	}
	for _, file := range files {
		area, lang, _ := strings.Cut(strings.TrimSuffix(file.Name(), ".json"), ".")
		w, known := all[lang]
		if !known {
			return nil, fmt.Errorf("words/%s is in no language of ours", file.Name())
		}
		texts, err := readWords(file.Name(), lang)
		if err != nil {
			return nil, err
		}
		for key := range texts {
			if !strings.HasPrefix(key, area+".") {
				return nil, fmt.Errorf("words/%s: the key %q does not begin with %q", file.Name(), key, area+".")
			}
		}
		maps.Copy(w.texts, texts)
	}
	return all, nil
}

func readWords(file, lang string) (map[string]string, error) {
	data, err := wordFiles.ReadFile(path.Join("words", file))
	if err != nil {
		return nil, fmt.Errorf("reading the words: %w", err)
	}
	var texts map[string]string
	if err := json.Unmarshal(data, &texts); err != nil {
		return nil, fmt.Errorf("reading words/%s: %w", file, err)
	}
	for key, text := range texts {
		if lang == "fr" {
			text = frenchSpaces.Replace(text)
		}
		// Twice: neighbouring groups share a digit.
		for range 2 {
			text = digitGroups.ReplaceAllString(text, "$1\u00a0$2")
		}
		texts[key] = text
	}
	return texts, nil
}

// digitGroups are what a telephone number or a large number must not break at.
var digitGroups = regexp.MustCompile(`([0-9]) ([0-9])`)

// frenchSpaces keeps double punctuation on the line of its word.
var frenchSpaces = strings.NewReplacer(" ?", "\u00a0?", " !", "\u00a0!", " :", "\u00a0:", " ;", "\u00a0;", "« ", "«\u00a0", " »", "\u00a0»")

var (
	placeholder = regexp.MustCompile(`\{([a-z_]+)\}`)
	emphasis    = regexp.MustCompile(`\*\*(.+?)\*\*`)
)

// say returns the text of a key with its placeholders filled from pairs of
// name and value. An unknown key, a placeholder without value or a value
// without placeholder is an error: a half-said sentence is never shown.
func (w *words) say(key string, pairs ...any) (string, error) {
	text, known := w.texts[key]
	if !known {
		return "", fmt.Errorf("no words for %q in %q", key, w.lang)
	}
	return fill(key, text, pairs, func(s string) string { return s })
}

// rich is say as HTML: **…** in the text, not in values, becomes <strong>.
func (w *words) rich(key string, pairs ...any) (template.HTML, error) {
	text, known := w.texts[key]
	if !known {
		return "", fmt.Errorf("no words for %q in %q", key, w.lang)
	}
	text = emphasis.ReplaceAllString(template.HTMLEscapeString(text), "<strong>$1</strong>")
	text, err := fill(key, text, pairs, template.HTMLEscapeString)
	return template.HTML(text), err
}

// count is say for a text "one|many" that holds {n}. French counts zero as
// one, English as many.
func (w *words) count(key string, n int, pairs ...any) (string, error) {
	text, known := w.texts[key]
	one, many, two := strings.Cut(text, "|")
	if !known || !two {
		return "", fmt.Errorf("no words to count with for %q in %q", key, w.lang)
	}
	form := many
	if n == 1 || n == 0 && w.lang == "fr" {
		form = one
	}
	return fill(key, form, append([]any{"n", n}, pairs...), func(s string) string { return s })
}

// forms returns the text of a key as it stands, for scripts that count or fill
// it themselves.
func (w *words) forms(key string) (string, error) {
	text, known := w.texts[key]
	if !known {
		return "", fmt.Errorf("no words for %q in %q", key, w.lang)
	}
	return text, nil
}

func fill(key, text string, pairs []any, escape func(string) string) (string, error) {
	if len(pairs)%2 != 0 {
		return "", fmt.Errorf("words %q: a name without a value", key)
	}
	values := make(map[string]string, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name := fmt.Sprint(pairs[i])
		if !strings.Contains(text, "{"+name+"}") {
			return "", fmt.Errorf("words %q: no place for %q", key, name)
		}
		values[name] = escape(fmt.Sprint(pairs[i+1]))
	}
	var missing string
	text = placeholder.ReplaceAllStringFunc(text, func(place string) string {
		value, given := values[place[1:len(place)-1]]
		if !given {
			missing = place
		}
		return value
	})
	if missing != "" {
		return "", fmt.Errorf("words %q: no value for %s", key, missing)
	}
	return text, nil
}

// ago says how long ago something happened, in the largest whole unit.
func (w *words) ago(since time.Duration) (string, error) {
	switch {
	case since < 5*time.Second:
		return w.say("common.ago_now")
	case since < time.Minute:
		return w.count("common.ago_seconds", int(since/time.Second))
	case since < time.Hour:
		return w.count("common.ago_minutes", int(since/time.Minute))
	case since < 24*time.Hour:
		return w.count("common.ago_hours", int(since/time.Hour))
	default:
		return w.count("common.ago_days", int(since/(24*time.Hour)))
	}
}
