//go:build prove

package directory

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vigie/store"
	"vigie/store/storetest"
)

// childImport names a database and a file: this test binary then imports and
// is nothing else, so that it can be killed.
const childImport = "VIGIE_TEST_CHILD_IMPORT"

func TestMain(m *testing.M) {
	if url, file, child := strings.Cut(os.Getenv(childImport), "|"); child {
		os.Exit(importAsChild(url, file))
	}
	os.Exit(m.Run())
}

func importAsChild(url, file string) int {
	ctx := context.Background()
	db, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_, err = Import(ctx, db, []string{file}, ImportOptions{AcceptChange: 1, beat: 50 * time.Millisecond, Progress: func(p Progress) {
		fmt.Println(p.Step, p.Done)
	}})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// TestProveAKilledImportLeavesTheOldDirectory kills imports at many moments.
func TestProveAKilledImportLeavesTheOldDirectory(t *testing.T) {
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			url := fresh(t)
			db, err := store.Open(t.Context(), url, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			const n = 3000
			old := slices.Collect(Fictitious(n, 1))
			dir := t.TempDir()
			before := filepath.Join(dir, "before.txt")
			generateFile(t, before, n, GenerateOptions{Seed: 1, Format: PSC})
			quick := ImportOptions{AcceptChange: 1, beat: 50 * time.Millisecond}
			if _, err := Import(t.Context(), db, []string{before}, quick); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "next.txt")
			generateFile(t, file, n+n/2, GenerateOptions{Seed: 2, Format: PSC}) // same ids, other people, and more
			next := slices.Collect(Fictitious(n+n/2, 2))
			kills, took := 0, 0
			for moment := range 12 {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), childImport+"="+url+"|"+file)
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				lines := bufio.NewScanner(out)
				killed := false
				for i := 0; lines.Scan(); i++ {
					writing := strings.HasPrefix(lines.Text(), string(Writing))
					if !killed && (writing && i >= 5+2*moment || strings.HasPrefix(lines.Text(), string(Cleaning))) {
						killed = cmd.Process.Kill() == nil
					}
				}
				if cmd.Wait() == nil || !killed {
					t.Fatalf("moment %d: the import was over before it was killed", moment)
				}
				kills++

				// One directory or the other, whole.
				want := old
				err = db.Read(t.Context(), func(tx *store.Tx) error {
					if _, found, err := Find(t.Context(), tx, next[n].ID); err != nil {
						return err
					} else if found {
						want = next
						took++
					}
					for i, e := range next {
						p, found, err := Find(t.Context(), tx, e.ID)
						if err != nil {
							return err
						}
						if found != (i < len(want)) || found && p != want[i].Professional() {
							return fmt.Errorf("person %d is %+v, %v", i, p, found)
						}
						points, err := Contacts(t.Context(), tx, e.ID)
						if err != nil {
							return err
						}
						for _, c := range points {
							if c.Replaced.IsZero() && c.Value != want[i].Mobile && c.Value != want[i].Email {
								return fmt.Errorf("person %d has the contact point %+v", i, c)
							}
						}
					}
					return nil
				})
				if err != nil {
					t.Fatalf("moment %d: %v", moment, err)
				}
				// Waits until the dead one is believed dead.
				if _, err := Import(t.Context(), db, []string{before}, quick); err != nil {
					t.Fatal(err)
				}
				var rows int
				err = db.Read(t.Context(), func(tx *store.Tx) error {
					return tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM professionals WHERE ended = 0`).Scan(&rows)
				})
				if err != nil || rows != n {
					t.Fatalf("moment %d: %d rows are left, %v", moment, rows, err)
				}
			}
			t.Logf("%d imports killed, %d of them after the switch", kills, took)
		})
	}
}

// TestProveAnImportAtSizeHoldsNobodyUp has one process import 200 000 people
// while another one writes, as the command and the server do.
func TestProveAnImportAtSizeHoldsNobodyUp(t *testing.T) {
	const people = 200_000
	file := filepath.Join(t.TempDir(), "register.txt")
	generateFile(t, file, people, GenerateOptions{Seed: 1, Format: PSC})
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			url := fresh(t)
			db, err := store.Open(t.Context(), url, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			began := time.Now()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childImport+"="+url+"|"+file)
			done := make(chan error, 1)
			go func() {
				out, err := cmd.Output()
				if err != nil {
					err = fmt.Errorf("%w\n%s", err, out[max(0, len(out)-2000):])
				}
				done <- err
			}()
			var waits []time.Duration
			for over := false; !over; {
				select {
				case err := <-done:
					if err != nil {
						t.Fatal(err)
					}
					over = true
				case <-time.After(10 * time.Millisecond):
				}
				asked := time.Now()
				err := db.Write(t.Context(), func(tx *store.Tx) error {
					_, _, err := Find(t.Context(), tx, "899700000017")
					if err == nil {
						err = tx.SetSetting(t.Context(), "test", tx.Now.String())
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				waits = append(waits, time.Since(asked))
			}
			peak := float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
			slices.Sort(waits)
			t.Logf("%s: %d people in %v, peak %.0f MiB; %d writes meanwhile, median %v, p99 %v, longest %v",
				name, people, time.Since(began).Round(time.Millisecond), peak, len(waits), waits[len(waits)/2], waits[len(waits)*99/100], waits[len(waits)-1])
			if peak > 300 {
				t.Errorf("the peak of memory is %.0f MiB, over 300", peak)
			}
			if waits[len(waits)*99/100] > time.Second {
				t.Error("the import held writers up")
			}
		})
	}
}
