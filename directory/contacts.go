package directory

import (
	"context"
	"fmt"
	"time"

	"vigie/store"
)

// A Channel is a way to reach a professional.
type Channel string

// The channels.
const (
	Mobile Channel = "mobile"
	Email  Channel = "email"
)

// ContactState is what a contact point is good for.
type ContactState string

// The states of a contact point.
const (
	Usable  ContactState = "usable"  // for everything
	Pending ContactState = "pending" // in its waiting period: told of things, but no codes for activation
	Old     ContactState = "old"     // replaced, or its owner left: still told of changes
)

// A Contact is a contact point of a professional, now or within the last year.
type Contact struct {
	Channel    Channel
	Value      string    // mobile in E.164, e-mail in small letters
	Source     string    // who gave it: "register"
	Since      time.Time // when the directory first held it
	UsableFrom time.Time // end of its waiting period
	Replaced   time.Time // when another took its place or its owner left; zero while it stands
}

// State is what c is good for at this time.
func (c Contact) State(now time.Time) ContactState {
	switch {
	case !c.Replaced.IsZero():
		return Old
	case now.Before(c.UsableFrom):
		return Pending
	}
	return Usable
}

// Contacts returns the contact points of a professional, by channel, the newest
// first: the one that stands, if any, and those replaced within [KeepOld]. Of
// who has left the register it returns the old ones.
func Contacts(ctx context.Context, tx *store.Tx, id ID) ([]Contact, error) {
	list, err := contactsOf(ctx, tx, id)
	if err != nil {
		return nil, fmt.Errorf("reading the contact points of professional …%s: %w", id.Short(), err)
	}
	return list, nil
}

func contactsOf(ctx context.Context, tx *store.Tx, id ID) ([]Contact, error) {
	rows, err := tx.Query(ctx, `
		SELECT c.channel, c.value, c.source, c.since, c.usable, CASE WHEN c.ended > 0 AND c.ended <= d.generation THEN c.replaced ELSE 0 END
		FROM directory d JOIN contacts c ON c.generation <= d.generation
		WHERE d.one = 1 AND c.professional = $1 ORDER BY c.channel, c.generation DESC, c.since DESC`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Contact
	for rows.Next() {
		var c Contact
		var since, usable, replaced int64
		if err := rows.Scan(&c.Channel, &c.Value, &c.Source, &since, &usable, &replaced); err != nil {
			return nil, err
		}
		c.Since, c.UsableFrom, c.Replaced = store.FromMillis(since), store.FromMillis(usable), store.FromMillis(replaced)
		if c.Replaced.IsZero() || tx.Now.Sub(c.Replaced) <= KeepOld {
			list = append(list, c)
		}
	}
	return list, rows.Err()
}

// UsableContacts returns the mobile number and the e-mail address to which codes
// may go now; "" where there is none, or only one in its waiting period.
func UsableContacts(ctx context.Context, tx *store.Tx, id ID) (mobile, email string, err error) {
	list, err := Contacts(ctx, tx, id)
	for _, c := range list {
		if c.State(tx.Now) != Usable {
			continue
		}
		switch c.Channel {
		case Mobile:
			mobile = c.Value
		case Email:
			email = c.Value
		}
	}
	return mobile, email, err
}
