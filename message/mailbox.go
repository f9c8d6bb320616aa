package message

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Mailbox is a sender that keeps letters in memory and shows them: the demo's telephone network and mail server.
// The zero value is empty and ready. It shows live codes to whoever asks: it is for fictitious people only.
type Mailbox struct {
	mu      sync.Mutex
	letters []Received
}

// Received is a letter as a mailbox shows it.
type Received struct {
	ID         string    `json:"-"`
	Channel    Channel   `json:"channel"`
	To         string    `json:"to"`
	NationalID string    `json:"national_id"`
	Subject    string    `json:"subject"`
	Text       string    `json:"text"`
	Code       string    `json:"code"`
	At         time.Time `json:"at"` // when it was written, RFC 3339
}

// most is how many letters a mailbox keeps; the oldest go first.
const most = 1000

// Send keeps l. A letter that is sent again is kept once.
func (m *Mailbox) Send(_ context.Context, l Letter) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if slices.ContainsFunc(m.letters, func(r Received) bool { return r.ID == l.ID }) {
		return nil
	}
	if len(m.letters) >= most {
		m.letters = slices.Delete(m.letters, 0, len(m.letters)-most+1)
	}
	m.letters = append(m.letters, Received{l.ID, l.Channel, l.To, l.Professional, l.Subject, l.Text, l.Code, l.At})
	return nil
}

// List is what the mailbox holds, newest last.
func (m *Mailbox) List() []Received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Received{}, m.letters...) // never nil: it becomes a JSON list
}

// ServeHTTP answers with the list as JSON, newest last.
func (m *Mailbox) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(m.List()) // an error means that the reader went away
}
