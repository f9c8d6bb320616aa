package phone

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write common_pins.txt and testdata/vectors.json anew")

// makeCommonPINs makes the list by rules, the likeliest first, until there are
// 1 000. Published counts of leaked four-digit PINs and of four-digit ends of
// passwords agree on these kinds; dates are in French order first.
func makeCommonPINs() []string {
	seen := map[string]bool{}
	var pins []string
	add := func(pin string) {
		if len(pins) < 1000 && len(pin) == 4 && !seen[pin] {
			seen[pin] = true
			pins = append(pins, pin)
		}
	}
	each := func(f func(a, b int)) {
		for a := range 10 {
			for b := range 10 {
				f(a, b)
			}
		}
	}
	digits := func(d ...int) string {
		var s strings.Builder
		for _, n := range d {
			fmt.Fprint(&s, (n+10)%10)
		}
		return s.String()
	}
	for a := range 10 { // 0000, 1234, 4321, 9012, 1000, 0001
		add(digits(a, a, a, a))
		add(digits(a, a+1, a+2, a+3))
		add(digits(a, a-1, a-2, a-3))
		add(digits(a, 0, 0, 0))
		add(digits(0, 0, 0, a))
	}
	for start := range 4 { // 1357, 2468 and back
		add(digits(start, start+2, start+4, start+6))
		add(digits(9-start, 7-start, 5-start, 3-start))
	}
	for _, path := range []string{ // over the keys of the pad: there, and back
		"2580", "1470", "3690", "1479", "1236", "1478", "3698", "7896", "1590", "3570", "1598", "1596", "3579", "3574", "7412", "9632",
		"1397", "3971", "9713", "7139", "1379", "3197", "1739", "2684", "6842", "8426", "4268", "4628", "2486",
		"1254", "2365", "4587", "5698", "1245", "2356", "4578", "5689", "1452", "2563", "4785", "5896", "1258", "3256", "7456", "9852",
	} {
		add(path)
		add(digits(int(path[3]-'0'), int(path[2]-'0'), int(path[1]-'0'), int(path[0]-'0')))
	}
	for _, known := range strings.Fields( // years and numbers everybody knows
		`0007 0070 0911 1066 1515 1664 1789 1815 1492 1870 1871 1848 1805 1776 3615 3141 3142 3117 4807 5683 6969 7007 7734 0069 0666
		1123 1230 1231 1232 1233 1235 1223 1224 1122 1112 1113 1324 1342 1423 1432 1243 2134 2143 2341 2413 3412 3421 4123 4312 5050 5150`) {
		add(known)
	}
	each(func(a, b int) { add(digits(a, b, a, b)) }) // 1212
	for year := 1930; year <= 2029; year++ {
		add(fmt.Sprint(year))
	}
	months := []int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	for month, days := range months { // 1407: a birthday
		for day := range days {
			add(fmt.Sprintf("%02d%02d", day+1, month+1))
		}
	}
	for month, days := range months { // 0714
		for day := range days {
			add(fmt.Sprintf("%02d%02d", month+1, day+1))
		}
	}
	each(func(a, b int) { add(digits(a, a, b, b)) }) // 1188
	each(func(a, b int) { add(digits(a, b, b, a)) }) // 1881
	each(func(a, b int) { add(digits(a, a, a, b)) }) // 1118
	return pins
}

func TestTheThousandCommonestPINsAreKnown(t *testing.T) {
	made := makeCommonPINs()
	slices.Sort(made)
	text := strings.Join(made, "\n") + "\n"
	if *update {
		if err := os.WriteFile("common_pins.txt", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if text != commonPINs {
		t.Error("common_pins.txt is not what the rules make: run go test ./phone -run Commonest -update")
	}
	if len(made) != 1000 {
		t.Errorf("there are %d", len(made))
	}
	for _, pin := range []string{"0000", "1234", "2580", "1212", "1984", "1407", "1225", "6969"} {
		if !CommonPIN(pin) {
			t.Errorf("%s may be chosen", pin)
		}
	}
	for _, pin := range []string{"7294", "8361", "6482", "12345", "", "x"} {
		if CommonPIN(pin) {
			t.Errorf("%s is refused", pin)
		}
	}
}
