package oidc

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// look reduces a name to what the eye tells apart: names with the same look
// cannot both be registered. Case, accents, spaces, punctuation and the forms of
// compatibility go (Unicode NFKD), and of characters that look alike one stands
// for all (the part of Unicode's confusables, UTS #39, that matters for names in
// French).
func look(name string) string {
	var b strings.Builder
	name = capitals.Replace(norm.NFKD.String(name))
	// Again, because lower case of a compatibility form may decompose further.
	for _, r := range norm.NFKD.String(strings.ToLower(name)) {
		if same, ok := alike[r]; ok {
			b.WriteString(same)
		} else if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(r)
		}
	}
	return pairs.Replace(b.String())
}

// capitals whose small letter looks like another one.
var capitals = strings.NewReplacer("Η", "h", "Ν", "n", "Υ", "y", "І", "l", "Ү", "y")

// pairs that look like one letter.
var pairs = strings.NewReplacer("rn", "m", "vv", "w", "cl", "d")

// alike maps a lower-case character to the ones that it is taken for.
var alike = map[rune]string{
	// Digits and signs.
	'0': "o", '1': "l", '|': "l", '!': "l", '3': "e", '5': "s", '$': "s", '@': "a", '8': "b", '€': "e",
	// Latin: i without dot and l are one in many typefaces, capital I is l.
	'i': "l", 'ı': "l", 'ł': "l", 'ɩ': "l", 'ǀ': "l", 'ø': "o", 'œ': "oe", 'æ': "ae", 'ß': "b", 'đ': "d", 'ħ': "h", 'ŧ': "t",
	'ɑ': "a", 'ɡ': "g", 'ʏ': "y", 'ꞵ': "b", 'ſ': "f", 'ƒ': "f", 'ŋ': "n", 'ĸ': "k", 'ə': "e",
	// Cyrillic.
	'а': "a", 'в': "b", 'г': "r", 'е': "e", 'ё': "e", 'є': "e", 'ѕ': "s", 'з': "e", 'и': "n", 'і': "l", 'ї': "l", 'ј': "j", 'к': "k",
	'м': "m", 'н': "h", 'о': "o", 'п': "n", 'р': "p", 'с': "c", 'т': "t", 'у': "y", 'ү': "y", 'ф': "o", 'х': "x", 'ч': "y", 'ь': "b",
	'ԁ': "d", 'ԛ': "q", 'ԝ': "w", 'һ': "h", 'ӏ': "l", 'ѵ': "v", 'ѡ': "w", 'ӕ': "ae", 'ө': "o", 'ш': "w",
	// Greek.
	'α': "a", 'β': "b", 'γ': "y", 'ε': "e", 'ζ': "z", 'η': "n", 'ι': "l", 'κ': "k", 'μ': "m", 'ν': "v", 'ο': "o", 'π': "n", 'ρ': "p",
	'σ': "o", 'ς': "c", 'τ': "t", 'υ': "u", 'χ': "x", 'ω': "w", 'ϲ': "c", 'ϳ': "j", 'λ': "a",
	// Armenian, Hebrew, Cherokee and others that are borrowed for Latin.
	'օ': "o", 'ո': "n", 'ս': "u", 'հ': "h", 'ց': "g", 'ք': "p", 'զ': "q", 'յ': "j", 'ס': "o", 'ו': "l", 'ا': "l", '٥': "o", 'ഠ': "o",
}

// printable says whether every character of a name can be seen, and none turns
// the reading direction.
func printable(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r)
	})
}
