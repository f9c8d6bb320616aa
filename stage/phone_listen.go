package stage

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"vigie/push/loopback"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// A Heard is something that reached a phone which listens.
type Heard struct {
	Event   string `json:"event"`             // "listening", "ring", "over" (a request that rang is over), "test"
	Request string `json:"request,omitempty"` // id
	Service string `json:"service,omitempty"` // its name
	Seconds int    `json:"seconds,omitempty"` // left to answer
	Via     string `json:"via"`               // "push" or "stream"
}

const (
	silence   = 5 * time.Second // without a word from the stream, until the phone asks by itself
	askEvery  = 2 * time.Second
	reconnect = time.Second
)

// Listen tells hear of what reaches the phone until ctx ends: by the server's
// stream of events, and, when withPush is set, by Web Push to an endpoint of its
// own on this machine, for which the phone is subscribed meanwhile. A ring is
// told once for each way that it comes. hear is called from one goroutine.
func (p *Phone) Listen(ctx context.Context, withPush bool, hear func(Heard)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	heard := make(chan Heard)
	failed := make(chan error, 2)
	running := 1
	if withPush {
		end, err := p.receive(ctx, heard, failed)
		if err != nil {
			return err
		}
		defer end()
		running++
	}
	go func() { failed <- p.follow(ctx, heard) }()
	for {
		select {
		case h := <-heard:
			hear(h)
		case err := <-failed:
			if running--; err != nil || running == 0 {
				return err
			}
		}
	}
}

// say hands h over, unless nobody listens any more.
func say(ctx context.Context, heard chan<- Heard, h Heard) bool {
	select {
	case heard <- h:
		return true
	case <-ctx.Done():
		return false
	}
}

// receive subscribes to pushes and hands them over.
func (p *Phone) receive(ctx context.Context, heard chan<- Heard, failed chan<- error) (end func(), err error) {
	me, err := p.Me(ctx)
	if err != nil {
		return nil, err
	}
	service, err := loopback.Start(loopback.Options{Now: p.o.Now})
	if err != nil {
		return nil, err
	}
	inbox, err := service.Subscribe(me.VAPID)
	if err == nil {
		err = p.SetSubscription(ctx, &inbox.Subscription)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("subscribing to pushes: %w", err), service.Close())
	}
	go func() {
		say(ctx, heard, Heard{Event: "listening", Via: "push"})
		for {
			d, err := inbox.Next(ctx)
			if err != nil {
				failed <- nil
				return
			}
			if h, ok := pushed(d); !ok {
				p.o.warn("a push could not be read")
			} else if !say(ctx, heard, h) {
				failed <- nil
				return
			}
		}
	}()
	return func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), silence)
		defer cancel()
		if err := p.SetSubscription(last, nil); err != nil {
			p.o.warn("the phone is still subscribed: " + err.Error())
		}
		service.Close() // its listener and goroutines end with the process at the latest
	}, nil
}

// pushed reads what a push says.
func pushed(d loopback.Delivery) (Heard, bool) {
	var said struct {
		Request, Service string
		Seconds          int
		Over, Test       bool
	}
	if d.Err != nil || json.Unmarshal(d.Payload, &said) != nil {
		return Heard{}, false
	}
	h := Heard{Event: "ring", Request: said.Request, Service: said.Service, Seconds: said.Seconds, Via: "push"}
	switch {
	case said.Over:
		h.Event = "over"
	case said.Test:
		h.Event = "test"
	}
	return h, true
}

// follow reads the stream of events, comes back when it ends, and asks by itself
// where none comes through.
func (p *Phone) follow(ctx context.Context, heard chan<- Heard) error {
	rings := map[string]string{} // live, by request: the service's name
	words := make(chan bool, 1)  // the stream said something: true when something changed
	go p.stream(ctx, words)
	if !say(ctx, heard, Heard{Event: "listening", Via: "stream"}) {
		return nil
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		look := true
		select {
		case <-ctx.Done():
			return nil
		case look = <-words:
			timer.Reset(silence)
		case <-timer.C:
			timer.Reset(askEvery)
		}
		if !look {
			continue
		}
		me, err := p.Me(ctx)
		if _, refused := errors.AsType[*Refused](err); refused {
			return err
		}
		if err != nil {
			continue // nobody answered: the next look may find somebody
		}
		if !p.compare(ctx, heard, rings, me) {
			return nil
		}
	}
}

// compare tells what changed since the last look.
func (p *Phone) compare(ctx context.Context, heard chan<- Heard, rings map[string]string, me Me) bool {
	live := map[string]bool{}
	for _, r := range me.Requests {
		if r.Lane != "ring" {
			continue
		}
		live[r.ID] = true
		if _, known := rings[r.ID]; known {
			continue
		}
		facts, err := r.Facts()
		if err != nil {
			p.o.warn(err.Error())
			continue
		}
		rings[r.ID] = facts.Service
		if !say(ctx, heard, Heard{Event: "ring", Request: r.ID, Service: facts.Service, Seconds: int(p.Left(r).Seconds()), Via: "stream"}) {
			return false
		}
	}
	for id, service := range rings {
		if live[id] {
			continue
		}
		delete(rings, id)
		if !say(ctx, heard, Heard{Event: "over", Request: id, Service: service, Via: "stream"}) {
			return false
		}
	}
	return true
}

// stream reads /phone/events for ever, and comes back after a pause.
func (p *Phone) stream(ctx context.Context, words chan<- bool) {
	for ctx.Err() == nil {
		w, err := p.api.send(ctx, http.MethodGet, "/phone/events", rand.Text(), nil)
		if err == nil && w.StatusCode == http.StatusOK {
			for lines := bufio.NewScanner(w.Body); lines.Scan(); {
				if line := lines.Text(); line != "" {
					select {
					case words <- strings.HasPrefix(line, "data:"):
					case <-ctx.Done():
					}
				}
			}
		}
		if err == nil {
			w.Body.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(reconnect):
		}
	}
}
