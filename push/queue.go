package push

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"
)

// QueueOptions are what a Queue needs.
type QueueOptions struct {
	Sender Sender
	Now    func() time.Time

	// Gone is told the endpoint of a subscription that its push service has forgotten. It may take its time.
	Gone func(ctx context.Context, endpoint string)

	Size int          // messages under way at once, those that wait for another try included; zero: 4096
	Log  *slog.Logger // hears of messages that were given up, without endpoints; nil: nobody does
}

// Stats counts what became of messages since the queue was made.
type Stats struct {
	Sent    uint64 // taken by a push service
	Retried uint64 // tries after the first
	Gone    uint64 // for subscriptions that are no more
	Refused uint64 // given up for good: refused by a push service or by ourselves
	Expired uint64 // given up because their life was over
	Dropped uint64 // never tried to the end: the queue was full or closed
	Open    int    // under way now
}

// A Queue brings messages to phones in the background and tries again while they live. It is memory of this node only:
// what a crash loses, the app learns when it next asks.
//
// Every message has a goroutine of its own, so that one slow push service holds nobody else up; their number is bounded.
type Queue struct {
	options QueueOptions
	ctx     context.Context // ends the waits between tries
	stop    context.CancelFunc
	work    sync.WaitGroup

	mu     sync.Mutex
	closed bool
	stats  Stats
}

const (
	defaultSize = 4096
	tryTimeout  = 10 * time.Second // of one try
	firstPause  = 500 * time.Millisecond
	longPause   = 15 * time.Second
)

// NewQueue makes a queue that works until ctx ends or Close is called.
func NewQueue(ctx context.Context, o QueueOptions) *Queue {
	if o.Size == 0 {
		o.Size = defaultSize
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	q := &Queue{options: o}
	q.ctx, q.stop = context.WithCancel(ctx)
	return q
}

// Put takes m for one phone and returns at once; m lives for m.TTL from now. False: the queue is full or closed, and the
// message is counted as dropped.
func (q *Queue) Put(to Subscription, m Message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.ctx.Err() != nil || q.stats.Open >= q.options.Size {
		q.stats.Dropped++
		return false
	}
	q.stats.Open++
	end := q.options.Now().Add(m.TTL)
	q.work.Go(func() {
		outcome := q.deliver(to, m, end)
		q.mu.Lock()
		defer q.mu.Unlock()
		q.stats.Open--
		*outcome.counter(&q.stats)++
	})
	return true
}

// Stats tells what became of messages so far.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stats
}

// Close takes no more messages, gives up those that wait for another try, and returns when tries under way have ended,
// which takes no longer than one try.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.stop()
	q.work.Wait()
}

type outcome int

const (
	sent outcome = iota
	gone
	refused
	expired
	dropped
)

func (o outcome) counter(s *Stats) *uint64 {
	return [...]*uint64{sent: &s.Sent, gone: &s.Gone, refused: &s.Refused, expired: &s.Expired, dropped: &s.Dropped}[o]
}

func (q *Queue) deliver(to Subscription, m Message, end time.Time) outcome {
	pause := firstPause
	for tries := 1; ; tries++ {
		if m.TTL = end.Sub(q.options.Now()); m.TTL < 0 {
			m.TTL = 0 // reached only by a first try: later ones end below
		}
		err := q.try(to, m)
		var busy *TemporaryError
		switch {
		case err == nil:
			return sent
		case errors.Is(err, ErrGone):
			ctx, cancel := q.patience()
			q.options.Gone(ctx, to.Endpoint)
			cancel()
			return gone
		case !errors.As(err, &busy):
			q.options.Log.Warn("push refused", "service", host(to), "err", err)
			return refused
		}
		wait := max(busy.After, pause/2+rand.N(pause)) // spread, so that what failed together does not return together
		pause = min(2*pause, longPause)
		if !q.options.Now().Add(wait).Before(end) {
			q.options.Log.Warn("push given up", "service", host(to), "tries", tries, "err", err)
			return expired
		}
		select {
		case <-time.After(wait):
		case <-q.ctx.Done():
			return dropped
		}
		q.mu.Lock()
		q.stats.Retried++
		q.mu.Unlock()
	}
}

func (q *Queue) try(to Subscription, m Message) error {
	ctx, cancel := q.patience()
	defer cancel()
	return q.options.Sender.Send(ctx, to, m)
}

// patience bounds one try. The end of the queue does not cut it: nobody would know whether the message was taken.
func (q *Queue) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(q.ctx), tryTimeout)
}

func host(s Subscription) string {
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		return ""
	}
	return u.Host
}
