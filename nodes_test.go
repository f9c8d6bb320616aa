package main

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vigie/stage"
	"vigie/store"
	"vigie/store/storetest"
)

// balancer sends each request to the next node in turn, as one in front of
// several nodes does, or all to the one that only names, from 1.
type balancer struct {
	turn  atomic.Int64
	only  atomic.Int64
	nodes []map[string]string // for each node: the address that is asked for → the one where it listens
	next  http.RoundTripper
}

func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	node := b.nodes[int(b.turn.Add(1))%len(b.nodes)]
	if only := b.only.Load(); only > 0 {
		node = b.nodes[only-1]
	}
	to, ours := node[r.URL.Host]
	if !ours {
		return b.next.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.Host, r.URL.Host = r.URL.Host, to
	return b.next.RoundTrip(r)
}

// twoNodes is a world of two nodes on one PostgreSQL database.
func twoNodes(t *testing.T, db *store.DB, clock *storetest.Clock) (*world, *balancer) {
	t.Helper()
	w := newWorld(t, db, clock)
	ctx := context.WithoutCancel(t.Context())
	second, err := newServer(ctx, db, w.server.Keys, w.server.o)
	if err != nil {
		t.Fatal(err)
	}
	portal, app := strings.TrimPrefix(w.Portal, "http://"), strings.TrimPrefix(w.app(t), "http://")
	b := &balancer{nodes: []map[string]string{{portal: portal, app: app}, {}}, next: w.Browser}
	var listeners [2]net.Listener
	for i, asked := range []string{portal, app} {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		b.nodes[1][asked] = listeners[i].Addr().String()
	}
	second.Start(ctx, listeners[0], listeners[1])
	t.Cleanup(func() { second.Stop(ctx) })
	w.Browser, w.HTTP = b, &http.Client{Timeout: 30 * time.Second, Transport: b}
	first := w.Pushed
	w.Pushed = func(ctx context.Context) error {
		for second.queue.Stats().Open > 0 && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		return first(ctx)
	}
	return w, b
}

func TestStoriesHoldWhenEveryRequestReachesAnotherNode(t *testing.T) {
	files, err := filepath.Glob("testdata/story/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			story, err := stage.ParseStory(f)
			if err != nil {
				t.Fatal(err)
			}
			clock := storetest.NewClock()
			w, _ := twoNodes(t, storetest.OpenPostgres(t, store.Options{Clock: clock.Now}), clock)
			if err := story.Play(t.Context(), w.World); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAPageHearsWhatHappensAtAnotherNode(t *testing.T) {
	ctx, clock := t.Context(), storetest.NewClock()
	w, nodes := twoNodes(t, storetest.OpenPostgres(t, store.Options{Clock: clock.Now}), clock)
	anne, c := w.People[0], w.newClient(t)
	p, _, err := w.Activate(ctx, anne, pin)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range []struct{ page, phone int64 }{{1, 1}, {1, 2}, {2, 1}} {
		b, _, err := c.waiting(ctx, w.World, anne)
		if err != nil {
			t.Fatal(err)
		}
		nodes.only.Store(node.page)
		resp, err := b.Events(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		heard := make(chan bool, 1)
		go func() {
			in := bufio.NewScanner(resp.Body)
			for in.Scan() && !strings.Contains(in.Text(), `"held":true`) {
			}
			heard <- in.Err() == nil
		}()
		nodes.only.Store(node.phone)
		began := time.Now()
		if _, err := p.Claim(ctx, b.Code()); err != nil {
			t.Fatal(err)
		}
		select {
		case ok := <-heard:
			if !ok {
				t.Error("the stream ended")
			}
		case <-time.After(5 * time.Second):
			t.Error("the page does not hear that the phone has its request")
		}
		t.Logf("a page at node %d heard what the phone did at node %d after %v", node.page, node.phone, time.Since(began))
	}
}
