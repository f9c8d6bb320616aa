package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

func (a *actors) greets(ctx context.Context, m []string) error {
	if _, waiting := a.browser.waiting(); waiting {
		if err := a.browser.Look(ctx); err != nil {
			return err
		}
	}
	greeted, seen, err := a.greeting(ctx)
	if err != nil {
		return err
	}
	if want := m[2]; greeted != want {
		return fmt.Errorf("it greets %q; the browser is at %s", greeted, a.browser.at)
	}
	if m[2] != "" {
		a.visit = seen
	}
	return nil
}

// greeting is whom the service greets in this browser, "" for nobody.
func (a *actors) greeting(ctx context.Context) (string, visitOf, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.service.URL+"/me", nil)
	if err != nil {
		return "", visitOf{}, err
	}
	resp, err := a.browser.client.Do(r)
	if err != nil {
		return "", visitOf{}, err
	}
	defer resp.Body.Close()
	var me struct {
		Greeting string `json:"greeting"`
		Access   string `json:"access_token"`
		Refresh  string `json:"refresh_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&me); err != nil {
		return "", visitOf{}, err
	}
	return me.Greeting, visitOf{access: me.Access, refresh: me.Refresh, code: a.service.LastCode()}, nil
}

// toldMore asks userinfo, introspection and refresh with what the service holds.
func (a *actors) toldMore(ctx context.Context, m []string) error {
	userinfo, err := a.status(ctx, http.MethodGet, "/protocol/openid-connect/userinfo", nil, "Bearer "+a.visit.access)
	if err != nil {
		return err
	}
	var told struct {
		Active bool `json:"active"`
	}
	if _, err := a.post(ctx, "/protocol/openid-connect/token/introspect", url.Values{"token": {a.visit.access}}, &told); err != nil {
		return err
	}
	if m[1] == "who it is" {
		if userinfo != http.StatusOK || !told.Active {
			return fmt.Errorf("userinfo answers %d, introspection active=%t", userinfo, told.Active)
		}
		return nil
	}
	refreshed, err := a.post(ctx, "/protocol/openid-connect/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {a.visit.refresh}}, nil)
	if err != nil {
		return err
	}
	if userinfo == http.StatusOK || told.Active || refreshed == http.StatusOK {
		return fmt.Errorf("userinfo answers %d, introspection active=%t, refresh %d", userinfo, told.Active, refreshed)
	}
	return nil
}

func (a *actors) replays(ctx context.Context, _ []string) error {
	status, err := a.post(ctx, "/protocol/openid-connect/token", url.Values{"grant_type": {"authorization_code"}, "code": {a.visit.code},
		"redirect_uri": {a.service.RedirectURI()}, "code_verifier": {a.service.LastVerifier()}}, nil)
	if err == nil && status != http.StatusBadRequest {
		err = fmt.Errorf("the token endpoint answers %d", status)
	}
	return err
}

func (a *actors) post(ctx context.Context, path string, form url.Values, v any) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.service.Issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	r.SetBasicAuth(a.service.ID, a.service.Secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := a.HTTP.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if v != nil {
		return resp.StatusCode, json.NewDecoder(resp.Body).Decode(v)
	}
	return resp.StatusCode, nil
}

func (a *actors) status(ctx context.Context, method, path string, body io.Reader, authorization string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, method, a.service.Issuer+path, body)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", authorization)
	resp, err := a.HTTP.Do(r)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func (a *actors) learns(_ context.Context, m []string) error {
	if got := a.browser.at.Query().Get("error"); got != m[1] {
		return fmt.Errorf("it learns %q at %s", got, a.browser.at)
	}
	return nil
}
