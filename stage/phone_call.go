package stage

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"vigie/phone"
)

// Refused is a call that the server answered with no.
type Refused struct {
	Status int    `json:"-"`
	Code   string `json:"error"`

	Until       int64  `json:"until,omitempty"` // Unix milliseconds
	PausedUntil int64  `json:"paused_until,omitempty"`
	Misses      int    `json:"misses,omitempty"`
	Left        int    `json:"left,omitempty"`
	Last4       string `json:"last4,omitempty"`
	State       string `json:"state,omitempty"`
}

func (r *Refused) Error() string { return fmt.Sprintf("refused: %s (%d)", r.Code, r.Status) }

// RefusedAs tells whether err is a refusal with this code.
func RefusedAs(err error, code string) bool {
	r, ok := errors.AsType[*Refused](err)
	return ok && r.Code == code
}

// caller calls the phone API. It may be used from many goroutines.
type caller struct {
	base string
	key  *ecdsa.PrivateKey
	now  func() time.Time
	http *http.Client

	mu    sync.Mutex
	nonce string
}

const (
	callTimeout = 10 * time.Second // of one try
	patience    = 20 * time.Second // for which a call is sent again, as in the app
	firstPause  = 200 * time.Millisecond
	lastPause   = 3 * time.Second
	maxAnswer   = 1 << 20
)

func newCaller(o PhoneOptions, key *ecdsa.PrivateKey) *caller {
	c := &caller{key: key, now: o.Now, http: o.HTTP}
	if c.http == nil {
		c.http = &http.Client{}
	}
	return c
}

// get fetches a public JSON document.
func (c *caller) get(ctx context.Context, url string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	w, err := c.http.Do(r)
	if err != nil {
		return err
	}
	return read(w, v)
}

// call makes one call and reads its answer into v, if not nil. While nobody
// answers, or the server is in trouble, it is sent again under the same jti, and
// so is done once.
func (c *caller) call(ctx context.Context, method, path string, body, v any) error {
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	jti := rand.Text()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := c.try(patient, method, path, jti, b, v)
		r, answered := errors.AsType[*Refused](err)
		if err == nil || answered && r.Status < http.StatusInternalServerError {
			return err
		}
		select {
		case <-patient.Done():
			return err
		case <-time.After(pause):
		}
	}
}

func (c *caller) try(ctx context.Context, method, path, jti string, body []byte, v any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	w, err := c.send(ctx, method, path, jti, body)
	if err != nil {
		return err
	}
	return read(w, v)
}

// send makes the call under a fresh nonce, if need be after fetching one.
func (c *caller) send(ctx context.Context, method, path, jti string, body []byte) (*http.Response, error) {
	for again := false; ; again = true {
		c.mu.Lock()
		nonce := c.nonce
		c.mu.Unlock()
		url := c.base + path
		proof, err := phone.Prove(c.key, method, url, body, nonce, jti, c.now())
		if err != nil {
			return nil, err
		}
		r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header.Set("DPoP", proof)
		if body != nil {
			r.Header.Set("Content-Type", "application/json")
		}
		w, err := c.http.Do(r)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		if fresh := w.Header.Get("DPoP-Nonce"); fresh != "" {
			c.mu.Lock()
			c.nonce = fresh
			c.mu.Unlock()
		}
		if w.StatusCode != http.StatusUnauthorized || again {
			return w, nil
		}
		if err := read(w, nil); !RefusedAs(err, "use_dpop_nonce") {
			return nil, err
		}
	}
}

// read takes an answer and closes it.
func read(w *http.Response, v any) error {
	defer w.Body.Close()
	b, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	if w.StatusCode >= 300 {
		r := &Refused{Status: w.StatusCode}
		if err := json.Unmarshal(b, r); err != nil || r.Code == "" {
			r.Code = http.StatusText(w.StatusCode)
		}
		return r
	}
	if v == nil || len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	return nil
}
