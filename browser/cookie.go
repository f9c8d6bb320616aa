package browser

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"
)

// Cookie reads and sets the one cookie that a browser holds at the portal.
// Its value is a secret of at least 128 bits that the server does not keep.
type Cookie struct {
	Secure bool   // an https issuer: __Host- and Secure
	Suffix string // tells the cookies of two servers on one host apart (ports do not)
}

const cookieLife = 400 * 24 * time.Hour // the longest that browsers keep a cookie

// Name is the name of the cookie.
func (c Cookie) Name() string {
	if c.Secure {
		return "__Host-vigie_browser"
	}
	return "vigie_browser" + c.Suffix
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

// Ensure returns the secret that r presents, or draws one and sets it.
// Each call renews the cookie's life.
func (c Cookie) Ensure(w http.ResponseWriter, r *http.Request) string {
	secret := c.Secret(r)
	if secret == "" {
		secret = rand.Text()
	}
	http.SetCookie(w, &http.Cookie{Name: c.Name(), Value: secret, Path: "/", MaxAge: int(cookieLife / time.Second),
		HttpOnly: true, Secure: c.Secure, SameSite: http.SameSiteLaxMode})
	return secret
}

// Bind derives from the cookie secret what a row about id keeps of it: nobody
// who reads the row, or another row, can present the cookie.
func Bind(secret, id string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id))
	sum := sha256.Sum256(mac.Sum(nil))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Cookied is the hash under which a kept browser's cookie is known.
type Cookied string

// Hash returns what is kept of a cookie secret with a lasting key.
func Hash(secret string) Cookied { return Cookied(hash(secret)) }

func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
