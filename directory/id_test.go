package directory

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestANationalIDIsReadAsPeopleTypeIt(t *testing.T) {
	for typed, want := range map[string]ID{
		"899700218896":                         "899700218896",
		"99700218896":                          "899700218896",
		" 8 99700218896 ":                      "899700218896",
		"8.99700.218.896":                      "899700218896",
		"99\u00a0700\u202f218\u2009896":        "899700218896",
		"997-002-18–896\u200b":                 "899700218896",
		"899700000017":                         "899700000017", // the specimen of the documents
		"99700000017":                          "899700000017",
		"0123456789":                           "0123456789",
		"02a1234567":                           "02A1234567",
		"3750000123":                           "3750000123",
		"512345678901234":                      "512345678901234",
		"500000001815646/CPAT00045":            "500000001815646/CPAT00045",
		"500000001815646 / cpat00045":          "500000001815646/CPAT00045",
		"ANS20230512103000":                    "ANS20230512103000",
		"8ans20230512103000":                   "8ANS20230512103000",
		"550DC1C8-d97b-4b1e-ac8c-8eb4471cf9dd": "550dc1c8-d97b-4b1e-ac8c-8eb4471cf9dd",
	} {
		if got, err := ParseID(typed); err != nil || got != want {
			t.Errorf("ParseID(%q) = %q, %v; want %q", typed, got, err, want)
		}
	}
}

func TestAWrongNationalIDIsToldWhatIsWrong(t *testing.T) {
	for typed, want := range map[string]Reason{
		"":                         Empty,
		"  ":                       Empty,
		" .- ":                     Empty,
		"8997002188":               TooShort,
		"89970021889":              TooShort, // the 8 and ten digits
		"899700218897":             WrongKey,
		"99700218869":              WrongKey, // two digits swapped
		"899700000018":             WrongKey, // a neighbour of the specimen is not excused
		"8997002188960":            TooLong,
		"799700218896":             NotRPPS,
		"89970O218896":             Letters,
		"Dr Martin":                Letters,
		"899700218896/":            Unknown,
		"8997002*8896":             Unknown,
		"٨٩٩٧٠٠٢١٨٨٩٦":             Unknown,
		"\xff":                     Unknown,
		strings.Repeat("9", 1000):  TooLong,
		strings.Repeat(" 1", 60):   TooLong,
		"500000001815646/CP<b>":    Unknown,
		"500000001815646/CP/00045": Unknown,
	} {
		_, err := ParseID(typed)
		var wrong *IDError
		if !errors.As(err, &wrong) || wrong.Reason != want {
			t.Errorf("ParseID(%.40q): %v; want reason %q", typed, err, want)
		}
	}
}

func TestTheKeyCheckCanBeSwitchedOff(t *testing.T) {
	p := Parser{SkipKey: true}
	for _, typed := range []string{"899700218897", "99700218897"} {
		if id, err := p.Parse(typed); err != nil || id != "899700218897" {
			t.Errorf("Parse(%q) = %q, %v", typed, id, err)
		}
	}
	if _, err := p.Parse("89970021889X"); err == nil {
		t.Error("letters were accepted")
	}
}

func TestALogHidesTheMiddleOfAnID(t *testing.T) {
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("signed in", "professional", ID("899700218896"))
	if strings.Contains(log.String(), "99700218") || !strings.Contains(log.String(), "8896") {
		t.Error(log.String())
	}
	if got := ID("899700218896").Short(); got != "8896" {
		t.Errorf("Short() = %q", got)
	}
	for id, want := range map[ID]string{"899700218896": "RPPS", "0123456789": "ADELI", "500000001815646/CPAT00045": "SIRET", "ANS20230512103000": "", "": ""} {
		if got := id.Origin(); got != want {
			t.Errorf("%q comes from %q, want %q", id, got, want)
		}
	}
}

func TestAMobileNumberIsComparedInOneForm(t *testing.T) {
	for typed, want := range map[string]string{
		"06 39 98 00 01":        "+33639980001",
		"0639980001":            "+33639980001",
		"639980001":             "+33639980001",
		"+33 6 39 98 00 01":     "+33639980001",
		"+33 (0)6.39.98.00.01":  "+33639980001",
		"0033 6 39-98-00-01":    "+33639980001",
		"+33 06 39 98 00 01":    "+33639980001",
		"33639980001":           "+33639980001",
		"0692 12 34 56":         "+262692123456",
		"+33 692 12 34 56":      "+262692123456",
		"+262 0692 12 34 56":    "+262692123456",
		"0690123456":            "+590690123456",
		"+32 470 12 34 56":      "+32470123456",
		"\u00a006 39 98 00 01 ": "+33639980001",
	} {
		if got, err := ParseMobile(typed); err != nil || got != want {
			t.Errorf("ParseMobile(%q) = %q, %v; want %q", typed, got, err, want)
		}
	}
	for _, typed := range []string{"", "0123456789", "+33 1 23 45 67 89", "06 39 98 00", "06 39 98 00 01 2", "+", "+0612345678", "tel:0639980001", "+1234567890123456", "(0)"} {
		if got, err := ParseMobile(typed); !errors.Is(err, ErrNotMobile) {
			t.Errorf("ParseMobile(%q) = %q, %v", typed, got, err)
		}
	}
}

func TestAnEmailAddressIsComparedInOneForm(t *testing.T) {
	for typed, want := range map[string]string{
		" Anne.Martin@Example.TEST ":      "anne.martin@example.test",
		"anne+csp@sub.example.test\u00a0": "anne+csp@sub.example.test",
		"élise@exemple-santé.test":        "élise@exemple-santé.test",
	} {
		if got, err := ParseEmail(typed); err != nil || got != want {
			t.Errorf("ParseEmail(%q) = %q, %v; want %q", typed, got, err, want)
		}
	}
	for _, typed := range []string{
		"", "anne", "@example.test", "anne@", "anne@localhost", "an ne@example.test", "anne@exa mple.test", "a@b@c.test",
		"anne@example.test\r\nBcc: x@y.test", "<anne@example.test>", "anne@.test", "anne@-a.test", "anne@\xff.test", strings.Repeat("a", 65) + "@example.test",
	} {
		if got, err := ParseEmail(typed); !errors.Is(err, ErrNotEmail) {
			t.Errorf("ParseEmail(%q) = %q, %v", typed, got, err)
		}
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"899700218896", "8.99700.218.896", "500000001815646/CPAT00045", "ANS20230512103000", "550dc1c8-d97b-4b1e-ac8c-8eb4471cf9dd", "02a1234567"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil {
			if id != "" {
				t.Fatalf("ParseID(%q) gave %q with an error", s, id)
			}
			return
		}
		if again, err := ParseID(string(id)); err != nil || again != id {
			t.Fatalf("ParseID(%q) = %q, which reads as %q, %v", s, id, again, err)
		}
		if strings.Trim(string(id), "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef/-._") != "" || len(id) > longestID {
			t.Fatalf("ParseID(%q) = %q", s, id)
		}
		_, _, _ = id.Short(), id.Origin(), id.LogValue()
	})
}

func FuzzParseContactPoints(f *testing.F) {
	for _, s := range []string{"06 39 98 00 01", "+33 (0)6.39.98.00.01", "+262 0692 12 34 56", " Anne.Martin@Example.TEST "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := ParseMobile(s); err == nil {
			if again, err := ParseMobile(m); err != nil || again != m || len(m) > 16 {
				t.Fatalf("ParseMobile(%q) = %q, which reads as %q, %v", s, m, again, err)
			}
		}
		if m, err := ParseEmail(s); err == nil {
			if again, err := ParseEmail(m); err != nil || again != m || strings.ContainsAny(m, " \r\n\x00<>,;") {
				t.Fatalf("ParseEmail(%q) = %q, which reads as %q, %v", s, m, again, err)
			}
		}
	})
}
