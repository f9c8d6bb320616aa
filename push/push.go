// Package push delivers one short message to one phone.
//
// The message is encrypted for that phone alone and handed to the push service that the phone's browser chose (Web Push:
// RFC 8030, 8291, 8292). Push may be late or lost: nothing that must arrive relies on it. Nothing here holds a caller
// up: Queue.Put never waits.
package push

import (
	"context"
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"vigie/outgoing"
)

// Hosts are the push services of the browsers, for outgoing.Options.Hosts. A deployment may add its own.
var Hosts = []string{
	"fcm.googleapis.com",                // Chrome, Edge on Android, Samsung Internet, Opera, Brave
	"jmt17.google.com",                  // Chromium as Linux distributions build it
	"updates.push.services.mozilla.com", // Firefox
	"*.push.apple.com",                  // Safari, and apps on the home screen of iOS
	"*.notify.windows.com",              // Edge on Windows
}

var (
	// ErrSubscription says that a phone did not present the subscription of a browser.
	ErrSubscription = errors.New("not a push subscription")

	// ErrMessage says that a message is none that can be pushed: too long, or with fields that no header may carry.
	ErrMessage = errors.New("not a push message")

	// ErrGone says that the push service knows the subscription no more (RFC 8030 §7.3): forget it.
	ErrGone = errors.New("push subscription is gone")
)

// A TemporaryError says that the same message may arrive later: the push service is busy, or the network failed.
type TemporaryError struct {
	After time.Duration // how long the push service asks to wait (Retry-After); zero where it says nothing
	Err   error
}

func (e *TemporaryError) Error() string { return e.Err.Error() }
func (e *TemporaryError) Unwrap() error { return e.Err }

// A Subscription is where and for whom: what a browser gives a page that may push to it (PushSubscription).
type Subscription struct {
	Endpoint string // who knows it may push: it never goes into a log
	P256dh   []byte // the phone's public key for messages, an uncompressed P-256 point of 65 bytes
	Auth     []byte // a secret of 16 bytes shared with the phone
}

// ParseSubscription reads the three members of PushSubscription.toJSON(), the last two in base64url without padding.
// The endpoint must be one that allowed lets us call. The error is ErrSubscription.
func ParseSubscription(endpoint, p256dh, auth string, allowed outgoing.Options) (Subscription, error) {
	if _, err := outgoing.CheckURL(endpoint, allowed); err != nil {
		return Subscription{}, fmt.Errorf("%w: %w", ErrSubscription, err)
	}
	s := Subscription{Endpoint: endpoint}
	var err error
	if s.P256dh, err = base64.RawURLEncoding.Strict().DecodeString(p256dh); err != nil {
		return Subscription{}, fmt.Errorf("%w: p256dh is not base64url", ErrSubscription)
	}
	if _, err = ecdh.P256().NewPublicKey(s.P256dh); err != nil {
		return Subscription{}, fmt.Errorf("%w: p256dh is no point of P-256", ErrSubscription)
	}
	if s.Auth, err = base64.RawURLEncoding.Strict().DecodeString(auth); err != nil || len(s.Auth) != authSize {
		return Subscription{}, fmt.Errorf("%w: auth is not 16 bytes in base64url", ErrSubscription)
	}
	return s, nil
}

// Urgency is how much a phone that saves its battery should care (RFC 8030 §5.3). The zero value is Normal.
type Urgency string

// The urgencies of RFC 8030 §5.3.
const (
	VeryLow Urgency = "very-low"
	Low     Urgency = "low"
	Normal  Urgency = "normal"
	High    Urgency = "high"
)

// A Message is what one phone is told.
type Message struct {
	Payload []byte        // at most MaxPayload bytes
	TTL     time.Duration // its whole life: how long we try, and how long the push service keeps it, in all
	Urgency Urgency
	Topic   string // replaces an undelivered message of the same topic; at most 32 characters of base64url, or none
}

// check refuses what must not become a header or would not fit.
func (m Message) check() error {
	switch {
	case len(m.Payload) > MaxPayload:
		return fmt.Errorf("%w: %d bytes of payload", ErrMessage, len(m.Payload))
	case m.TTL < 0:
		return fmt.Errorf("%w: TTL %s", ErrMessage, m.TTL)
	case len(m.Topic) > 32:
		return fmt.Errorf("%w: topic of %d characters", ErrMessage, len(m.Topic))
	}
	for _, c := range []byte(m.Topic) {
		if !(c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z') {
			return fmt.Errorf("%w: topic %q", ErrMessage, m.Topic)
		}
	}
	switch m.Urgency {
	case "", VeryLow, Low, Normal, High:
		return nil
	}
	return fmt.Errorf("%w: urgency %q", ErrMessage, m.Urgency)
}

// A Sender brings one message to one phone, once. Its errors are ErrGone, *TemporaryError, or final.
type Sender interface {
	Send(ctx context.Context, to Subscription, m Message) error
}
