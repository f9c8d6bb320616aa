package web

import (
	"net/http"
	"strings"
)

// contentPolicy is the Content-Security-Policy of every page, but for where
// its forms may lead. Scripts, styles and everything else come from our own
// files; nobody frames us; script touches dangerous sinks only through the
// policy "vigie" of static/trusted.js.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; manifest-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; " +
	"require-trusted-types-for 'script'; trusted-types vigie; form-action 'self'"

// closedDevices is the Permissions-Policy: features that no page of ours uses.
const closedDevices = "accelerometer=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=(), browsing-topics=()"

// secure gives every answer of h the headers that pages need; allowForms and
// allowCamera widen them for one answer.
func secure(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", contentPolicy)
		header.Set("Permissions-Policy", closedDevices+", camera=()")
		// Not "no-referrer": it makes the Origin of our own forms "null", which
		// the cross-origin protection would have to take for a stranger's.
		header.Set("Referrer-Policy", "same-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Origin-Agent-Cluster", "?1")
		h.ServeHTTP(w, r)
	})
}

// allowForms lets the forms of this answer lead, through redirects, to other
// origins too: "https://service.example". Browsers check form-action along the
// whole way, back to the service included.
func allowForms(w http.ResponseWriter, origins ...string) {
	w.Header().Set("Content-Security-Policy", strings.Join(append([]string{contentPolicy}, origins...), " "))
}

// allowCamera lets this page ask for the camera.
func allowCamera(w http.ResponseWriter) {
	w.Header().Set("Permissions-Policy", closedDevices+", camera=(self)")
}
