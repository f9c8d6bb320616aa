package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vigie/audit"
	"vigie/store"
)

// Service is a digital health service that relies on us.
type Service struct {
	ID                 string   // client_id; drawn by AddService when empty
	Name               string   // unique, also to the eye
	RedirectURIs       []string // compared exactly
	LogoutURIs         []string // where RP-initiated logout may return to, compared exactly
	FrontchannelLogout string
	BackchannelLogout  string
	AuthMethod         string // SecretBasic (default; SecretPost means the same) or PrivateKeyJWT
	JWKS               string // public keys for PrivateKeyJWT
	Alg                string // of the ID token: RS256 (default) or ES256
	NoPKCE             bool   // accepts a code flow without PKCE, which then needs a nonce
	Support            string // address of the people who help its users
	Security           string // address of the people to call in an incident
	Logo               []byte // PNG or JPEG going in; PNG of at most 256 × 256 coming out
	Created            time.Time
	Disabled           time.Time // zero while it serves
}

// How a service proves itself, spelled as in OpenID Connect Core §9.
const (
	SecretBasic   = "client_secret_basic"
	SecretPost    = "client_secret_post"
	PrivateKeyJWT = "private_key_jwt"
)

// ErrService says that the description of a service cannot be registered; the
// error that wraps it says why, in words for whoever registers.
var ErrService = errors.New("the service cannot be registered")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrService, fmt.Sprintf(format, args...))
}

// AddService registers s and returns it as stored, with its client secret,
// which is shown this once and kept as a hash ("" for PrivateKeyJWT). Errors
// that wrap ErrService are for whoever filled in s. Actor is as in audit.Event.
func AddService(ctx context.Context, tx *store.Tx, s Service, actor string) (Service, string, error) {
	s, err := s.checked()
	if err != nil {
		return Service{}, "", err
	}
	s.Created, s.Disabled = tx.Now, time.Time{}
	var secret, kept string
	if s.AuthMethod != PrivateKeyJWT {
		secret = rand.Text()
		kept = hash(secret)
	}
	n, err := tx.Exec(ctx, `INSERT INTO services (id, name, look, secret, redirect_uris, logout_uris, frontchannel_logout, backchannel_logout,
			auth_method, jwks, alg, no_pkce, support, security, logo, created, disabled)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0) ON CONFLICT DO NOTHING`,
		s.ID, s.Name, look(s.Name), kept, strings.Join(s.RedirectURIs, "\n"), strings.Join(s.LogoutURIs, "\n"), s.FrontchannelLogout,
		s.BackchannelLogout, s.AuthMethod, s.JWKS, s.Alg, number(s.NoPKCE), s.Support, s.Security, s.Logo, store.Millis(s.Created))
	if err != nil {
		return Service{}, "", fmt.Errorf("adding service %s: %w", s.ID, err)
	}
	if n == 0 {
		return Service{}, "", refuse("another service has the id %q or a name that looks like %q", s.ID, s.Name)
	}
	return s, secret, audit.Record(ctx, tx, audit.Event{Kind: audit.ServiceAdded, Actor: actor, Service: s.ID, Detail: map[string]string{"name": s.Name}})
}

var clientID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{2,63}$`)

// checked returns s with what it leaves open filled in, or says what is wrong
// with it.
func (s Service) checked() (Service, error) {
	s.Name = strings.Join(strings.Fields(s.Name), " ")
	if s.ID == "" {
		s.ID = strings.ToLower(rand.Text())
	}
	if s.AuthMethod == "" {
		s.AuthMethod = SecretBasic
	}
	if s.Alg == "" {
		s.Alg = string(jose.RS256)
	}
	if s.Logo == nil {
		s.Logo = []byte{}
	}
	switch {
	case !clientID.MatchString(s.ID):
		return s, refuse("id %q: 3 to 64 letters, digits, dots, dashes, underscores", s.ID)
	case len(s.Name) > 100 || look(s.Name) == "":
		return s, refuse("name %q: 1 to 100 bytes with letters in them", s.Name)
	case !printable(s.Name):
		return s, refuse("name %q: contains characters that cannot be seen", s.Name)
	case s.AuthMethod != SecretBasic && s.AuthMethod != SecretPost && s.AuthMethod != PrivateKeyJWT:
		return s, refuse("authentication %q: %s, %s or %s", s.AuthMethod, SecretBasic, SecretPost, PrivateKeyJWT)
	case s.Alg != string(jose.RS256) && s.Alg != string(jose.ES256):
		return s, refuse("algorithm %q: RS256 or ES256", s.Alg)
	case len(s.RedirectURIs) == 0:
		return s, refuse("it needs a redirect URI")
	}
	for _, u := range slices.Concat(s.RedirectURIs, s.LogoutURIs, notEmpty(s.FrontchannelLogout, s.BackchannelLogout)) {
		if err := checkURI(u); err != nil {
			return s, err
		}
	}
	for _, c := range notEmpty(s.Support, s.Security) {
		if !contactable(c) {
			return s, refuse("contact %q: an e-mail address, a telephone number or an https address", c)
		}
	}
	if err := s.checkKeys(); err != nil {
		return s, err
	}
	if len(s.Logo) > 0 {
		logo, err := redraw(s.Logo)
		if err != nil {
			return s, refuse("logo: %v", err)
		}
		s.Logo = logo
	}
	return s, nil
}

func (s Service) checkKeys() error {
	if s.AuthMethod != PrivateKeyJWT {
		if s.JWKS != "" {
			return refuse("keys are for %s only", PrivateKeyJWT)
		}
		return nil
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(s.JWKS), &set); err != nil || len(set.Keys) == 0 {
		return refuse("%s needs the service's public keys as a JWKS", PrivateKeyJWT)
	}
	for _, k := range set.Keys {
		if !k.Valid() || !k.IsPublic() {
			return refuse("key %q of the JWKS is not a good public key", k.KeyID)
		}
	}
	return nil
}

// checkURI accepts an absolute https address, or an http one on this machine,
// without fragment and without user.
func checkURI(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.String() != s || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return refuse("address %q: not a complete address in its plain form", s)
	case strings.Contains(s, "#") || u.User != nil:
		return refuse("address %q: no fragment and no user", s)
	case u.Scheme == "http" && loopback(u.Hostname()):
	case u.Scheme != "https":
		return refuse("address %q: must begin with https (http only on this machine)", s)
	}
	return nil
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

var telephone = regexp.MustCompile(`^\+?[0-9][0-9 .-]{2,20}$`)

func contactable(s string) bool {
	if a, err := mail.ParseAddress(s); err == nil && a.Address == s {
		return true
	}
	return telephone.MatchString(s) || strings.HasPrefix(s, "https://") && checkURI(s) == nil
}

func notEmpty(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// registered is a service with what only this package reads.
type registered struct {
	Service
	secret string // hash
}

const serviceColumns = `s.id, s.name, s.secret, s.redirect_uris, s.logout_uris, s.frontchannel_logout, s.backchannel_logout, s.auth_method, s.jwks, s.alg,
	s.no_pkce, s.support, s.security, s.created, s.disabled`

// fields returns where the serviceColumns are scanned to, and what to do then.
func (s *registered) fields() ([]any, func()) {
	var redirects, logouts string
	var noPKCE, created, disabled int64
	return []any{&s.ID, &s.Name, &s.secret, &redirects, &logouts, &s.FrontchannelLogout, &s.BackchannelLogout, &s.AuthMethod, &s.JWKS, &s.Alg,
			&noPKCE, &s.Support, &s.Security, &created, &disabled},
		func() {
			s.RedirectURIs, s.LogoutURIs = lines(redirects), lines(logouts)
			s.NoPKCE, s.Created, s.Disabled = noPKCE != 0, store.FromMillis(created), store.FromMillis(disabled)
		}
}

func lines(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == '\n' }) }

// findService returns the service without its logo, also a disabled one.
func findService(ctx context.Context, tx *store.Tx, id string) (registered, bool, error) {
	var s registered
	if !clientID.MatchString(id) {
		return s, false, nil
	}
	fields, done := s.fields()
	err := tx.QueryRow(ctx, `SELECT `+serviceColumns+` FROM services s WHERE s.id = $1`, id).Scan(fields...)
	if errors.Is(err, sql.ErrNoRows) {
		return registered{}, false, nil
	}
	if err != nil {
		return registered{}, false, fmt.Errorf("looking up a service: %w", err)
	}
	done()
	return s, true, nil
}

// FindService returns the service, also a disabled one.
func FindService(ctx context.Context, tx *store.Tx, id string) (Service, bool, error) {
	s, ok, err := findService(ctx, tx, id)
	if err != nil || !ok {
		return Service{}, false, err
	}
	if err := tx.QueryRow(ctx, `SELECT logo FROM services WHERE id = $1`, id).Scan(&s.Logo); err != nil {
		return Service{}, false, fmt.Errorf("looking up the logo of service %s: %w", id, err)
	}
	return s.Service, true, nil
}

// ListServices returns all services by name, without their logos.
func ListServices(ctx context.Context, tx *store.Tx) ([]Service, error) {
	rows, err := tx.Query(ctx, `SELECT `+serviceColumns+` FROM services s ORDER BY s.name, s.id`)
	if err != nil {
		return nil, fmt.Errorf("listing services: %w", err)
	}
	defer rows.Close()
	var all []Service
	for rows.Next() {
		var s registered
		fields, done := s.fields()
		if err := rows.Scan(fields...); err != nil {
			return nil, fmt.Errorf("listing services: %w", err)
		}
		done()
		all = append(all, s.Service)
	}
	return all, rows.Err()
}

// DisableService stops a service: from now on it is unknown at every door, and
// what it holds is worth nothing. It says whether the service served until now.
// Its name stays taken.
func DisableService(ctx context.Context, tx *store.Tx, id, actor string) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE services SET disabled = $1 WHERE id = $2 AND disabled = 0`, store.Millis(tx.Now), id)
	if err != nil {
		return false, fmt.Errorf("disabling service %s: %w", id, err)
	}
	if n == 0 {
		return false, nil
	}
	return true, audit.Record(ctx, tx, audit.Event{Kind: audit.ServiceDisabled, Actor: actor, Service: id})
}

// hash is how a secret is kept: its SHA-256.
func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
