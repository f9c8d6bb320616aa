package phone

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
)

// decode reads one JSON object into v. It must have every one of members, those
// that end in "?" excepted, each once and spelled exactly, and no other. (The
// decoder of go-jose refuses a name that comes twice and minds its case; the
// standard library's does neither.)
func decode(b []byte, v any, members ...string) error {
	if !utf8.Valid(b) {
		return errors.New("not UTF-8")
	}
	var found map[string]json.RawMessage
	if err := json.Unmarshal(b, &found); err != nil {
		return err
	}
	if found == nil {
		return errors.New("not an object")
	}
	for name, value := range found {
		if !slices.Contains(members, name) && !slices.Contains(members, name+"?") {
			return fmt.Errorf("unknown member %.40q", name)
		}
		if string(value) == "null" {
			return fmt.Errorf("member %s is null", name)
		}
	}
	for _, name := range members {
		if _, ok := found[name]; !ok && !strings.HasSuffix(name, "?") {
			return fmt.Errorf("member %s is missing", name)
		}
	}
	return json.Unmarshal(b, v)
}

// decodePart is decode of one part of a JWS, in base64url.
func decodePart(part string, v any, members ...string) error {
	b, err := unb64(part)
	if err != nil {
		return err
	}
	return decode(b, v, members...)
}

var b64 = base64.RawURLEncoding.Strict()

// unb64 reads base64url without padding (RFC 7515 §2), of which every string of
// bytes has one spelling only. (The standard library skips line breaks.)
func unb64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("not base64url: line break")
	}
	b, err := b64.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("not base64url: %w", err)
	}
	return b, nil
}

// unb64n is unb64 for exactly n bytes.
func unb64n(s string, n int) ([]byte, error) {
	b, err := unb64(s)
	if err == nil && len(b) != n {
		return nil, fmt.Errorf("%d bytes instead of %d", len(b), n)
	}
	return b, err
}
