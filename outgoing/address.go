package outgoing

import (
	"fmt"
	"net/netip"
)

// special are the networks inside the unicast space that are not the public internet: the IANA special-purpose address
// registries (RFC 6890 and its successors), and multicast. IPv6 outside 2000::/3 needs no line here: it is refused whole.
var special = []struct {
	network netip.Prefix
	name    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network, RFC 791"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private, RFC 1918"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier's shared addresses, RFC 6598"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local, RFC 3927"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private, RFC 1918"},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignments, RFC 6890"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation, RFC 5737"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay, RFC 7526"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private, RFC 1918"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarks, RFC 2544"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation, RFC 5737"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation, RFC 5737"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast, RFC 5771"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved, RFC 1112"},
	{netip.MustParsePrefix("2001::/23"), "protocol assignments (Teredo, ORCHID …), RFC 2928"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation, RFC 3849"},
	{netip.MustParsePrefix("2002::/16"), "6to4, RFC 7526"},
	{netip.MustParsePrefix("3fff::/20"), "documentation, RFC 9637"},
}

var (
	global6 = netip.MustParsePrefix("2000::/3")     // all of IPv6 that is given out as global unicast, RFC 4291
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // an IPv4 address seen from an IPv6-only network, RFC 6052
)

// public refuses an address that is not on the public internet. An IPv4 address inside an IPv6 one is judged as what it
// is. A NAT64 prefix of the operator's own network (RFC 6052 §2.2) cannot be told from other addresses of theirs.
func public(a netip.Addr) error {
	if !a.IsValid() || a.Zone() != "" {
		return refusedAddress(a, "not an internet address")
	}
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if a.Is6() && !global6.Contains(a) {
		return refusedAddress(a, "not global unicast, RFC 4291")
	}
	for _, s := range special {
		if s.network.Contains(a) {
			return refusedAddress(a, s.name)
		}
	}
	return nil
}

// loopback refuses an address that is not this machine.
func loopback(a netip.Addr) error {
	if !a.IsLoopback() {
		return refusedAddress(a, "not loopback")
	}
	return nil
}

func refusedAddress(a netip.Addr, why string) error {
	return fmt.Errorf("%w: address %s (%s)", ErrRefused, a, why)
}
