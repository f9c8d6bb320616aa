package push

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"vigie/outgoing"
)

// WebPushOptions are what WebPush needs; every field is required.
type WebPushOptions struct {
	HTTP    *http.Client      // made by package outgoing: endpoints are strangers' URLs
	Key     *ecdsa.PrivateKey // who we are to push services, P-256; phones are subscribed to it and lost if it changes
	Contact string            // whom a push service may write to about us: "mailto:…" or "https://…" (RFC 8292 §2.1)
	Now     func() time.Time
}

// WebPush sends through the push services of browsers (RFC 8030). It is safe for concurrent use.
type WebPush struct {
	options WebPushOptions
	public  string

	mu     sync.Mutex
	tokens map[string]token // by origin of the push service
}

type token struct {
	text  string
	until time.Time // when to make another
}

// A token is good for tokenLife, under the day that RFC 8292 §2 allows, and used for half of it, so that clocks may differ.
const (
	tokenLife = 12 * time.Hour
	maxTokens = 64
)

// NewWebPush checks o and makes the sender.
func NewWebPush(o WebPushOptions) (*WebPush, error) {
	if o.HTTP == nil || o.Now == nil || o.Key == nil || o.Key.Curve != elliptic.P256() {
		return nil, errors.New("web push needs an HTTP client, a clock and a P-256 key")
	}
	contact, err := url.Parse(o.Contact)
	if err != nil || contact.Scheme != "mailto" && contact.Scheme != "https" || len(contact.Opaque)+len(contact.Host) == 0 {
		return nil, fmt.Errorf("web push contact %q is neither a mailto: nor an https: address", o.Contact)
	}
	public, err := PublicKey(&o.Key.PublicKey)
	if err != nil {
		return nil, err
	}
	return &WebPush{options: o, public: public, tokens: map[string]token{}}, nil
}

// PublicKey writes key as a page gives it to pushManager.subscribe (applicationServerKey): an uncompressed point in
// base64url without padding (RFC 8292 §3.2).
func PublicKey(key *ecdsa.PublicKey) (string, error) {
	point, err := key.Bytes()
	if err != nil {
		return "", fmt.Errorf("writing the web push key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(point), nil
}

// PublicKey is the key that subscriptions for this sender are made for.
func (w *WebPush) PublicKey() string { return w.public }

// Send encrypts m and hands it to the push service. It tries once.
func (w *WebPush) Send(ctx context.Context, to Subscription, m Message) error {
	request, err := w.request(ctx, to, m)
	if err != nil {
		return err
	}
	answer, err := w.options.HTTP.Do(request)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // u's own text holds the endpoint
		}
		err = fmt.Errorf("pushing to %s: %w", request.URL.Host, err)
		if errors.Is(err, outgoing.ErrRefused) || errors.Is(ctx.Err(), context.Canceled) {
			return err
		}
		return &TemporaryError{Err: err}
	}
	outgoing.Discard(answer.Body)
	status := answer.StatusCode
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusNotFound, status == http.StatusGone:
		return fmt.Errorf("pushing to %s: %w", request.URL.Host, ErrGone)
	}
	err = fmt.Errorf("pushing to %s: answered %d", request.URL.Host, status)
	if status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500 {
		return &TemporaryError{retryAfter(answer.Header.Get("Retry-After"), w.options.Now()), err}
	}
	return err
}

func (w *WebPush) request(ctx context.Context, to Subscription, m Message) (*http.Request, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	body, err := Encrypt(to, m.Payload)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.Endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: endpoint", ErrSubscription)
	}
	authorization, err := w.authorization(request.URL)
	if err != nil {
		return nil, err
	}
	h := request.Header
	h.Set("Authorization", authorization)
	h.Set("Content-Encoding", "aes128gcm")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("TTL", strconv.FormatInt(int64((m.TTL+time.Second-1)/time.Second), 10))
	h.Set("User-Agent", "Vigie")
	if m.Urgency != "" {
		h.Set("Urgency", string(m.Urgency))
	}
	if m.Topic != "" {
		h.Set("Topic", m.Topic)
	}
	return request, nil
}

// authorization is the header of RFC 8292 §3, with a token for the origin of endpoint.
func (w *WebPush) authorization(endpoint *url.URL) (string, error) {
	audience := strings.ToLower(endpoint.Scheme + "://" + endpoint.Host)
	if endpoint.Scheme == "https" {
		audience = strings.TrimSuffix(audience, ":443") // an origin does not name its default port, RFC 6454 §6.2
	}
	now := w.options.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.tokens[audience]
	if !ok || !now.Before(t.until) {
		text, err := w.sign(audience, now.Add(tokenLife))
		if err != nil {
			return "", fmt.Errorf("signing for push service %s: %w", audience, err)
		}
		if len(w.tokens) >= maxTokens { // strangers name hosts below those of the list
			clear(w.tokens)
		}
		t = token{text, now.Add(tokenLife / 2)}
		w.tokens[audience] = t
	}
	return "vapid t=" + t.text + ", k=" + w.public, nil
}

// sign makes the token of RFC 8292 §2: a JWT signed with ES256 (RFC 7518 §3.4).
func (w *WebPush) sign(audience string, expires time.Time) (string, error) {
	claims, err := json.Marshal(map[string]any{"aud": audience, "exp": expires.Unix(), "sub": w.options.Contact})
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, w.options.Key, digest[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// retryAfter reads the header of RFC 9110 §10.2.3: seconds, or a date. What is not understood is no wish.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
