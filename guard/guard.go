// Package guard decides whether a phone may ring now, and sees attacks.
//
// There is one rule: a stranger's browser cannot ring a phone. A browser that
// the professional kept may, and even that one only a few times unanswered.
package guard

import (
	"context"
	"fmt"
	"time"

	"vigie/browser"
	"vigie/store"
)

// A proven browser rings one professional at most MaxUnanswered times without
// an approval in any Window. Silence, expiry and refusal count alike; each
// lapses Window after it rang, and an approval gives none back.
const (
	MaxUnanswered = 3
	Window        = 24 * time.Hour
)

// Verdict says whether the phone rings, and if not, why.
type Verdict string

// The verdicts.
const (
	Ring       Verdict = "ring"
	TooOften   Verdict = "too-often"   // this browser rang in vain too often: the code is typed
	Unproven   Verdict = "unproven"    // not a browser of this professional
	NobodyHome Verdict = "nobody-home" // no phone of this professional may ring
)

// Judge decides for a browser that proved its lasting key in this transaction.
func Judge(ctx context.Context, tx *store.Tx, kept browser.Kept) (Verdict, error) {
	var unanswered int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM rings WHERE professional = $1 AND browser = $2 AND at > $3 AND approved = 0`,
		string(kept.Professional), kept.Thumbprint, store.Millis(tx.Now.Add(-Window))).Scan(&unanswered)
	if err != nil {
		return "", fmt.Errorf("counting the rings of a browser: %w", err)
	}
	if unanswered >= MaxUnanswered {
		return TooOften, nil
	}
	return Ring, nil
}

// Rang notes that request rang on behalf of kept.
func Rang(ctx context.Context, tx *store.Tx, request string, kept browser.Kept) error {
	_, err := tx.Exec(ctx, `INSERT INTO rings (request, browser, professional, at, approved) VALUES ($1, $2, $3, $4, 0)`,
		request, kept.Thumbprint, string(kept.Professional), store.Millis(tx.Now))
	if err != nil {
		return fmt.Errorf("noting a ring: %w", err)
	}
	return nil
}

// Approved notes that request was approved: its ring counts no more.
func Approved(ctx context.Context, tx *store.Tx, request string) error {
	_, err := tx.Exec(ctx, `UPDATE rings SET approved = $1 WHERE request = $2`, store.Millis(tx.Now), request)
	if err != nil {
		return fmt.Errorf("noting an approved ring: %w", err)
	}
	return nil
}

// Clean removes at most limit rings that lapsed, and says how many.
func Clean(ctx context.Context, tx *store.Tx, limit int) (int64, error) {
	n, err := tx.Exec(ctx, `DELETE FROM rings WHERE request IN (SELECT request FROM rings WHERE at <= $1 ORDER BY at LIMIT $2)`,
		store.Millis(tx.Now.Add(-Window)), limit)
	if err != nil {
		return 0, fmt.Errorf("removing lapsed rings: %w", err)
	}
	return n, nil
}
