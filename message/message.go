// Package message writes letters to people: e-mail and SMS, stored as rows in the deed's transaction, delivered by a job.
//
// A letter whose transaction was committed is sent at least once while it lives, whatever crashes in between: a node that
// dies after sending and before noting it leaves a letter that another node sends again after a while. Both carry the
// same id (Message-ID in e-mail), so that a gateway may tell. What a letter says is sealed under a key that is not in the
// database, and erased as soon as it is sent or over: a copy of the database shows no live code.
package message

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"vigie/store"
)

// ErrRefused says that a letter can never be delivered: trying again is of no use. Senders wrap it.
var ErrRefused = errors.New("letter refused")

// A Channel is a way to reach a person.
type Channel string

// The channels.
const (
	SMS   Channel = "sms"
	Email Channel = "email"
)

// DefaultLife is how long a letter without an end is tried.
const DefaultLife = 72 * time.Hour

// A Letter is one message to one person.
type Letter struct {
	Channel      Channel
	To           string // a telephone number in E.164, or an e-mail address
	Professional string // whom it is about: the national id
	Kind         string // a dotted word for the record: "activation.codes"
	Subject      string // of an e-mail; ignored for SMS
	Text         string // plain text, lines ended by \n
	Code         string // the code that Text carries, if any, for the demo's mailbox alone
	NotBefore    time.Time
	Expires      time.Time // when it is no longer worth sending; zero: DefaultLife from now

	ID string    // set by Queue
	At time.Time // set by Queue: when it was written
}

// LogValue keeps recipient and text out of logs.
func (l Letter) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", l.ID), slog.String("channel", string(l.Channel)), slog.String("kind", l.Kind))
}

// check refuses what no sender could send.
func (l Letter) check() error {
	switch {
	case l.Channel != SMS && l.Channel != Email:
		return fmt.Errorf("channel %q", l.Channel)
	case l.To == "" || strings.ContainsAny(l.To, "\r\n"):
		return errors.New("recipient")
	case l.Kind == "" || l.Text == "":
		return errors.New("kind and text are needed")
	case l.Channel == Email && l.Subject == "" || strings.ContainsAny(l.Subject, "\r\n"):
		return errors.New("subject")
	case !l.NotBefore.Before(l.Expires):
		return errors.New("it would be over before it may leave")
	}
	return nil
}

// A Post takes letters and delivers them.
type Post struct {
	seal cipher.AEAD
	wake chan struct{}
}

// New makes a post that seals letters under key, 32 bytes, the same on every node and not in the database.
func New(key []byte) (*Post, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("sealing letters needs a key of 32 bytes, not %d", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealing letters: %w", err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("sealing letters: %w", err)
	}
	return &Post{gcm, make(chan struct{}, 1)}, nil
}

// Queue writes l in the transaction of the deed that it tells of. It leaves after the commit, on whichever node runs.
func (p *Post) Queue(ctx context.Context, tx *store.Tx, l Letter) error {
	l.ID, l.At = rand.Text(), tx.Now
	if l.Expires.IsZero() {
		l.Expires = tx.Now.Add(DefaultLife)
	}
	if l.NotBefore.Before(tx.Now) {
		l.NotBefore = tx.Now
	}
	if err := l.check(); err != nil {
		return fmt.Errorf("writing a letter %q: %w", l.Kind, err)
	}
	// A sealed letter is compared with its row in milliseconds when it is opened.
	l.Expires = store.FromMillis(store.Millis(l.Expires))
	sealed, err := p.close(l)
	if err != nil {
		return fmt.Errorf("sealing letter %s: %w", l.ID, err)
	}
	_, err = tx.Exec(ctx, `INSERT INTO messages
		(id, channel, recipient, professional, kind, sealed, created, expires, due, tries, sent, given_up, failure)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, 0, '')`,
		l.ID, string(l.Channel), l.To, l.Professional, l.Kind, sealed,
		store.Millis(l.At), store.Millis(l.Expires), store.Millis(l.NotBefore))
	if err != nil {
		return fmt.Errorf("writing letter %s: %w", l.ID, err)
	}
	tx.OnCommit(p.nudge)
	return nil
}

// nudge has this node's job look for letters now rather than at its next tick.
func (p *Post) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// content is what of a letter is sealed.
type content struct {
	Subject, Text, Code string
}

func (p *Post) close(l Letter) ([]byte, error) {
	plain, err := json.Marshal(content{l.Subject, l.Text, l.Code})
	if err != nil {
		return nil, err
	}
	return p.seal.Seal(nil, nil, plain, l.label()), nil
}

func (p *Post) open(l *Letter, sealed []byte) error {
	plain, err := p.seal.Open(nil, nil, sealed, l.label())
	if err != nil {
		return fmt.Errorf("%w: it was sealed under another key, or changed", ErrRefused)
	}
	var c content
	if err := json.Unmarshal(plain, &c); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	l.Subject, l.Text, l.Code = c.Subject, c.Text, c.Code
	return nil
}

// label binds what is sealed to its row: whoever can write to the database cannot have a code sent to somebody else.
func (l Letter) label() []byte {
	return []byte(strings.Join([]string{
		l.ID, string(l.Channel), l.To, l.Professional, l.Kind, strconv.FormatInt(store.Millis(l.Expires), 10),
	}, "\x00"))
}
