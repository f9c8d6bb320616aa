package directory

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What [ParseMobile] and [ParseEmail] answer to anything else.
var (
	ErrNotMobile = errors.New("not a mobile number")
	ErrNotEmail  = errors.New("not an e-mail address")
)

// ParseMobile reads a mobile number as people type it and returns it in E.164
// form, as in +33639980001: the form in which numbers are stored and compared.
// It takes French numbers with or without their zero or country code, and
// international ones that begin with + or 00. The overseas departments have
// country codes of their own, which people do not type: 0692… is +262692….
// French numbers that are not mobile are refused; of others this is not known.
func ParseMobile(s string) (string, error) {
	if len(s) > longestTyped || !utf8.ValidString(s) {
		return "", ErrNotMobile
	}
	s = strings.Map(dropDash, strings.Map(dropSpace, s))
	if strings.HasPrefix(s, "+") || strings.HasPrefix(s, "00") {
		s = strings.Replace(s, "(0)", "", 1)
	}
	s = strings.Map(func(r rune) rune {
		if r == '(' || r == ')' || r == '/' {
			return -1
		}
		return r
	}, s)
	if rest, ok := strings.CutPrefix(s, "00"); ok {
		s = "+" + rest
	}
	if number, ok := strings.CutPrefix(s, "+"); ok {
		return international(number)
	}
	if !digits(s) {
		return "", ErrNotMobile
	}
	switch {
	case len(s) == 10 && s[0] == '0':
		return french(s[1:])
	case len(s) == 9: // a spreadsheet ate the zero
		return french(s)
	case len(s) == 11 && strings.HasPrefix(s, "33"):
		return french(s[2:])
	}
	return "", ErrNotMobile
}

// international reads what follows a +.
func international(number string) (string, error) {
	if !digits(number) || number[0] == '0' || len(number) < 8 || len(number) > 16 {
		return "", ErrNotMobile
	}
	if rest, ok := strings.CutPrefix(number, "33"); ok {
		return french(strings.TrimPrefix(rest, "0"))
	}
	for _, code := range []string{"262", "590", "594", "596"} {
		if rest, ok := strings.CutPrefix(number, code); ok {
			rest = strings.TrimPrefix(rest, "0")
			if len(rest) != 9 || rest[0] != '6' && rest[0] != '7' {
				return "", ErrNotMobile
			}
			return "+" + code + rest, nil
		}
	}
	if len(number) > 15 {
		return "", ErrNotMobile
	}
	return "+" + number, nil
}

// french reads the nine digits of a French number after its zero.
func french(number string) (string, error) {
	if len(number) != 9 || number[0] != '6' && number[0] != '7' {
		return "", ErrNotMobile
	}
	code := "33"
	switch number[:3] {
	case "690", "691":
		code = "590" // Guadeloupe
	case "694":
		code = "594" // Guyane
	case "696", "697":
		code = "596" // Martinique
	case "692", "693":
		code = "262" // La Réunion
	case "639":
		if !strings.HasPrefix(number, "63998") { // numbers for fiction, mainland
			code = "262" // Mayotte
		}
	}
	return "+" + code + number, nil
}

// ParseEmail reads an e-mail address as people type it and returns it trimmed
// and in small letters, the form in which addresses are stored and compared.
// What it returns has no space, control character or bracket, so it can stand
// in a message header.
func ParseEmail(s string) (string, error) {
	if len(s) > 320 || !utf8.ValidString(s) {
		return "", ErrNotEmail
	}
	s = strings.ToLower(strings.TrimFunc(s, func(r rune) bool { return dropSpace(r) < 0 }))
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || len(local) > 64 || len(s) > 254 || strings.ContainsFunc(local, notLocal) || !strings.Contains(domain, ".") {
		return "", ErrNotEmail
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || strings.Trim(label, "-") != label || strings.ContainsFunc(label, notDomain) {
			return "", ErrNotEmail
		}
	}
	return s, nil
}

func notLocal(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&'*+/=?^_`{|}~.-", r)
}

func notDomain(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' }
