package phone

import (
	"context"
	"errors"
	"time"

	"vigie/directory"
	"vigie/message"
	"vigie/outgoing"
	"vigie/secrets"
	"vigie/store"
)

// What activating a phone takes, and how long it may.
const (
	PairLife   = 10 * time.Minute // of two codes
	TicketLife = 15 * time.Minute // of the right to activate
	MaxTries   = 5                // of one device, for one number, while a pair lives
)

var (
	// ErrTicket says that a ticket is unknown, too old, used, or another phone's.
	ErrTicket = errors.New("no ticket to activate with")

	// ErrTooMany says that the professional has [MaxPhones] already.
	ErrTooMany = errors.New("there are too many phones")

	// ErrToken says that a page's token is unknown or too old.
	ErrToken = errors.New("unknown token")

	// ErrConfirm says that no allowance waits for this code, or that the same
	// person gave it.
	ErrConfirm = errors.New("nothing to confirm")
)

// Activation is what it takes to activate phones.
type Activation struct {
	Keys    *secrets.Secrets
	Post    *message.Post
	Portal  string           // base URL of the pages that letters lead to, without a slash at the end
	Zone    *time.Location   // whose nights are quiet; nil: UTC
	AnyHour bool             // codes leave at night too: for demo and tests
	IDs     directory.Parser // reads national ids
	Push    outgoing.Options // where phones may be pushed to
}

// An Ask is somebody's wish to be sent two codes, as typed.
type Ask struct {
	NationalID, Mobile, Email string
	Address                   string // of the asker
	Agent                     string
}

// Typed are two codes as somebody typed them on a phone.
type Typed struct {
	NationalID, SMS, Email string
	Device                 string // thumbprint of the key that proves the call
	Address                string
}

// A Ticket is the right to activate the one phone that it was opened for.
type Ticket struct {
	ID           string
	Professional directory.ID
	Phone        string
	Mode         string
	Expires      time.Time
}

// A Redemption is what came of typing two codes. Without a ticket they were
// wrong, and Left tries are left until Until.
type Redemption struct {
	Ticket *Ticket
	Name   string // of the professional
	Left   int
	Until  time.Time
}

func liveTicket(ctx context.Context, tx *store.Tx, id, phone string) (Ticket, error) {
	return Ticket{}, ErrTicket
}
