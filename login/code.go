package login

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"vigie/directory"
	"vigie/store"
)

// A code is derived from the request, the number of the renewal and the number
// of the draw under a key that is not in the database, so that the page can be
// drawn again without the code being stored.

const (
	shortDraws = 16 // six digits; from here on eight
	maxDraws   = 64
)

func (l *Logins) code(request string, index, draw int64) string {
	m := hmac.New(sha256.New, l.codeKey)
	m.Write([]byte("code\x00" + request + "\x00"))
	m.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(index)), uint64(draw)))
	n := binary.BigEndian.Uint64(m.Sum(nil)) // 2⁶⁴ is far from 10⁸: the bias is below 10⁻¹¹
	if draw < shortDraws {
		return fmt.Sprintf("%06d", n%1_000_000)
	}
	return fmt.Sprintf("%08d", n%100_000_000)
}

// hash is what is stored of a code: it can be looked up only by who knows the
// number, the code and the key.
func (l *Logins) hash(professional directory.ID, code string) string {
	m := hmac.New(sha256.New, l.codeKey)
	m.Write([]byte("hash\x00" + string(professional) + "\x00" + code))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// Code returns the code that the page of r shows now, and until when; "" when
// it has none.
func (l *Logins) Code(r Request) (code string, until time.Time) {
	if r.codeIndex < 0 {
		return "", time.Time{}
	}
	return l.code(r.ID, r.codeIndex, r.codeDraw), r.codeAt.Add(CodeLife)
}

// mint draws the next code of r: never one that equals, or is one slip away
// from, another code for the same number that is live or dead for less than
// CodeDead. After shortDraws tries the code has eight digits.
func (l *Logins) mint(ctx context.Context, tx *store.Tx, r *Request) error {
	r.codeIndex++
	r.codeAt = tx.Now
	live := store.Millis(tx.Now.Add(CodeLife + CodeGrace))
	dead := store.Millis(tx.Now.Add(CodeLife + CodeGrace + CodeDead))
	for r.codeDraw = 0; r.codeDraw < maxDraws; r.codeDraw++ {
		code := l.code(r.ID, r.codeIndex, r.codeDraw)
		free, err := l.free(ctx, tx, r.Professional, code)
		if err != nil {
			return err
		}
		if !free {
			continue
		}
		n, err := tx.Exec(ctx, `INSERT INTO codes (hash, request, live_until, dead_until) VALUES ($1, $2, $3, $4)
			ON CONFLICT (hash) DO UPDATE SET request = excluded.request, live_until = excluded.live_until, dead_until = excluded.dead_until
			WHERE codes.dead_until <= $5`, l.hash(r.Professional, code), r.ID, live, dead, store.Millis(tx.Now))
		if err != nil {
			return fmt.Errorf("minting a code: %w", err)
		}
		if n == 1 {
			return nil
		}
	}
	return ErrBusy
}

// free says whether no code for this number is near: one statement, whatever
// the number of live codes.
func (l *Logins) free(ctx context.Context, tx *store.Tx, professional directory.ID, code string) (bool, error) {
	near := slips(code)
	args := make([]any, 0, len(near)+1)
	args = append(args, store.Millis(tx.Now))
	marks := make([]string, len(near))
	for i, c := range near {
		args = append(args, l.hash(professional, c))
		marks[i] = fmt.Sprintf("$%d", i+2)
	}
	var one int
	err := tx.QueryRow(ctx, `SELECT 1 FROM codes WHERE dead_until > $1 AND hash IN (`+strings.Join(marks, ", ")+`) LIMIT 1`, args...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("comparing a code: %w", err)
	}
	return false, nil
}

// slips returns code and every code that one wrong digit, or one swap of
// neighbours, makes of it.
func slips(code string) []string {
	all := []string{code}
	for i := range code {
		for d := byte('0'); d <= '9'; d++ {
			if d != code[i] {
				all = append(all, code[:i]+string(d)+code[i+1:])
			}
		}
	}
	for i := 0; i+1 < len(code); i++ {
		if code[i] != code[i+1] {
			all = append(all, code[:i]+string(code[i+1])+string(code[i])+code[i+2:])
		}
	}
	return all
}

// RenewCode gives an open page of r its next code when the minute is over, and
// returns r with it. The replaced code stays good for CodeGrace.
func (l *Logins) RenewCode(ctx context.Context, tx *store.Tx, id, cookieSecret string) (Request, error) {
	r, err := l.Find(ctx, tx, id)
	if err != nil {
		return Request{}, err
	}
	if !r.OfBrowser(cookieSecret) {
		return Request{}, ErrNotYours
	}
	if !r.CodeIsStale(tx.Now) {
		return r, nil
	}
	now := store.Millis(tx.Now)
	_, err = tx.Exec(ctx, `UPDATE codes SET live_until = CASE WHEN live_until < $1 THEN live_until ELSE $1 END, dead_until = $2 WHERE request = $3 AND live_until > $4`,
		store.Millis(tx.Now.Add(CodeGrace)), store.Millis(tx.Now.Add(CodeGrace+CodeDead)), r.ID, now)
	if err != nil {
		return Request{}, fmt.Errorf("ending a code: %w", err)
	}
	if err := l.mint(ctx, tx, &r); err != nil {
		return Request{}, err
	}
	_, err = tx.Exec(ctx, `UPDATE requests SET code_index = $1, code_draw = $2, code_at = $3, changed = $3 WHERE id = $4`,
		r.codeIndex, r.codeDraw, now, r.ID)
	if err != nil {
		return Request{}, fmt.Errorf("renewing the code of request %s: %w", r.ID, err)
	}
	l.changed(tx, r)
	return r, nil
}

// CodeIsStale says that the page of r should show another code by now.
func (r Request) CodeIsStale(now time.Time) bool {
	return r.codeIndex >= 0 && r.Status(now) == Pending && (r.ClaimedBy == "" || r.NeedsCode()) && !now.Before(r.codeAt.Add(CodeLife))
}

// ParseCode reads a code as people type it: six or eight digits, in groups.
func ParseCode(s string) (string, bool) {
	var b strings.Builder
	if len(s) > 32 {
		return "", false
	}
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			b.WriteRune(c)
		case c == ' ', c == '\u00a0', c == '\u202f', c == '-', c == '.', c == '\t':
		default:
			return "", false
		}
	}
	code := b.String()
	return code, len(code) == 6 || len(code) == 8
}
