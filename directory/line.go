package directory

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// A line is what one line of a file says about a person.
type line struct {
	id       ID
	civility string
	family   string
	given    string // all of them, divided by spaces
	mobile   string // E.164, or ""
	email    string // small letters, or ""
	row      string // exercice and activity, as they are stored
	unusable int    // contact points that are neither a mobile number nor an e-mail address
}

// Why a line is malformed. The reasons never repeat the line: it is personal.
var (
	errTooLong = errors.New("the line is too long")
	errNotText = errors.New("the line is not UTF-8 text")
	errNoID    = errors.New("no readable national id")
	errWidth   = errors.New("wrong number of values")
	errNoName  = errors.New("no name")
)

// parse reads one line without its end. A malformed line may have an id
// nevertheless: of that person the directory keeps what it held.
func (l *layout) parse(s string) (line, error) {
	var values [columns]string
	n := 0
	for rest, more := s, true; more; n++ {
		var value string
		value, rest, more = strings.Cut(rest, "|")
		if n < len(l.meaning) && l.meaning[n] >= 0 {
			values[l.meaning[n]] = strings.TrimSpace(value)
		}
	}
	id, err := identify(&values)
	if err != nil {
		return line{}, err
	}
	if ends := strings.HasSuffix(s, "|"); n != l.named+1 || !ends {
		if n != l.named || l.closed && ends { // the last | may be missing, not another one
			return line{id: id}, errWidth
		}
	}
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return line{id: id}, errNotText
	}
	out := line{id: id, civility: values[colCivility], family: values[colFamily], given: values[colGiven]}
	if list, ok := strings.CutSuffix(out.given, "'"); ok { // Jean'Pierre'
		out.given = strings.Join(strings.FieldsFunc(list, func(r rune) bool { return r == '\'' }), " ")
	}
	if out.family == "" {
		out.family, out.given = values[colName], values[colGivenName]
	}
	if out.family == "" {
		return line{id: id}, errNoName
	}
	if raw := values[colMobile]; raw != "" {
		if out.mobile, err = ParseMobile(raw); err != nil {
			out.unusable++
		}
	}
	if raw := values[colEmail]; raw != "" {
		if out.email, err = ParseEmail(raw); err != nil {
			out.unusable++
		}
	}
	out.row = strings.Join(values[firstOfRow:], "|")
	return out, nil
}

// identify reads the national id of a line. The key is not checked: the
// register says who exists.
func identify(values *[columns]string) (ID, error) {
	s := values[colID]
	if s == "" {
		s = values[colType] + values[colNumber]
	}
	if id := ID(s); id.RPPS() {
		return id, nil
	}
	id, err := Parser{SkipKey: true}.Parse(s)
	if err != nil {
		return "", errNoID
	}
	return id, nil
}
