package login

import (
	"context"
	"errors"

	"vigie/phone"
	"vigie/store"
)

// Undo takes back the approval of a request that no browser has taken yet: it
// counts as refused from then on. It says whether there was one; a request that
// is over, or another professional's, is left alone.
func (l *Logins) Undo(ctx context.Context, tx *store.Tx, p phone.Phone, id string) (bool, error) {
	r, err := l.Find(ctx, tx, id)
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	if err != nil || r.Professional != p.Professional || r.Status(tx.Now) != Approved {
		return false, err
	}
	_, err = l.move(ctx, tx, r, Approved, Refused, r.Expires, "")
	return err == nil, err
}
