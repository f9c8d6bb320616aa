package storetest

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A Wire is the network between a test and the PostgreSQL server, which the test
// can cut.
type Wire struct {
	listener net.Listener
	network  string
	address  string
	after    atomic.Pointer[string]
	mu       sync.Mutex
	down     bool
	open     map[net.Conn]bool
}

// PostgresWired is [Postgres] behind a wire.
func PostgresWired(t testing.TB) (address string, w *Wire) {
	t.Helper()
	through := Postgres(t)
	u, err := url.Parse(through)
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(strings.Replace(through, "pool_max_conns=", "application_name=", 1))
	if err != nil {
		t.Fatal(err)
	}
	w = &Wire{open: map[net.Conn]bool{}}
	w.network, w.address = "tcp", net.JoinHostPort(config.Host, fmt.Sprint(config.Port))
	if strings.HasPrefix(config.Host, "/") {
		w.network, w.address = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", config.Host, config.Port)
	}
	if w.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := w.listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() {
		w.listener.Close()
		w.Cut(true)
		wg.Wait()
	})
	u.Host = w.listener.Addr().String()
	q := u.Query()
	q.Del("host")
	u.RawQuery = q.Encode()
	return u.String(), w
}

// carry takes what one client says to the server and back.
func (w *Wire) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial(w.network, w.address)
	if err != nil {
		return
	}
	defer server.Close()
	w.mu.Lock()
	if w.down {
		w.mu.Unlock()
		return
	}
	w.open[client], w.open[server] = true, true
	w.mu.Unlock()
	var mute atomic.Bool
	go func() {
		defer client.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil || mute.Load() {
				return
			}
			client.Write(buf[:n])
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if n > 0 {
			after := w.after.Load()
			if after != nil && bytes.Contains(buf[:n], []byte(*after)) {
				mute.Store(true) // the server does it, and its answer is lost
			}
			server.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// Cut ends all connections, and refuses new ones while down. Cut(false) is a
// server that was restarted.
func (w *Wire) Cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	for c := range w.open {
		c.Close()
	}
	clear(w.open)
}

// CutAfter loses the answer to the next thing sent that contains text ("commit"),
// which the server does all the same, and the connection with it. "" ends that.
func (w *Wire) CutAfter(text string) {
	if text == "" {
		w.after.Store(nil)
		return
	}
	w.after.Store(&text)
}
