package directory

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"vigie/store"
	"vigie/store/storetest"
)

// benchPeople make about 1.9 million rows, as many as the register has.
const benchPeople = 1_520_000

// BenchmarkImport measures imports of the size of the register on both
// databases: the first, the same file again, and one in which people left and
// came. VIGIE_BENCH_PEOPLE sets another size.
func BenchmarkImport(b *testing.B) {
	people := benchPeople
	if s := os.Getenv("VIGIE_BENCH_PEOPLE"); s != "" {
		var err error
		if people, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	for _, engine := range []struct {
		name string
		open func(testing.TB, store.Options) *store.DB
	}{{"sqlite", storetest.Open}, {"postgres", storetest.OpenPostgres}} {
		for _, format := range []Format{Open, PSC} {
			b.Run(engine.name+"/"+string(format), func(b *testing.B) {
				dir := b.TempDir()
				first, next := filepath.Join(dir, "first.txt"), filepath.Join(dir, "next.txt")
				generateFile(b, first, people, GenerateOptions{Seed: 1, Format: format})
				generateFile(b, next, people-people/50, GenerateOptions{Seed: 1, Format: format})
				db := engine.open(b, store.Options{})
				for _, run := range []struct{ name, file string }{{"first", first}, {"again", first}, {"fewer", next}} {
					b.Run(run.name, func(b *testing.B) {
						forgetPeak()
						for b.Loop() {
							r, err := Import(b.Context(), db, []string{run.file}, ImportOptions{TempDir: dir})
							if err != nil {
								b.Fatal(err)
							}
							b.ReportMetric(float64(r.Lines)/b.Elapsed().Seconds(), "rows/s")
							b.ReportMetric(float64(r.Lines), "rows")
						}
						b.ReportMetric(peakMiB(), "peak-MiB")
						b.ReportMetric(0, "ns/op")
						b.ReportMetric(b.Elapsed().Seconds(), "s")
					})
				}
			})
		}
	}
}

func generateFile(t testing.TB, path string, people int, o GenerateOptions) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Generate(f, people, o); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// forgetPeak has the kernel measure the peak of resident memory anew.
func forgetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// peakMiB is the peak of this process's resident memory; 0 where the system
// does not say.
func peakMiB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}
