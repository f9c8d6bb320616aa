package outgoing

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxURL is the longest address taken, in bytes; push services stay under 1 000.
const maxURL = 2048

// CheckURL parses an address that a stranger gives us to call later, so that a bad one is refused at the door. It makes
// no look-up: whether the name leads to the public internet is judged when it is called. The error is ErrRefused.
func CheckURL(raw string, o Options) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, refused("longer than %d bytes", maxURL)
	}
	if strings.ContainsFunc(raw, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' }) {
		return nil, refused("a character that no URL has") // and that other parsers read in ways of their own
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, refused("not a URL")
	}
	if err := o.check(u); err != nil {
		return nil, err
	}
	return u, nil
}

func (o Options) check(u *url.URL) error {
	switch {
	case u.Opaque != "" || u.Host == "":
		return refused("no host")
	case u.User != nil:
		return refused("a user name in the URL")
	case u.Fragment != "" || u.RawFragment != "":
		return refused("a fragment in the URL")
	}
	host, port := u.Hostname(), u.Port()
	if strings.HasSuffix(u.Host, ":") {
		return refused("an empty port")
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return refused("port %q", port)
		}
	}
	if o.AllowLoopback && isLoopbackName(host) {
		if u.Scheme != "http" && u.Scheme != "https" {
			return refused("scheme %q", u.Scheme)
		}
		return nil
	}
	if u.Scheme != "https" {
		return refused("scheme %q", u.Scheme)
	}
	if port != "" && port != "443" && !o.AnyPort {
		return refused("port %s", port)
	}
	if strings.Contains(u.Host, "[") || !isName(host) {
		return refused("host %q is not a name of the public internet", host)
	}
	if !o.allowsHost(strings.ToLower(host)) {
		return refused("host %q is not on the list", host)
	}
	return nil
}

func (o Options) allowsHost(host string) bool {
	if len(o.Hosts) == 0 {
		return true
	}
	for _, allowed := range o.Hosts {
		if below, ok := strings.CutPrefix(allowed, "*"); ok && strings.HasPrefix(below, ".") {
			if strings.HasSuffix(host, below) && len(host) > len(below) {
				return true
			}
		} else if host == allowed {
			return true
		}
	}
	return false
}

// isName tells a DNS host name of at least two labels (RFC 1123 §2.1, and underscores are not for hosts) from literal
// addresses. A last label that starts with a digit is none, because resolvers read "127.1" and "0x7f.1" as addresses.
func isName(host string) bool {
	if len(host) > 253 || !strings.Contains(host, ".") {
		return false
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !(c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return last[0] < '0' || last[0] > '9'
}

// isLoopbackName knows this machine by what it is called, never by what a name resolves to.
func isLoopbackName(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() && a.Zone() == ""
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}
