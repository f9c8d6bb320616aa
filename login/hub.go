package login

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"vigie/store"
)

const (
	tick    = 400 * time.Millisecond
	overlap = 3 * time.Second // transactions commit in another order than their clocks
	// keepAnswered is how long a request stays after its end: pages and phones
	// that come late are told what happened.
	keepAnswered = 15 * time.Minute
)

// Hub wakes the pages and phones that wait on this node. Deeds of this node
// wake at once; deeds of others at the next tick, by one statement for all who
// wait, however many they are.
type Hub struct {
	db   *store.DB
	mu   sync.Mutex
	wait map[string]map[chan struct{}]struct{}
	seen map[string]int64 // request → changed, of the last overlap
}

func newHub(db *store.DB) *Hub {
	return &Hub{db: db, wait: map[string]map[chan struct{}]struct{}{}, seen: map[string]int64{}}
}

// Hub returns the hub of this node.
func (l *Logins) Hub() *Hub { return l.hub }

// Wait returns a channel that gets a value after something about key changed:
// a request's id, or a professional's national id. It may get one too many.
// Stop must be called.
func (h *Hub) Wait(key string) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wait[key] == nil {
		h.wait[key] = map[chan struct{}]struct{}{}
	}
	h.wait[key][c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.wait[key], c)
		if len(h.wait[key]) == 0 {
			delete(h.wait, key)
		}
	}
}

// Tell wakes who waits for key: for changes that are no request's.
func (h *Hub) Tell(key string) { h.tell(key) }

func (h *Hub) tell(keys ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range keys {
		for c := range h.wait[k] {
			select {
			case c <- struct{}{}:
			default: // it has not seen the last one yet
			}
		}
	}
}

// Run looks for changes until ctx ends. fail is told of statements that failed;
// the next tick tries again.
func (h *Hub) Run(ctx context.Context, fail func(error)) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := h.look(ctx); err != nil && ctx.Err() == nil {
			fail(err)
		}
	}
}

func (h *Hub) look(ctx context.Context) error {
	h.mu.Lock()
	idle := len(h.wait) == 0
	h.mu.Unlock()
	if idle {
		return nil
	}
	type change struct {
		id, professional string
		at               int64
	}
	var changes []change
	var since int64
	err := h.db.Read(ctx, func(tx *store.Tx) error {
		changes, since = nil, store.Millis(tx.Now.Add(-overlap))
		rows, err := tx.Query(ctx, `SELECT id, CASE WHEN lane = 'ring' OR claimed_by <> '' THEN professional ELSE '' END, changed
			FROM requests WHERE changed > $1`, since)
		if err != nil {
			return err
		}
		defer func(rows *sql.Rows) { _ = rows.Close() }(rows)
		for rows.Next() {
			var c change
			if err := rows.Scan(&c.id, &c.professional, &c.at); err != nil {
				return err
			}
			changes = append(changes, c)
		}
		return rows.Err()
	})
	if err != nil {
		return fmt.Errorf("looking for changed requests: %w", err)
	}
	for id, at := range h.seen {
		if at <= since {
			delete(h.seen, id)
		}
	}
	for _, c := range changes {
		if h.seen[c.id] != c.at {
			h.seen[c.id] = c.at
			h.tell(c.id, c.professional)
		}
	}
	return nil
}
