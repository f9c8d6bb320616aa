package login

import (
	"testing"
)

func TestOneSlipIsOneDigitOrOneSwap(t *testing.T) {
	near := map[string]bool{}
	for _, c := range slips("482913") {
		near[c] = true
	}
	for code, want := range map[string]bool{
		"482913": true, "582913": true, "482914": true, "842913": true, "482931": true,
		"482931 ": false, "573913": false, "428931": false, "319284": false,
	} {
		if near[code] != want {
			t.Errorf("%s near 482913: %t, want %t", code, near[code], want)
		}
	}
	if n := len(slips("482913")); n != 1+6*9+5 {
		t.Errorf("%d codes are near 482913, want 60", n)
	}
}

func TestACodeIsReadAsPeopleTypeIt(t *testing.T) {
	for typed, want := range map[string]string{
		"482913": "482913", "482 913": "482913", "482\u00a0913": "482913", " 48-29-13 ": "482913", "1234 5678": "12345678",
		"48291": "", "4829134": "", "48291a": "", "": "", "٤٨٢٩١٣": "",
	} {
		got, ok := ParseCode(typed)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q %t, want %q", typed, got, ok, want)
		}
	}
}

func FuzzParseCode(f *testing.F) {
	f.Add("482 913")
	f.Add("1234-5678")
	f.Fuzz(func(t *testing.T, s string) {
		code, ok := ParseCode(s)
		if ok && len(code) != 6 && len(code) != 8 {
			t.Errorf("%q: %q", s, code)
		}
	})
}
