package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vigie/store"
	"vigie/store/storetest"
)

// crashEnv names the database to a process that writes until it is killed.
const crashEnv = "VIGIE_STORE_CRASH"

// crashed is the life of that process: writers that say on standard output what
// was acknowledged, one "WRITER N" a line. It returns false in any other.
func crashed() bool {
	url := os.Getenv(crashEnv)
	if url == "" {
		return false
	}
	ctx := context.Background()
	db, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	var out sync.Mutex
	for w := range 8 {
		wg.Go(func() {
			for n := int64(1); ; n++ {
				if err := db.Write(ctx, func(tx *store.Tx) error { return increment(ctx, tx, fmt.Sprint(w)) }); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				out.Lock()
				fmt.Println(w, n)
				out.Unlock()
			}
		})
	}
	wg.Wait()
	return true
}

func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	survive := func(t *testing.T, url string) {
		db, err := store.Open(t.Context(), url, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		counters(t, db)
		db.Close()
		base := map[string]int64{}
		for round := range 4 {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), crashEnv+"="+url)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			acknowledged := map[string]int64{}
			first := time.Time{}
			for lines := bufio.NewScanner(out); lines.Scan(); {
				if first.IsZero() {
					first = time.Now()
					time.AfterFunc(time.Duration(50+70*round)*time.Millisecond, func() { cmd.Process.Kill() })
				}
				w, n, ok := strings.Cut(lines.Text(), " ")
				if i, err := strconv.ParseInt(n, 10, 64); ok && err == nil {
					acknowledged[w] = i
				}
			}
			cmd.Wait()
			if len(acknowledged) == 0 {
				t.Fatal("nothing was acknowledged")
			}
			db, err := store.Open(t.Context(), url, store.Options{})
			if err != nil {
				t.Fatalf("after the kill: %v", err)
			}
			for w, n := range acknowledged {
				got := count(t, db, w) - base[w]
				if got != n && got != n+1 { // the last one may be there without having been said
					t.Errorf("writer %s: %d are there, %d were acknowledged", w, got, n)
				}
				base[w] += got
			}
			db.Close()
		}
	}
	t.Run("sqlite", func(t *testing.T) { survive(t, storetest.SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { survive(t, storetest.Postgres(t)) })
}
