// Package stage plays the people around Vigie: a browser, a phone, a service. They
// act through the doors that people use, in stories, demonstrations, benchmarks and
// proofs.
package stage

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"vigie/message"
	"vigie/push/loopback"
)

// World is a Vigie that runs, with its surroundings: where stories are played
// and benchmarks run.
type World struct {
	Portal   string // its address
	Services []*Service
	People   []Person

	Now     func() time.Time
	HTTP    *http.Client      // of phones and services
	Browser http.RoundTripper // of browsers

	Letters func(context.Context) ([]message.Received, error) // that have arrived by now, newest last
	Inbox   func(vapid string) (*loopback.Inbox, error)       // of a new phone, at a push service of its own

	// For stories.
	Allow  func(context.Context, Person) error             // the support line lets them activate one more phone
	Pass   func(time.Duration)                             // lets time pass
	Pushed func(context.Context) error                     // waits until what was pushed has arrived
	Import func(ctx context.Context, without string) error // reads in the register, without that person
}

// Person is one of the demonstration's professionals.
type Person struct{ NationalID, Name, Mobile, Email string }

const (
	letterPatience = 20 * time.Second
	letterPause    = 20 * time.Millisecond
)

// Activate activates a phone for who by the two codes, and subscribes it to
// pushes.
func (w World) Activate(ctx context.Context, who Person, pin string) (*Phone, *loopback.Inbox, error) {
	o := PhoneOptions{Server: w.Portal, Now: w.Now, HTTP: w.HTTP}
	before, err := w.Letters(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := AskCodes(ctx, o, who.NationalID, who.Mobile, who.Email); err != nil {
		return nil, nil, err
	}
	codes, err := w.codes(ctx, who, len(before))
	if err != nil {
		return nil, nil, err
	}
	p, err := Activate(ctx, o, NewPhone{NationalID: who.NationalID, SMS: codes[message.SMS], Email: codes[message.Email], PIN: pin, Name: "Pixel 8"})
	if err != nil {
		return nil, nil, err
	}
	me, err := p.Me(ctx)
	if err != nil {
		return nil, nil, err
	}
	inbox, err := w.Inbox(me.VAPID)
	if err != nil {
		return nil, nil, err
	}
	return p, inbox, p.SetSubscription(ctx, &inbox.Subscription)
}

// codes waits for the two codes of who, among the letters after the first n.
func (w World) codes(ctx context.Context, who Person, n int) (map[message.Channel]string, error) {
	codes := map[message.Channel]string{}
	for waited := time.Duration(0); waited < letterPatience; waited += letterPause {
		letters, err := w.Letters(ctx)
		if err != nil {
			return nil, err
		}
		for _, l := range letters[min(n, len(letters)):] {
			if l.Code != "" && l.NationalID == who.NationalID {
				codes[l.Channel] = l.Code
			}
		}
		if len(codes) == 2 {
			return codes, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(letterPause):
		}
	}
	return nil, fmt.Errorf("%d codes came, not two", len(codes))
}

// Enrol activates a phone for who, and has a browser kept as theirs by a first
// sign-in to the first service.
func (w World) Enrol(ctx context.Context, who Person, pin string) (*Browser, *Phone, *loopback.Inbox, error) {
	p, inbox, err := w.Activate(ctx, who, pin)
	if err != nil {
		return nil, nil, nil, err
	}
	b, err := NewBrowser(w.Browser)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := b.Visit(ctx, w.Services[0].URL+"/login"); err != nil {
		return nil, nil, nil, err
	}
	if err := b.Type(ctx, who.NationalID); err != nil {
		return nil, nil, nil, err
	}
	r, err := p.Claim(ctx, b.Code())
	if err != nil {
		return nil, nil, nil, err
	}
	if _, err := p.Approve(ctx, r, pin, "mine"); err != nil {
		return nil, nil, nil, err
	}
	return b, p, inbox, b.Look(ctx)
}
