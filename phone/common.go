package phone

import (
	_ "embed"
	"sort"
	"strings"
)

// common_pins.txt holds the 1 000 four-digit PINs that people choose most, one a
// line, ascending. How it is made stands in common_test.go.
//
//go:embed common_pins.txt
var commonPINs string

var common1000 = strings.Fields(commonPINs)

// CommonPIN tells whether a PIN is one of the 1 000 commonest, which no phone
// should accept: whoever finds it would try them first. The server never learns
// which PIN was chosen, so only the phone can refuse.
func CommonPIN(pin string) bool {
	i := sort.SearchStrings(common1000, pin)
	return i < len(common1000) && common1000[i] == pin
}
