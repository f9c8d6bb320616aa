package oidc

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// newDiscovery is what go-oidc says of itself, with the address of /auth, which
// stands outside of the realm, and without what is not served.
func (p *Provider) newDiscovery() ([]byte, error) {
	r := &http.Request{Method: http.MethodGet, Header: http.Header{}, URL: &url.URL{Path: "/.well-known/openid-configuration" + Realm}}
	b := newBuffer()
	p.engine.ServeHTTP(b, r)
	var d map[string]any
	if err := json.Unmarshal(b.body.Bytes(), &d); err != nil || b.status != http.StatusOK {
		return nil, fmt.Errorf("go-oidc answered %d: %w", b.status, err)
	}
	delete(d, "registration_endpoint")
	d["authorization_endpoint"] = p.base + "/auth"
	d["end_session_endpoint"] = p.o.Issuer + logoutPath
	d["claims_parameter_supported"] = false
	d["request_parameter_supported"] = false
	d["request_uri_parameter_supported"] = false // beside pushed ones; true is what silence means
	d["prompt_values_supported"] = []string{"none", "login"}
	return json.Marshal(d)
}

// serveDiscovery answers under both names.
func (p *Provider) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Write(p.discovery)
}
