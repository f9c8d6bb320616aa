// Package loopback is a push service on this machine (RFC 8030 §5): it takes what package push sends, checks it as the
// browsers' services do, and decrypts it as a browser would. Phones that are not browsers receive with it: the terminal
// phone, and the actors of package stage.
package loopback

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"vigie/push"
)

// Options of a push service.
type Options struct {
	Address string // where to listen; empty: a free port of 127.0.0.1
	Now     func() time.Time
}

// A Service is a push service that listens.
type Service struct {
	URL string // "http://127.0.0.1:PORT"

	now    func() time.Time
	server http.Server

	mu      sync.Mutex
	inboxes map[string]*Inbox // by path
	faults  []Fault
}

// A Fault is an answer that the service gives instead of taking a message.
type Fault struct {
	Status     int
	RetryAfter string // header, if any
}

// A Delivery is one message as it reached the phone.
type Delivery struct {
	push.Message       // Payload decrypted
	Err          error // why it could not be decrypted
}

// An Inbox is one subscription and what arrives for it.
type Inbox struct {
	Subscription push.Subscription
	Deliveries   <-chan Delivery // 64 wait; the service asks senders of more to come back later

	service    *Service
	path       string
	receiver   push.Receiver
	sender     string // the only VAPID key that may send
	deliveries chan Delivery
	gone       bool
}

// Start listens. End it with Close.
func Start(o Options) (*Service, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("starting a push service: %w", err)
	}
	s := &Service{URL: "http://" + listener.Addr().String(), now: o.Now, inboxes: map[string]*Inbox{}}
	s.server = http.Server{Handler: s, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	go s.server.Serve(listener) // ends when Close closes the listener
	return s, nil
}

// Close ends the service at once.
func (s *Service) Close() error { return s.server.Close() }

// Subscribe makes a subscription with new keys for the sender with this public key (applicationServerKey, base64url).
func (s *Service) Subscribe(sender string) (*Inbox, error) {
	receiver, err := push.NewReceiver()
	if err != nil {
		return nil, err
	}
	deliveries := make(chan Delivery, 64)
	path := "/push/" + rand.Text()
	i := &Inbox{
		Subscription: receiver.Subscription(s.URL + path), Deliveries: deliveries,
		service: s, path: path, receiver: receiver, sender: sender, deliveries: deliveries,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inboxes[path] = i
	return i, nil
}

// Unsubscribe makes the service answer 410 from now on.
func (i *Inbox) Unsubscribe() {
	i.service.mu.Lock()
	defer i.service.mu.Unlock()
	i.gone = true
}

// Fail answers the next messages with faults, one each, in order.
func (s *Service) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// ServeHTTP takes a message.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	inbox, known := s.inboxes[r.URL.Path]
	gone := known && inbox.gone
	var fault Fault
	if len(s.faults) > 0 {
		fault, s.faults = s.faults[0], s.faults[1:]
	}
	s.mu.Unlock()
	switch {
	case fault.Status != 0:
		if fault.RetryAfter != "" {
			w.Header().Set("Retry-After", fault.RetryAfter)
		}
		w.WriteHeader(fault.Status)
	case !known:
		http.Error(w, "no such subscription", http.StatusNotFound)
	case gone:
		http.Error(w, "subscription gone", http.StatusGone)
	case r.Method != http.MethodPost:
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
	default:
		status, words := inbox.take(r)
		if status == http.StatusCreated {
			w.Header().Set("Location", s.URL+"/message/"+rand.Text()) // RFC 8030 §5
		}
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		w.WriteHeader(status)
		io.WriteString(w, words)
	}
}

func (i *Inbox) take(r *http.Request) (status int, words string) {
	if err := checkVAPID(r.Header.Get("Authorization"), i.service.URL, i.sender, i.service.now()); err != nil {
		return http.StatusForbidden, err.Error()
	}
	ttl, err := strconv.ParseUint(r.Header.Get("TTL"), 10, 31)
	if err != nil {
		return http.StatusBadRequest, "TTL is required" // RFC 8030 §5.2
	}
	if r.Header.Get("Content-Encoding") != "aes128gcm" {
		return http.StatusUnsupportedMediaType, "aes128gcm only"
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 4097))
	if err != nil || len(body) > 4096 {
		return http.StatusRequestEntityTooLarge, "at most 4096 bytes" // RFC 8030 §7.2
	}
	d := Delivery{Message: push.Message{
		TTL: time.Duration(ttl) * time.Second, Urgency: push.Urgency(r.Header.Get("Urgency")), Topic: r.Header.Get("Topic"),
	}}
	d.Payload, d.Err = i.receiver.Decrypt(body)
	select {
	case i.deliveries <- d:
		return http.StatusCreated, ""
	default:
		return http.StatusTooManyRequests, "too many messages wait"
	}
}

// checkVAPID checks who sends, as RFC 8292 §4 asks of a push service with restricted subscriptions.
func checkVAPID(header, origin, sender string, now time.Time) error {
	fields, ok := strings.CutPrefix(header, "vapid ")
	if !ok {
		return errors.New("no vapid authorization")
	}
	var token, key string
	for field := range strings.SplitSeq(fields, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "t":
			token = value
		case "k":
			key = value
		}
	}
	if key != sender {
		return errors.New("another sender's subscription")
	}
	point, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		return fmt.Errorf("vapid key: %w", err)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return fmt.Errorf("vapid key: %w", err)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("vapid token is no JWT")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		return errors.New("vapid signature is not 64 bytes")
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return errors.New("vapid signature is wrong")
	}
	var claims struct {
		Aud, Sub string
		Exp      int64
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return errors.New("vapid claims cannot be read")
	}
	left := time.Unix(claims.Exp, 0).Sub(now)
	switch {
	case claims.Aud != origin:
		return fmt.Errorf("vapid token for %q", claims.Aud)
	case left <= 0 || left > 24*time.Hour:
		return fmt.Errorf("vapid token ends in %s", left)
	case claims.Sub == "":
		return errors.New("vapid token names no contact")
	}
	return nil
}

// Next waits for one message.
func (i *Inbox) Next(ctx context.Context) (Delivery, error) {
	select {
	case d := <-i.deliveries:
		return d, nil
	case <-ctx.Done():
		return Delivery{}, ctx.Err()
	}
}
