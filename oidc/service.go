package oidc

import (
	"context"
	"time"

	"vigie/store"
)

// Service is a digital health service that relies on us.
type Service struct {
	ID                 string // client_id; drawn by AddService when empty
	Name               string // unique, also to the eye
	RedirectURIs       []string
	LogoutURIs         []string // where RP-initiated logout may return to
	FrontchannelLogout string
	BackchannelLogout  string
	AuthMethod         string // client_secret_basic (default; client_secret_post is accepted too), private_key_jwt
	JWKS               string // public keys for private_key_jwt
	Alg                string // of the ID token: RS256 (default) or ES256
	NoPKCE             bool   // accepts a code flow without PKCE, which then needs a nonce
	Support            string // address for people
	Security           string // contact for incidents
	Logo               []byte // PNG or JPEG going in; PNG of at most 256 × 256 coming out
	Created            time.Time
	Disabled           time.Time // zero while it serves
}

// AddService registers s and returns it as stored with its client secret, which
// is shown this once and kept as a hash ("" for private_key_jwt). Actor is as in
// audit.Event.
func AddService(ctx context.Context, tx *store.Tx, s Service, actor string) (Service, string, error) {
	return Service{}, "", errSoon
}

// FindService returns the service, also a disabled one.
func FindService(ctx context.Context, tx *store.Tx, id string) (Service, bool, error) {
	return Service{}, false, errSoon
}

// ListServices returns all services by name, without their logos.
func ListServices(ctx context.Context, tx *store.Tx) ([]Service, error) { return nil, errSoon }

// DisableService stops a service: nothing it holds is worth anything any more.
// It says whether it served until now.
func DisableService(ctx context.Context, tx *store.Tx, id, actor string) (bool, error) {
	return false, errSoon
}
