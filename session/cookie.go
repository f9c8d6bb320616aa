package session

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
)

// Cookie reads and sets the cookie that opens a session at the portal. It ends
// with the browser.
type Cookie struct {
	Secure bool   // an https issuer: __Host- and Secure
	Suffix string // tells the cookies of two servers on one host apart (ports do not)
}

// Name is the name of the cookie.
func (c Cookie) Name() string {
	if c.Secure {
		return "__Host-vigie_session"
	}
	return "vigie_session" + c.Suffix
}

// Secret returns the secret that r presents, or "" when it presents none that
// could be ours.
func (c Cookie) Secret(r *http.Request) string {
	ck, err := r.Cookie(c.Name())
	if err != nil || len(ck.Value) < 26 || len(ck.Value) > 64 {
		return ""
	}
	return ck.Value
}

// Set gives secret to the browser.
func (c Cookie) Set(w http.ResponseWriter, secret string) {
	http.SetCookie(w, c.cookie(secret, 0))
}

// Clear takes the cookie from the browser.
func (c Cookie) Clear(w http.ResponseWriter) {
	http.SetCookie(w, c.cookie("", -1))
}

func (c Cookie) cookie(value string, age int) *http.Cookie {
	return &http.Cookie{Name: c.Name(), Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: c.Secure, SameSite: http.SameSiteLaxMode}
}

func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
