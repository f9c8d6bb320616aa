package stage

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"vigie/browser"
)

// Browser is somebody's browser, without a screen: it keeps cookies and keys,
// follows redirects, reads the portal's pages and does what their scripts do.
// It is not for use by several goroutines at once.
type Browser struct {
	Script bool   // false: a browser that runs no script
	Agent  string // User-Agent

	client  *http.Client
	lasting *ecdsa.PrivateKey
	keys    map[string]*ecdsa.PrivateKey // by authorization

	stop string // an address that is not called

	at     *url.URL // of the page it shows
	status int
	page   string
}

// NewBrowser returns a browser that nobody knows. Transport may be nil.
func NewBrowser(transport http.RoundTripper) (*Browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	lasting, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &Browser{
		Script: true, Agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0",
		client:  &http.Client{Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		lasting: lasting, keys: map[string]*ecdsa.PrivateKey{},
	}, nil
}

// Use replaces the browser's transport.
func (b *Browser) Use(transport http.RoundTripper) { b.client.Transport = transport }

// StopAt has the browser stop before this address, whatever its query: Page then
// says where it stands.
func (b *Browser) StopAt(address string) { b.stop = address }

// Page is what the browser shows.
func (b *Browser) Page() (at *url.URL, status int, text string) { return b.at, b.status, b.page }

const maxRedirects = 12

// Visit opens an address, follows redirects, and runs what the page runs by
// itself: a silent join, the taking of an approval.
func (b *Browser) Visit(ctx context.Context, address string) error {
	return b.open(ctx, http.MethodGet, address, nil)
}

func (b *Browser) open(ctx context.Context, method, address string, form url.Values) error {
	for range maxRedirects {
		next, err := b.send(ctx, method, address, form)
		if err != nil {
			return err
		}
		if next == "" {
			return b.run(ctx)
		}
		method, address, form = http.MethodGet, next, nil
	}
	return fmt.Errorf("more than %d redirects, the last to %s", maxRedirects, address)
}

// send makes one request and keeps its page, or returns where it redirects to.
func (b *Browser) send(ctx context.Context, method, address string, form url.Values) (next string, err error) {
	to, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	if b.at != nil {
		to = b.at.ResolveReference(to)
	}
	if b.stop != "" && (to.String() == b.stop || strings.HasPrefix(to.String(), b.stop+"?")) {
		b.at, b.status, b.page = to, 0, ""
		return "", nil
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, to.String(), body)
	if err != nil {
		return "", err
	}
	r.Header.Set("User-Agent", b.Agent)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Accept-Language", "fr")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := b.client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", err
	}
	b.at, b.status = to, resp.StatusCode
	if location := resp.Header.Get("Location"); location != "" && resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return location, nil
	}
	b.page = string(text)
	return "", nil
}

// run does what the page's script does by itself.
func (b *Browser) run(ctx context.Context) error {
	if !b.Script {
		return nil
	}
	if path := b.attribute("data-join"); path != "" {
		proof := ""
		if thumbprint(b.lasting) == b.attribute("data-kept") {
			var err error
			if proof, err = sign(b.lasting, browser.Claim{Use: browser.UseJoin, Request: b.attribute("data-session"), Service: b.attribute("data-service"), Nonce: b.attribute("data-nonce")}); err != nil {
				return err
			}
		}
		return b.open(ctx, http.MethodPost, path+"/continue", url.Values{"proof": {proof}})
	}
	if state, waiting := b.waiting(); waiting {
		return b.take(ctx, state)
	}
	return nil
}

// State is where the request of a waiting page stands.
type State struct {
	Status    string `json:"status"`
	Request   string `json:"request"`
	Service   string `json:"service"`
	Lane      string `json:"lane"`
	Held      bool   `json:"held"`
	NeedsCode bool   `json:"needs_code"`
	Keyed     bool   `json:"keyed"`
	Code      string `json:"code"`
	Name      string `json:"name"`
	Nonce     string `json:"nonce"`
}

func (b *Browser) waiting() (State, bool) {
	var s State
	text := b.attribute("data-wait")
	return s, text != "" && json.Unmarshal([]byte(text), &s) == nil
}

// take redeems what was approved.
func (b *Browser) take(ctx context.Context, s State) error {
	if s.Status != "approved" && s.Status != "redeemed" {
		return nil
	}
	path := b.at.Path
	if !s.Keyed {
		return b.open(ctx, http.MethodGet, path, nil)
	}
	key := b.keys[strings.TrimPrefix(path, "/login/")]
	if key == nil {
		return errors.New("this browser has no key for the request")
	}
	proof, err := sign(key, browser.Claim{Use: browser.UseRedeem, Request: s.Request, Service: s.Service, Nonce: s.Nonce})
	if err != nil {
		return err
	}
	return b.open(ctx, http.MethodPost, path+"/redeem", url.Values{"proof": {proof}})
}

// Look reloads a waiting page; what was approved is taken.
func (b *Browser) Look(ctx context.Context) error { return b.Visit(ctx, b.at.Path) }

// State asks where the request of the waiting page stands, as its script does.
func (b *Browser) State(ctx context.Context) (State, error) {
	var s State
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.at.ResolveReference(&url.URL{Path: b.at.Path + "/state"}).String(), nil)
	if err != nil {
		return s, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", b.Agent)
	resp, err := b.client.Do(r)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("asking for the state: %s", resp.Status)
	}
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// Type sends a national id by the form of the portal.
func (b *Browser) Type(ctx context.Context, nationalID string) error {
	form := url.Values{"national_id": {nationalID}}
	if _, err := b.addKeys(form); err != nil {
		return err
	}
	return b.open(ctx, http.MethodPost, b.loginPath(), form)
}

// Choose clicks on a name that the browser remembers: the phone rings.
func (b *Browser) Choose(ctx context.Context, nationalID string) error {
	if !b.Remembers(nationalID) {
		return fmt.Errorf("the page does not offer %s", nationalID)
	}
	form := url.Values{"choice": {nationalID}}
	key, err := b.addKeys(form)
	if err != nil {
		return err
	}
	if key != nil {
		proof, err := sign(b.lasting, browser.Claim{Use: browser.UseRing, Request: b.attribute("data-authorization"), Service: b.attribute("data-service"),
			Professional: nationalID, Key: thumbprint(key), Nonce: b.attribute("data-nonce")})
		if err != nil {
			return err
		}
		form.Set("proof", proof)
	}
	return b.open(ctx, http.MethodPost, b.loginPath(), form)
}

// Remembers says whether the page offers this professional by one click.
func (b *Browser) Remembers(nationalID string) bool {
	return strings.Contains(b.page, `name="choice" value="`+html.EscapeString(nationalID)+`"`) && b.attribute("data-authorization") != "" && !strings.Contains(b.page, "data-wait=")
}

// addKeys puts the browser's public keys into a form, and returns the private
// one of this request; nil without script.
func (b *Browser) addKeys(form url.Values) (*ecdsa.PrivateKey, error) {
	if !b.Script {
		return nil, nil
	}
	authorization := strings.TrimPrefix(b.loginPath(), "/login/")
	key := b.keys[authorization]
	if key == nil {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, err
		}
		b.keys[authorization] = key
	}
	form.Set("key", publicJWK(key))
	form.Set("lasting", publicJWK(b.lasting))
	return key, nil
}

// Post sends a form of the page that it shows: "/continue", "/other", "/cancel"
// below the sign-in, or another path of the portal.
func (b *Browser) Post(ctx context.Context, path string) error {
	if below, is := strings.CutPrefix(path, "./"); is {
		path = b.loginPath() + "/" + below
	}
	return b.open(ctx, http.MethodPost, path, url.Values{})
}

func (b *Browser) loginPath() string {
	parts := strings.SplitN(strings.TrimPrefix(b.at.Path, "/login/"), "/", 2)
	return "/login/" + parts[0]
}

// Code is the code that the page shows, "" when it shows none.
func (b *Browser) Code() string {
	found := codeElement.FindStringSubmatch(b.page)
	if found == nil {
		return ""
	}
	return strings.Join(strings.Fields(tags.ReplaceAllString(found[1], "")), "")
}

var (
	codeElement = regexp.MustCompile(`(?s)id="code"[^>]*>(.*?)</p>`)
	tags        = regexp.MustCompile(`<[^>]*>`)
)

// attribute is the value of the first such attribute of the page.
func (b *Browser) attribute(name string) string {
	_, after, found := strings.Cut(b.page, " "+name+`="`)
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(after, `"`)
	return html.UnescapeString(value)
}

func sign(key *ecdsa.PrivateKey, claim browser.Claim) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType(browser.ClaimType))
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claim)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func publicJWK(key *ecdsa.PrivateKey) string {
	b, err := (&jose.JSONWebKey{Key: key.Public()}).MarshalJSON()
	if err != nil {
		return ""
	}
	return string(b)
}

func thumbprint(key *ecdsa.PrivateKey) string {
	k, err := browser.ParseKey(publicJWK(key))
	if err != nil {
		return ""
	}
	return k.Thumbprint()
}
