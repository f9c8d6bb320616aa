package login

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"vigie/directory"
	"vigie/phone"
	"vigie/secrets"
	"vigie/store"
	"vigie/store/storetest"
)

var generated = sync.OnceValues(secrets.Generate)

// Whoever has thousands of browsers ask for one number takes its short codes,
// and only those: the professional's own code then has eight digits.
func TestANumberWhoseShortCodesAreTakenGetsLongOnes(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		keys, err := generated()
		if err != nil {
			t.Fatal(err)
		}
		ctx, l := t.Context(), New(db, keys, Options{Issuer: "https://portal.example"})
		victim, other := directory.ID("899700000017"), directory.ID("899700000021")
		write := func(f func(tx *store.Tx) error) {
			t.Helper()
			if err := db.Write(ctx, f); err != nil {
				t.Fatal(err)
			}
		}
		write(func(tx *store.Tx) error { return l.takeAllShort(ctx, tx, victim) })
		for _, number := range []directory.ID{victim, other} {
			digits := 8
			if number == other {
				digits = 6
			}
			var r Request
			write(func(tx *store.Tx) (err error) {
				r, err = l.Ask(ctx, tx, Ask{Authorization: "authorization of " + string(number), Service: "s", ServiceName: "S", Professional: number, Cookie: "cookie"})
				return err
			})
			code, _ := l.Code(r)
			if len(code) != digits {
				t.Errorf("the code %q has not %d digits", code, digits)
			}
			write(func(tx *store.Tx) error {
				claimed, v, err := l.Claim(ctx, tx, phone.Phone{ID: "phone of " + string(number), Professional: number}, code)
				if v.Result != Claimed || claimed.ID != r.ID {
					t.Errorf("typing %s: %s, %v", code, v.Result, err)
				}
				return err
			})
		}
		clock.Add(CodeLife + CodeGrace + CodeDead)
		var gone int64
		for n := int64(50_000); n == 50_000; gone += n {
			write(func(tx *store.Tx) (err error) {
				n, err = l.Clean(ctx, tx, 50_000)
				return err
			})
		}
		if gone != 100_002 {
			t.Errorf("%d dead codes were removed", gone)
		}
	})
}

// takeAllShort stores live codes of six digits for this number so that every
// other one is a slip away from one of them: those whose digits add up to a
// multiple of ten.
func (l *Logins) takeAllShort(ctx context.Context, tx *store.Tx, number directory.ID) error {
	live, dead := store.Millis(tx.Now.Add(CodeLife+CodeGrace)), store.Millis(tx.Now.Add(CodeLife+CodeGrace+CodeDead))
	var values []string
	var args []any
	for n := range 1_000_000 {
		code, sum := fmt.Sprintf("%06d", n), 0
		for _, d := range code {
			sum += int(d - '0')
		}
		if sum%10 != 0 {
			continue
		}
		values = append(values, fmt.Sprintf("($%d, 'a stranger''s', %d, %d)", len(args)+1, live, dead))
		args = append(args, l.hash(number, code))
		if len(args) == 10_000 {
			if _, err := tx.Exec(ctx, `INSERT INTO codes (hash, request, live_until, dead_until) VALUES `+strings.Join(values, ", "), args...); err != nil {
				return err
			}
			values, args = nil, nil
		}
	}
	return nil
}
