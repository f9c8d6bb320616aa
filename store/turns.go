package store

import (
	"context"
	"slices"
	"sync"
)

// turns is a lock that is given in the order of asking and knows whether
// anybody waits for it: who holds it can leave work to the next in line and be
// sure that there is one.
type turns struct {
	mu      sync.Mutex
	taken   bool
	closed  bool
	waiting []chan error // each receives one value: nil with the turn, else why not
}

// take waits for the turn. Without an error the caller holds it, even when ctx
// has ended by then.
func (t *turns) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return errClosed
	}
	if !t.taken {
		t.taken = true
		t.mu.Unlock()
		return nil
	}
	turn := make(chan error, 1)
	t.waiting = append(t.waiting, turn)
	t.mu.Unlock()

	select {
	case err := <-turn:
		return err
	case <-ctx.Done():
	}
	t.mu.Lock()
	i := slices.Index(t.waiting, turn)
	if i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
	t.mu.Unlock()
	if i < 0 { // the turn came at the same moment: whoever gave it counts on us
		return <-turn
	}
	return ctx.Err()
}

// pass gives the turn to the next in line. When nobody waits the caller keeps
// it, and pass returns false.
func (t *turns) pass() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.giveOn()
}

// leave gives the turn to the next in line or, when nobody waits, to whoever
// comes.
func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken = t.giveOn()
}

func (t *turns) giveOn() bool {
	if len(t.waiting) == 0 {
		return false
	}
	t.waiting[0] <- nil
	t.waiting = slices.Delete(t.waiting, 0, 1)
	return true
}

// dismiss sends everybody home who waits now.
func (t *turns) dismiss(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, turn := range t.waiting {
		turn <- err
	}
	t.waiting = nil
}

// close takes the turn for ever: who waits now is served first, who comes later
// is refused. It returns false when the turns were closed before.
func (t *turns) close() bool {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return false
	}
	t.closed = true
	if !t.taken {
		t.taken = true
		t.mu.Unlock()
		return true
	}
	turn := make(chan error, 1)
	t.waiting = append(t.waiting, turn)
	t.mu.Unlock()
	<-turn // also when dismissed: see leave
	return true
}
