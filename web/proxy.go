package web

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// behind shows h the address of whoever is behind our own proxies, where the
// budgets of strangers, the place that a phone shows and the log would know the
// proxy alone: one budget for everybody, that one stranger could use up.
//
// X-Forwarded-For is read from its end, where our own proxy wrote, and only as
// far as our own proxies go: what stands further left is the sender's to write.
func behind(proxies []netip.Prefix, h http.Handler) http.Handler {
	if len(proxies) == 0 {
		return h
	}
	ours := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddr(address(r))
		if from = from.Unmap(); err != nil || !ours(from) {
			h.ServeHTTP(w, r)
			return
		}
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0 && ours(from); i-- {
			before, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
			if err != nil {
				break
			}
			from = before.Unmap().WithZone("")
		}
		r2 := *r
		r2.RemoteAddr = net.JoinHostPort(from.String(), "0")
		h.ServeHTTP(w, &r2)
	})
}
