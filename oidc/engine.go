package oidc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/luikyv/go-oidc/pkg/provider"

	"vigie/session"
	"vigie/store"
)

// A call is one request on its way through go-oidc, carried in the context. The
// library only gets and saves; a call knows what is being done, keeps what was
// found on the way, and holds what is to be written until the library is
// through, so that it is written at once or not at all.
type call struct {
	p  *Provider
	tx *store.Tx // the transaction that Finish runs in; nil elsewhere

	client   *registered // the service that asks, once it is known
	basic    bool        // it authenticates by an Authorization header
	redirect string      // the redirect URI exactly as asked

	// At the authorization endpoints.
	asked  Authorization    // what is to be stored or finished
	cookie string           // the browser's secret, "" at PAR
	wrong  error            // what is wrong with the request, to be told to the service
	hinted string           // the service that the id_token_hint was made for, "" without a hint
	signed *session.Session // whose code it is to be; nil before Finish

	// At the token endpoint, introspection and revocation.
	door     string // the path, "" elsewhere
	now      time.Time
	grant    *grant
	deed     deed
	presents int    // generation of the refresh token that was presented
	access   string // the access token that was issued

	refused error // what the library found wrong
	failed  error // trouble of ours: the answer is "try again", nothing is written
}

// A deed is what the token endpoint writes once everything else went well.
type deed int

const (
	nothing  deed = iota
	redeem        // take the code
	rotate        // replace the refresh token
	replayed      // neither: the code or the refresh token was used before, the grant ends
)

type callKey struct{}

func of(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// read runs f in the call's transaction, or in a short one of its own.
func (c *call) read(ctx context.Context, f func(tx *store.Tx) error) error {
	var err error
	if c.tx != nil {
		err = f(c.tx)
	} else {
		err = c.p.db.Read(ctx, f)
	}
	return c.trouble(err)
}

// write is like read for a function that writes.
func (c *call) write(ctx context.Context, f func(tx *store.Tx) error) error {
	var err error
	if c.tx != nil {
		err = f(c.tx)
	} else {
		err = c.p.db.Write(ctx, f)
	}
	return c.trouble(err)
}

// trouble keeps an error that is ours, whatever the library makes of it.
func (c *call) trouble(err error) error {
	var told goidc.Error
	if err != nil && !errors.Is(err, goidc.ErrNotFound) && !errors.As(err, &told) {
		c.failed = err
	}
	return err
}

// run sends r through go-oidc and returns the answer, unsent.
func (p *Provider) run(r *http.Request, c *call) *buffer {
	c.p = p
	_, _, c.basic = r.BasicAuth()
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	b := newBuffer()
	p.engine.ServeHTTP(b, r)
	if c.refused != nil {
		id := ""
		if c.client != nil {
			id = c.client.ID
		}
		p.o.Log.LogAttrs(r.Context(), slog.LevelInfo, "service refused", slog.String("path", r.URL.Path),
			slog.String("service", id), slog.String("reason", c.refused.Error()))
	}
	return b
}

// below returns r as go-oidc knows it: with a path below the issuer.
func below(r *http.Request) *http.Request {
	r2 := r.Clone(r.Context())
	r2.URL.Path = strings.TrimPrefix(r.URL.Path, Realm)
	r2.URL.RawPath = ""
	r2.RequestURI = r2.URL.RequestURI() // what private_key_jwt may name as its audience
	r2.Form, r2.PostForm = r.Form, r.PostForm
	return r2
}

// buffer is an answer that may still be thrown away.
type buffer struct {
	header http.Header
	status int
	body   bytes.Buffer
	wrote  bool
}

func newBuffer() *buffer {
	b := &buffer{}
	b.reset()
	return b
}

func (b *buffer) reset() { *b = buffer{header: http.Header{}, status: http.StatusOK} }

func (b *buffer) Header() http.Header { return b.header }

func (b *buffer) WriteHeader(status int) {
	if !b.wrote {
		b.status, b.wrote = status, true
	}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.wrote = true
	return b.body.Write(p)
}

// newEngine sets up go-oidc. Of its doors only those for authorization, PAR,
// tokens, introspection and revocation are used, and they only through the
// handlers of this package.
func (p *Provider) newEngine() (http.Handler, error) {
	m := &manager{p} // not a zero value: go-oidc would replace it by its own
	secs := func(d time.Duration) int { return int(d / time.Second) }
	op, err := provider.New(provider.Config{Issuer: p.o.Issuer, Manager: m, JWKS: p.jwks, IDTokenAlgs: algorithms},
		provider.WithSigner(p.signer),
		provider.WithScopes(scopes()...),
		provider.WithOpenIDScopeRequired(),
		provider.WithACRs(acr),
		provider.WithClaims(claimNames...),
		provider.WithIDTokenClaims(func(ctx context.Context, _ *goidc.Grant) map[string]any { return p.idTokenClaims(of(ctx)) }),
		provider.WithIDTokenLifetime(secs(AccessLife)),
		provider.WithTokenOptions(func(context.Context, *goidc.Grant, *goidc.Client) goidc.TokenOptions {
			return goidc.NewOpaqueTokenOptions(secs(AccessLife))
		}, provider.WithOpaqueTokens(m), provider.WithOpaqueTokenFunc(func(ctx context.Context, _ *goidc.Grant) string { return of(ctx).issue(ctx) })),
		provider.WithSecretBasicAuthn(),
		provider.WithSecretPostAuthn(),
		provider.WithPrivateKeyJWTAuthn(algorithms...),
		provider.WithJTIConsumer(consumeAssertion),
		provider.WithClientSecretVerifier(verifySecret),
		provider.WithDCR(m),
		provider.WithTokenEndpoint(tokenPath),
		provider.WithUserInfoEndpoint(userinfoPath),
		provider.WithJWKSEndpoint(keysPath),
		provider.WithAuthorizeEndpoint("/auth"),
		provider.WithTokenIntrospection(func(context.Context, *goidc.Client, goidc.TokenInfo) bool { return true }),
		provider.WithTokenIntrospectionEndpoint(introspectPath),
		provider.WithTokenRevocation(func(context.Context, *goidc.Client) bool { return true }, provider.WithTokenRevocationEndpoint(revokePath)),
		provider.WithAuthCodeGrant(provider.AuthCodeGrantConfig{Manager: m, ResponseTypes: []goidc.ResponseType{goidc.ResponseTypeCode}},
			provider.WithIssuerResponseParameter(),
			provider.WithAuthCodeFunc(newCode),
			provider.WithAuthCodeLifetime(secs(CodeLife)),
			provider.WithPKCE([]goidc.CodeChallengeMethod{goidc.CodeChallengeMethodSHA256}),
			provider.WithPAR(m, provider.WithPAREndpoint(pushPath), provider.WithPARLifetime(secs(PushedLife)), provider.WithPARSessionHandler(admit)),
			provider.WithAuthPolicies(goidc.NewPolicy("portal",
				func(*http.Request, *goidc.AuthnSession, *goidc.Client) bool { return true }, p.policy)),
		),
		provider.WithAuthnSessionIDFunc(newID),
		provider.WithGrantIDFunc(newID),
		provider.WithRefreshTokenGrant(m, provider.WithRefreshTokenRotation(),
			provider.WithRefreshTokenFunc(func(ctx context.Context) string { return of(ctx).successor() })),
		provider.WithErrorHandler(func(ctx context.Context, err error) {
			if c := of(ctx); c != nil {
				c.refused = err
			}
		}),
		provider.WithErrorRenderer(p.renderError),
	)
	if err != nil {
		return nil, err
	}
	return op.Handler(), nil
}

// manager is what go-oidc gets from and saves to. What it means is in the call.
type manager struct{ p *Provider }

// far is a time that go-oidc, which reads the machine's clock, never reaches:
// whether something has expired is decided here, by the database's clock.
const far = 1 << 40

// Client finds a service that is not disabled.
func (*manager) Client(ctx context.Context, id string) (*goidc.Client, error) {
	c := of(ctx)
	if c.client == nil || c.client.ID != id {
		err := c.read(ctx, func(tx *store.Tx) error {
			s, ok, err := findService(ctx, tx, id)
			if err == nil && (!ok || !s.Disabled.IsZero()) {
				err = goidc.ErrNotFound
			}
			c.client = &s
			return err
		})
		if err != nil {
			c.client = nil
			return nil, err
		}
	}
	return c.client.client(c)
}

// client is the service as go-oidc knows it. A service with a secret may present
// it either way, as with Keycloak, and a redirect URI is offered only when it is
// what was asked for byte by byte.
func (s *registered) client(c *call) (*goidc.Client, error) {
	method := goidc.AuthnMethod(s.AuthMethod)
	if s.AuthMethod != PrivateKeyJWT {
		method = goidc.AuthnMethodSecretPost
		if c.basic {
			method = goidc.AuthnMethodSecretBasic
		}
	}
	client := &goidc.Client{ID: s.ID, Secret: s.secret, ClientMeta: goidc.ClientMeta{
		Name:             s.Name,
		GrantTypes:       []goidc.GrantType{goidc.GrantAuthorizationCode, goidc.GrantRefreshToken},
		ResponseTypes:    []goidc.ResponseType{goidc.ResponseTypeCode},
		ScopeIDs:         strings.Join(scopeNames, " "),
		IDTokenSigAlg:    goidc.SignatureAlgorithm(s.Alg),
		TokenAuthnMethod: method,
	}}
	for _, u := range s.RedirectURIs {
		if u == c.redirect || c.redirect == "" {
			client.RedirectURIs = append(client.RedirectURIs, u)
		}
	}
	if s.JWKS != "" {
		client.JWKS = &goidc.JSONWebKeySet{}
		if err := client.JWKS.UnmarshalJSON([]byte(s.JWKS)); err != nil {
			return nil, c.trouble(fmt.Errorf("keys of service %s: %w", s.ID, err))
		}
	}
	return client, nil
}

func (*manager) SaveClient(context.Context, *goidc.Client) error { return errors.ErrUnsupported }

func (*manager) DeleteClient(context.Context, string) error { return errors.ErrUnsupported }

// Access tokens are not kept: see call.issue.

func (*manager) SaveToken(context.Context, *goidc.Token) error { return nil }

func (*manager) Token(context.Context, string) (*goidc.Token, error) { return nil, goidc.ErrNotFound }

// Grant is never needed: go-oidc sees no access token again.
func (*manager) Grant(context.Context, string) (*goidc.Grant, error) { return nil, goidc.ErrNotFound }

func verifySecret(_ context.Context, stored, presented string) error {
	if stored == "" || !equal(stored, hash(presented)) {
		return errors.New("wrong secret")
	}
	return nil
}

// consumeAssertion lets each client assertion be used once. Its service has
// already signed it.
func consumeAssertion(ctx context.Context, jti string) error {
	c := of(ctx)
	return c.write(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO oidc_assertions (id, expires) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`,
			hash(c.client.ID+" "+jti), store.Millis(tx.Now.Add(assertionLife)))
		if err != nil {
			return fmt.Errorf("noting a client assertion: %w", err)
		}
		if n == 0 {
			return goidc.NewError(goidc.ErrorCodeInvalidClient, "the client assertion was used before")
		}
		return nil
	})
}

// assertionLife is longer than go-oidc accepts an assertion (10 minutes).
const assertionLife = 30 * time.Minute
