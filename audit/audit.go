// Package audit keeps what happened, to whom and from where: written in the
// same transaction as the deed, never changed.
//
// The fact and the person stand in two tables, so that personal fields can be
// erased when the law says so while the fact stays.
package audit

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"vigie/store"
)

// Kinds of events. They are stable: tools of operators search for them.
const (
	RequestRang      = "request.rang"
	RequestSilenced  = "request.silenced" // a proven browser asked and the phone did not ring
	RequestClaimed   = "request.claimed"
	RequestApproved  = "request.approved"
	RequestRefused   = "request.refused"
	RequestReported  = "request.reported"
	RequestLeft      = "request.left"
	RequestRedeemed  = "request.redeemed"
	RequestUndone    = "request.undone"
	RequestCancelled = "request.cancelled" // after it was approved: at the browser it was somebody else
	BrowserKept      = "browser.kept"
	BrowserDropped   = "browser.dropped"
	SessionOpened    = "session.opened"
	SessionJoined    = "session.joined"
	SessionEnded     = "session.ended"
	GrantEnded       = "grant.ended"
	PhoneActivated   = "phone.activated"
	PhoneDisabled    = "phone.disabled"
	DirectorySwitch  = "directory.switched"
	HoldersLeft      = "directory.holders-left" // an alarm: people with a phone are missing
	ServiceAdded     = "service.added"
	ServiceDisabled  = "service.disabled"
	OperatorLookedUp = "operator.looked-up"
)

// Event is one thing that happened. Only Kind and Actor are required.
type Event struct {
	Kind  string
	Actor string // "professional", "system", "service:ID" or "operator:NAME"

	Professional string // national id
	Phone        string
	Request      string
	Session      string
	Service      string
	Browser      string // thumbprint of a lasting key
	Address      string // of the browser or the phone that asked
	Agent        string

	Detail   map[string]string // further facts; never a secret
	Evidence []byte            // the signed document, whole
}

// Entry is an event as it stands in the log.
type Entry struct {
	ID string
	At time.Time
	Event
}

// Record writes e at tx.Now. It is part of the deed: when it fails, the deed
// must fail.
func Record(ctx context.Context, tx *store.Tx, e Event) error {
	if e.Kind == "" || e.Actor == "" {
		return fmt.Errorf("audit event %q by %q: kind and actor are required", e.Kind, e.Actor)
	}
	detail := ""
	if len(e.Detail) > 0 {
		b, err := json.Marshal(e.Detail)
		if err != nil {
			return fmt.Errorf("encoding the detail of %s: %w", e.Kind, err)
		}
		detail = string(b)
	}
	evidence := e.Evidence
	if evidence == nil {
		evidence = []byte{}
	}
	id, at := rand.Text(), store.Millis(tx.Now)
	_, err := tx.Exec(ctx, `INSERT INTO audit (id, at, kind, actor, phone, request, session, service, browser, detail, evidence)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		id, at, e.Kind, e.Actor, e.Phone, e.Request, e.Session, e.Service, e.Browser, detail, evidence)
	if err != nil {
		return fmt.Errorf("recording %s: %w", e.Kind, err)
	}
	if e.Professional == "" && e.Address == "" && e.Agent == "" {
		return nil
	}
	_, err = tx.Exec(ctx, `INSERT INTO audit_person (id, at, professional, address, agent) VALUES ($1, $2, $3, $4, $5)`,
		id, at, e.Professional, e.Address, e.Agent)
	if err != nil {
		return fmt.Errorf("recording the person of %s: %w", e.Kind, err)
	}
	return nil
}

// Of returns the newest entries about one professional, newest first, at most
// limit of them.
func Of(ctx context.Context, tx *store.Tx, professional string, limit int) ([]Entry, error) {
	rows, err := tx.Query(ctx, `SELECT `+entryColumns+`
		FROM audit_person p JOIN audit a ON a.id = p.id
		WHERE p.professional = $1 ORDER BY p.at DESC, p.id LIMIT $2`, professional, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	return scanEntries(rows)
}

// OfRequest returns what happened to one request of a professional, oldest
// first: nothing when it was another's.
func OfRequest(ctx context.Context, tx *store.Tx, professional, request string) ([]Entry, error) {
	rows, err := tx.Query(ctx, `SELECT `+entryColumns+`
		FROM audit a JOIN audit_person p ON p.id = a.id
		WHERE a.request = $1 AND p.professional = $2 ORDER BY a.at, a.id`, request, professional)
	if err != nil {
		return nil, fmt.Errorf("reading the log of request %s: %w", request, err)
	}
	return scanEntries(rows)
}

const entryColumns = `a.id, a.at, a.kind, a.actor, a.phone, a.request, a.session, a.service, a.browser, a.detail, a.evidence,
	p.professional, p.address, p.agent`

// scanEntries reads entryColumns, and closes rows.
func scanEntries(rows *sql.Rows) ([]Entry, error) {
	defer rows.Close()
	var entries []Entry
	for rows.Next() {
		var e Entry
		var at int64
		var detail string
		if err := rows.Scan(&e.ID, &at, &e.Kind, &e.Actor, &e.Phone, &e.Request, &e.Session, &e.Service, &e.Browser, &detail, &e.Evidence,
			&e.Professional, &e.Address, &e.Agent); err != nil {
			return nil, fmt.Errorf("reading the log: %w", err)
		}
		e.At = store.FromMillis(at)
		if detail != "" {
			if err := json.Unmarshal([]byte(detail), &e.Detail); err != nil {
				return nil, fmt.Errorf("reading entry %s: %w", e.ID, err)
			}
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}
