package stage

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Service is an ordinary digital service: an OpenID Connect client made of
// libraries that know nothing of Vigie. It shows whom it greets and what it was
// told, and nothing else.
type Service struct {
	ID, Secret, Name string
	URL              string // its own address, without a trailing slash
	Issuer           string
	Colour           string // of its own look
	Log              *slog.Logger
	Now              func() time.Time // for the expiry of ID tokens; nil: the clock

	once sync.Mutex
	rp   *relyingParty

	mu       sync.Mutex
	sessions map[string]*visit
	last     struct{ code, verifier string } // that were redeemed last
}

// LastCode is the code that the service redeemed last, for stories about
// replays; LastVerifier its PKCE verifier.
func (s *Service) LastCode() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.code
}

// LastVerifier is the PKCE verifier of LastCode.
func (s *Service) LastVerifier() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.verifier
}

type relyingParty struct {
	provider *oidc.Provider
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	logout   string
}

// visit is what the service keeps of one browser: first the secrets of a
// sign-in under way, then who came.
type visit struct {
	state, nonce, verifier string
	idToken                string
	claims                 map[string]any
	token                  *oauth2.Token
}

// RedirectURI is where the portal sends the browser back to.
func (s *Service) RedirectURI() string { return s.URL + "/callback" }

// LogoutURI is where the portal sends the browser after a logout.
func (s *Service) LogoutURI() string { return s.URL + "/" }

// Handler serves the service's pages: / /login /callback /logout, and /me, the
// claims as JSON.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /login", s.login)
	mux.HandleFunc("GET /callback", s.callback)
	mux.HandleFunc("GET /logout", s.logout)
	mux.HandleFunc("GET /me", s.me)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

// connect reads the portal's discovery document once it can be read.
func (s *Service) connect(ctx context.Context) (*relyingParty, error) {
	s.once.Lock()
	defer s.once.Unlock()
	if s.rp != nil {
		return s.rp, nil
	}
	provider, err := oidc.NewProvider(ctx, s.Issuer)
	if err != nil {
		return nil, fmt.Errorf("reading the discovery document of %s: %w", s.Issuer, err)
	}
	var more struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, fmt.Errorf("reading the discovery document of %s: %w", s.Issuer, err)
	}
	s.rp = &relyingParty{
		provider: provider,
		oauth: oauth2.Config{ClientID: s.ID, ClientSecret: s.Secret, RedirectURL: s.RedirectURI(), Endpoint: provider.Endpoint(),
			Scopes: []string{oidc.ScopeOpenID, "scope_all"}},
		verifier: provider.Verifier(&oidc.Config{ClientID: s.ID, Now: s.Now}),
		logout:   more.EndSession,
	}
	return s.rp, nil
}

func (s *Service) cookie() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return "service"
	}
	return "service" + u.Port()
}

func (s *Service) visitOf(r *http.Request) (string, *visit) {
	c, err := r.Cookie(s.cookie())
	if err != nil {
		return "", nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.Value, s.sessions[c.Value]
}

func (s *Service) keep(w http.ResponseWriter, v *visit) {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions == nil || len(s.sessions) > 10_000 { // a demo forgets rather than grows
		s.sessions = map[string]*visit{}
	}
	s.sessions[id] = v
	http.SetCookie(w, &http.Cookie{Name: s.cookie(), Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func (s *Service) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, id)
}

func (s *Service) login(w http.ResponseWriter, r *http.Request) {
	rp, err := s.connect(r.Context())
	if err != nil {
		s.fail(w, r, http.StatusBadGateway, err)
		return
	}
	v := &visit{state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier()}
	s.keep(w, v)
	options := []oauth2.AuthCodeOption{oidc.Nonce(v.nonce), oauth2.S256ChallengeOption(v.verifier), oauth2.SetAuthURLParam("acr_values", "eidas1")}
	for _, name := range []string{"prompt", "max_age", "login_hint"} { // lets people try them
		if value := r.URL.Query().Get(name); value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	http.Redirect(w, r, rp.oauth.AuthCodeURL(v.state, options...), http.StatusSeeOther)
}

func (s *Service) callback(w http.ResponseWriter, r *http.Request) {
	id, v := s.visitOf(r)
	q := r.URL.Query()
	if v == nil || v.state == "" || q.Get("state") != v.state {
		s.fail(w, r, http.StatusBadRequest, errors.New("this answer belongs to no sign-in of this browser"))
		return
	}
	s.forget(id)
	if code := q.Get("error"); code != "" {
		s.page(w, r, http.StatusOK, view{Error: code})
		return
	}
	came, err := s.redeem(r.Context(), v, q.Get("code"))
	if err != nil {
		s.fail(w, r, http.StatusBadGateway, err)
		return
	}
	s.keep(w, came)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *Service) redeem(ctx context.Context, v *visit, code string) (*visit, error) {
	rp, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.last.code, s.last.verifier = code, v.verifier
	s.mu.Unlock()
	token, err := rp.oauth.Exchange(ctx, code, oauth2.VerifierOption(v.verifier))
	if err != nil {
		return nil, fmt.Errorf("redeeming the code: %w", err)
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := rp.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("verifying the ID token: %w", err)
	}
	if idToken.Nonce != v.nonce {
		return nil, errors.New("the ID token carries another nonce")
	}
	info, err := rp.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, fmt.Errorf("asking for userinfo: %w", err)
	}
	claims := map[string]any{}
	if err := info.Claims(&claims); err != nil {
		return nil, fmt.Errorf("reading userinfo: %w", err)
	}
	return &visit{idToken: raw, claims: claims, token: token}, nil
}

func (s *Service) logout(w http.ResponseWriter, r *http.Request) {
	id, v := s.visitOf(r)
	rp, err := s.connect(r.Context())
	if v == nil || v.idToken == "" || err != nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	s.forget(id)
	q := url.Values{"id_token_hint": {v.idToken}, "post_logout_redirect_uri": {s.LogoutURI()}, "state": {rand.Text()}}
	http.Redirect(w, r, rp.logout+"?"+q.Encode(), http.StatusSeeOther)
}

func (s *Service) me(w http.ResponseWriter, r *http.Request) {
	_, v := s.visitOf(r)
	w.Header().Set("Content-Type", "application/json")
	if v == nil || v.claims == nil {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte("{}\n"))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"greeting": greeting(v.claims), "claims": v.claims, "access_token": v.token.AccessToken, "refresh_token": v.token.RefreshToken, "id_token": v.idToken})
}

func (s *Service) home(w http.ResponseWriter, r *http.Request) {
	_, v := s.visitOf(r)
	if v == nil || v.claims == nil {
		s.page(w, r, http.StatusOK, view{})
		return
	}
	out := view{Greeting: greeting(v.claims)}
	for name, value := range v.claims {
		text, isText := value.(string)
		if !isText {
			b, err := json.MarshalIndent(value, "", "  ")
			if err != nil {
				continue
			}
			text = string(b)
		}
		out.Claims = append(out.Claims, claim{name, text, !isText})
	}
	sort.Slice(out.Claims, func(i, j int) bool { return out.Claims[i].Name < out.Claims[j].Name })
	s.page(w, r, http.StatusOK, out)
}

// greeting is how this service addresses people: civility and name of the first
// exercice, as Pro Santé Connect's clients do.
func greeting(claims map[string]any) string {
	words := []string{text(claims["given_name"]), text(claims["family_name"])}
	if pro, ok := claims["SubjectRefPro"].(map[string]any); ok {
		if list, ok := pro["exercices"].([]any); ok && len(list) > 0 {
			if e, ok := list[0].(map[string]any); ok {
				words = []string{text(e["codeCiviliteDexercice"]), text(e["prenomDexercice"]), text(e["nomDexercice"])}
			}
		}
	}
	for i, w := range words {
		words[i] = title(w)
	}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

func text(v any) string { s, _ := v.(string); return s }

// title turns "JEAN-PIERRE" into "Jean-Pierre".
func title(s string) string {
	start := true
	return strings.Map(func(r rune) rune {
		was := start
		start = r == '-' || r == ' ' || r == '\''
		if was {
			return []rune(strings.ToUpper(string(r)))[0]
		}
		return []rune(strings.ToLower(string(r)))[0]
	}, s)
}

func (s *Service) fail(w http.ResponseWriter, r *http.Request, status int, err error) {
	if s.Log != nil {
		s.Log.Warn("demo service", "service", s.ID, "err", err)
	}
	s.page(w, r, status, view{Error: "failed"})
}

type claim struct {
	Name, Value string
	Long        bool
}

type view struct {
	Name, Colour, Greeting, Error, Lang string
	Claims                              []claim
	W                                   map[string]string
}

var serviceWords = map[string]map[string]string{
	"fr": {
		"fictitious": "Service fictif de démonstration", "intro": "Ce service veut savoir qui vous êtes. Il ne garde rien.",
		"login": "Se connecter avec Vigie", "logout": "Se déconnecter", "hello": "Bonjour", "told": "Ce que Vigie a dit de vous",
		"access_denied": "Vous avez annulé la connexion. Rien n’a été ouvert.", "login_required": "Il faut d’abord vous connecter.",
		"failed": "La connexion n’a pas abouti. Recommencez depuis cette page.", "again": "Réessayer",
	},
	"en": {
		"fictitious": "Fictitious demonstration service", "intro": "This service wants to know who you are. It keeps nothing.",
		"login": "Sign in with Vigie", "logout": "Sign out", "hello": "Hello", "told": "What Vigie said about you",
		"access_denied": "You cancelled the sign-in. Nothing was opened.", "login_required": "You need to sign in first.",
		"failed": "The sign-in did not succeed. Start again from this page.", "again": "Try again",
	},
}

func (s *Service) page(w http.ResponseWriter, r *http.Request, status int, v view) {
	v.Name, v.Colour, v.Lang = s.Name, s.Colour, "fr"
	accept, lang := strings.ToLower(r.Header.Get("Accept-Language")), r.URL.Query().Get("lang")
	if lang == "en" || lang == "" && strings.HasPrefix(accept, "en") {
		v.Lang = "en"
	}
	v.W = serviceWords[v.Lang]
	if v.Error != "" {
		if _, known := v.W[v.Error]; !known {
			v.Error = "failed"
		}
	}
	var b strings.Builder
	if err := servicePage.Execute(&b, v); err != nil {
		http.Error(w, "page", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(b.String()))
}

var servicePage = template.Must(template.New("service").Parse(`<!doctype html>
<html lang="{{.Lang}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>{{.Name}}</title>
<style>
:root{color-scheme:light dark;--c:{{.Colour}};--ink:#1b1b1f;--paper:#fff;--quiet:#f3f3f6;--muted:#4a4a55}
@media (prefers-color-scheme:dark){:root{--ink:#f1f1f4;--paper:#17171c;--quiet:#222229;--muted:#c3c3cf}}
*{box-sizing:border-box}body{margin:0;font:18px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--quiet)}
header{background:var(--c);color:#fff;padding:16px 24px;display:flex;gap:8px 16px;flex-wrap:wrap;align-items:baseline}
header strong{font-size:1.25rem}main{max-width:46rem;margin:24px auto;padding:24px;background:var(--paper);border-radius:12px}
@media (max-width:47rem){main{margin:16px}}
h1{font-size:1.6rem;margin:0 0 16px}p{color:var(--muted)}
a.b{display:inline-block;min-height:48px;padding:12px 24px;border-radius:8px;background:var(--c);color:#fff;text-decoration:none;font-weight:700}
a:focus-visible{outline:3px solid var(--ink);outline-offset:3px}
dl{margin:0}dt{font-weight:700;margin-top:12px;overflow-wrap:anywhere}dd{margin:0;color:var(--muted);overflow-wrap:anywhere}pre{margin:0;white-space:pre-wrap;font-size:.85rem;overflow-wrap:anywhere}
</style></head><body>
<header><strong>{{.Name}}</strong><span>{{.W.fictitious}}</span></header>
<main>
{{- if .Greeting}}<h1 id="greeting">{{.W.hello}} {{.Greeting}}</h1><p><a class="b" href="/logout">{{.W.logout}}</a></p>
<h2>{{.W.told}}</h2><dl>{{range .Claims}}<dt>{{.Name}}</dt><dd>{{if .Long}}<pre>{{.Value}}</pre>{{else if .Value}}{{.Value}}{{else}}—{{end}}</dd>{{end}}</dl>
{{- else}}<h1>{{.Name}}</h1>{{if .Error}}<p id="error" role="status">{{index .W .Error}}</p><p><a class="b" href="/login">{{.W.again}}</a></p>
{{- else}}<p>{{.W.intro}}</p><p><a class="b" id="login" href="/login">{{.W.login}}</a></p>{{end}}{{end}}
</main></body></html>
`))
