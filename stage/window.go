package stage

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
)

// Window opens another window of the same browser, on the same page, with the
// same cookies and keys. Each window is for one goroutine; several may act at the
// same time.
func (b *Browser) Window() *Browser {
	w := *b
	w.keys = maps.Clone(b.keys)
	return &w
}

// Events opens the stream of the waiting page that the browser shows. The caller
// closes its body.
func (b *Browser) Events(ctx context.Context) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.at.ResolveReference(&url.URL{Path: b.loginPath() + "/events"}).String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", b.Agent)
	r.Header.Set("Accept", "text/event-stream")
	resp, err := b.client.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("opening the stream of a page: %s", resp.Status)
	}
	return resp, nil
}

// Cookies are those that the browser sends to an address, as a header.
func (b *Browser) Cookies(u *url.URL) string {
	var all []string
	for _, c := range b.client.Jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}
