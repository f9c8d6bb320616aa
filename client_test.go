package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"golang.org/x/oauth2"

	"vigie/oidc"
	"vigie/stage"
	"vigie/store"
)

// A client is a service without pages: the test holds its codes and tokens in
// its hands.
type client struct {
	id, secret string
	portal     string
	http       *http.Client
}

// landing is where browsers are sent back to. Nobody listens there: they stop
// before it.
const landing = "http://127.0.0.1:9/callback"

// newClient registers a service.
func (w *world) newClient(t testing.TB) *client {
	t.Helper()
	ctx := t.Context()
	c := &client{portal: w.Portal, http: w.HTTP}
	err := w.db.Write(ctx, func(tx *store.Tx) error {
		s, secret, err := oidc.AddService(ctx, tx, oidc.Service{Name: "Un service", RedirectURIs: []string{landing}}, "operator:test")
		c.id, c.secret = s.ID, secret
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// send has b come from the service with a new demand, and returns its verifier.
func (c *client) send(ctx context.Context, b *stage.Browser, more ...string) (verifier string, err error) {
	verifier = oauth2.GenerateVerifier()
	q := url.Values{"response_type": {"code"}, "client_id": {c.id}, "redirect_uri": {landing}, "scope": {"openid scope_all"}, "acr_values": {"eidas1"},
		"state": {"s"}, "nonce": {"n"}, "code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	b.StopAt(landing)
	return verifier, b.Visit(ctx, c.portal+"/auth?"+q.Encode())
}

// codeOf is the code that a browser was sent back with, "" when it was not.
func codeOf(b *stage.Browser) string {
	at, _, _ := b.Page()
	if at == nil || !strings.HasPrefix(at.String(), landing) {
		return ""
	}
	return at.Query().Get("code")
}

// tokens are what the token endpoint answers, or its error.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Session string `json:"session_state"`
	Error   string `json:"error"`
}

// redeem presents a code.
func (c *client) redeem(ctx context.Context, code, verifier string) (int, tokens, error) {
	return c.token(ctx, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {landing}, "code_verifier": {verifier}})
}

// refresh presents a refresh token.
func (c *client) refresh(ctx context.Context, token string) (int, tokens, error) {
	return c.token(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func (c *client) token(ctx context.Context, form url.Values) (int, tokens, error) {
	var t tokens
	status, err := c.post(ctx, "/token", form, &t)
	return status, t, err
}

// active asks whether an access token is worth anything.
func (c *client) active(ctx context.Context, access string) (bool, error) {
	var told struct {
		Active bool `json:"active"`
	}
	status, err := c.post(ctx, "/token/introspect", url.Values{"token": {access}}, &told)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("introspection answered %d", status)
	}
	return told.Active, err
}

func (c *client) post(ctx context.Context, path string, form url.Values, v any) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.portal+realm+"/protocol/openid-connect"+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	r.SetBasicAuth(c.id, c.secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return resp.StatusCode, fmt.Errorf("%s answered %s: %.200s", path, resp.Status, b)
	}
	return resp.StatusCode, nil
}

// waiting has a new browser come from the service and type who's number: it
// waits, and shows a code.
func (c *client) waiting(ctx context.Context, w stage.World, who stage.Person) (b *stage.Browser, verifier string, err error) {
	if b, err = stage.NewBrowser(w.Browser); err != nil {
		return nil, "", err
	}
	if verifier, err = c.send(ctx, b); err != nil {
		return nil, "", err
	}
	if err := b.Type(ctx, who.NationalID); err != nil {
		return nil, "", err
	}
	if b.Code() == "" {
		at, status, _ := b.Page()
		return nil, "", fmt.Errorf("no code at %s (%d)", at, status)
	}
	return b, verifier, nil
}

// signIn does the whole way with a new browser.
func (c *client) signIn(ctx context.Context, w stage.World, who stage.Person, p *stage.Phone) (tokens, error) {
	b, verifier, err := c.waiting(ctx, w, who)
	if err != nil {
		return tokens{}, err
	}
	r, err := p.Claim(ctx, b.Code())
	if err != nil {
		return tokens{}, err
	}
	if _, err := p.Approve(ctx, r, pin, "no"); err != nil {
		return tokens{}, err
	}
	if err := b.Look(ctx); err != nil {
		return tokens{}, err
	}
	status, got, err := c.redeem(ctx, codeOf(b), verifier)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the code answered %d %s", status, got.Error)
	}
	return got, err
}

const pin = "2580"

// quiet is a log that nobody reads.
var quiet = slog.New(slog.DiscardHandler)

// atOnce calls f n times at the same moment.
func atOnce(n int, f func(i int)) {
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	all.Wait()
}

// tally counts outcomes of what happens at once.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (t *tally) add(outcome string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[string]int{}
	}
	t.n[outcome]++
}

// outcomeOf is the word for what a phone was answered: the refusal's, "ok", or
// the error.
func outcomeOf(err error) string {
	if refused, ok := errors.AsType[*stage.Refused](err); ok {
		return refused.Code
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

// count runs a query that answers one number.
func (w *world) count(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	err := w.db.Read(t.Context(), func(tx *store.Tx) error { return tx.QueryRow(t.Context(), query, args...).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
