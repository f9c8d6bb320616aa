//go:build prove

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vigie/browser"
	"vigie/directory"
	"vigie/store"
	"vigie/store/storetest"
)

// TestProveNumberOracle asks for numbers that exist, in every state that their
// professional can be in, and for numbers that do not, and compares everything
// that comes back, and how long it takes.
func TestProveNumberOracle(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		w := newWorld(t, db, clock)
		subjects := w.subjects(t)
		for _, door := range []struct {
			name  string
			knock func(t *testing.T, s subject, n int) []answer
		}{
			{"portal", w.portalDoor(t)},
			{"kept", w.keptDoor(t)},
			{"codes", w.codesDoor(t)},
		} {
			t.Run(door.name, func(t *testing.T) {
				asks := 2000
				if door.name == "kept" {
					asks = 500
				}
				for try := 1; ; try++ {
					m := measure(t, w, subjects, asks, door.knock)
					worst := m.report(t)
					if worst <= 0.10 {
						return
					}
					if try == 3 {
						t.Fatalf("in three runs the time of the answer told known numbers from unknown ones: AUC is %.3f off 0.5", worst)
					}
					t.Logf("AUC is %.3f off 0.5: once more", worst)
				}
			})
		}
	})
}

// A subject is a number that somebody types, with contact points for those who
// ask for codes.
type subject struct {
	kind          string
	known         bool
	id            string
	mobile, email string
}

// subjects are five numbers of the register, one in each state, and five others.
func (w *world) subjects(t *testing.T) (all []subject) {
	t.Helper()
	ctx := t.Context()
	for i, kind := range []string{"phone", "no-phone", "silent", "disabled", "left"} {
		p := w.People[i]
		all = append(all, subject{kind, true, p.NationalID, p.Mobile, p.Email})
		if kind == "no-phone" {
			continue
		}
		_, phone, _, err := w.Enrol(ctx, p, pin)
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case "silent":
			err = phone.SetSilent(ctx, true)
		case "disabled":
			err = w.db.Write(ctx, func(tx *store.Tx) error {
				return w.server.Phones.DisablePhone(ctx, tx, phone.ID(), "lost", "operator:test")
			})
		case "left":
			err = w.Import(ctx, p.NationalID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for e := range directory.Fictitious(5, 7) {
		all = append(all, subject{"unknown", false, e.ID.String(), "+33639989999", "nobody.at-all@example.test"})
	}
	return all
}

// An answer is one response, with what is drawn anew for each taken out.
type answer struct {
	step string
	text string
	took time.Duration
}

// serve times h for one request.
func (w *world) serve(step string, h http.Handler, r *http.Request, drawn ...string) (answer, *httptest.ResponseRecorder) {
	out := httptest.NewRecorder()
	began := time.Now()
	h.ServeHTTP(out, r)
	took := time.Since(began)
	var b strings.Builder
	fmt.Fprintln(&b, out.Code)
	_ = out.Header().Write(&b) // a strings.Builder takes everything
	b.WriteString(out.Body.String())
	text := b.String()
	for _, d := range drawn {
		if d != "" {
			text = strings.ReplaceAll(text, d, strings.Repeat("·", len(d)))
		}
	}
	for _, anew := range drawnAnew {
		text = anew.ReplaceAllStringFunc(text, func(s string) string { return strings.Repeat("·", len(s)) })
	}
	text = instant.ReplaceAllStringFunc(text, func(s string) string { // as seen from now
		ms, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return s
		}
		return fmt.Sprintf("now%+d", ms-w.clock.Now().UnixMilli())
	})
	return answer{step, text, took}, out
}

var (
	instant   = regexp.MustCompile(`\b1[0-9]{12}\b`)
	drawnAnew = []*regexp.Regexp{
		regexp.MustCompile(`[A-Z2-7]{26}`),                             // ids, cookies
		regexp.MustCompile(`(?i)nonce(="|":"|&#34;:&#34;|: )[^"&\r]*`), //
		regexp.MustCompile(`<span>[0-9]{3}</span>`),                    // the code
		regexp.MustCompile(`code(":"|&#34;:&#34;)[0-9]{6}`),            //
		regexp.MustCompile(`([0-9] ){2}[0-9]`),                         //
	}
)

// portalDoor types the number, as anybody may.
func (w *world) portalDoor(t *testing.T) func(*testing.T, subject, int) []answer {
	h, key := w.server.Site.Portal(), newJWK(t)
	return func(t *testing.T, s subject, _ int) []answer {
		cookie, id := come(t, h, w.Services[0])
		typed := []string{s.id, s.id[:4] + "\u00a0" + s.id[4:8] + "\u00a0" + s.id[8:]}
		ask := form("/login/"+id, url.Values{"national_id": {s.id}, "key": {key.public}, "lasting": {key.public}})
		page := httptest.NewRequest(http.MethodGet, "/login/"+id, nil)
		state := httptest.NewRequest(http.MethodGet, "/login/"+id+"/state", nil)
		var all []answer
		for _, one := range []struct {
			step   string
			r      *http.Request
			status int
		}{{"ask", ask, http.StatusSeeOther}, {"page", page, http.StatusOK}, {"state", state, http.StatusOK}} {
			one.r.AddCookie(cookie)
			a, out := w.serve(one.step, h, one.r, typed...)
			if out.Code != one.status {
				t.Fatalf("%s: %d", one.step, out.Code)
			}
			all = append(all, a)
		}
		return all
	}
}

// keptDoor chooses the number as if the browser were kept, with a proof that is
// good but for one thing: nobody keeps this key.
func (w *world) keptDoor(t *testing.T) func(*testing.T, subject, int) []answer {
	h, key, lasting := w.server.Site.Portal(), newJWK(t), newJWK(t)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: lasting.private}, (&jose.SignerOptions{}).WithType(browser.ClaimType))
	if err != nil {
		t.Fatal(err)
	}
	ephemeral, err := browser.ParseKey(key.public)
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, s subject, _ int) []answer {
		cookie, id := come(t, h, w.Services[0])
		payload, err := json.Marshal(browser.Claim{Use: browser.UseRing, Request: id, Service: w.Services[0].ID, Professional: s.id,
			Key: ephemeral.Thumbprint(), Nonce: w.server.Logins.Nonce(w.clock.Now(), id)})
		if err != nil {
			t.Fatal(err)
		}
		jws, err := signer.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := jws.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		ask := form("/login/"+id, url.Values{"choice": {s.id}, "key": {key.public}, "lasting": {lasting.public}, "proof": {proof}})
		ask.AddCookie(cookie)
		a, out := w.serve("ask", h, ask)
		page := httptest.NewRequest(http.MethodGet, "/login/"+id, nil)
		page.AddCookie(cookie)
		b, _ := w.serve("page", h, page, s.id, s.id[:4]+"\u00a0"+s.id[4:8]+"\u00a0"+s.id[8:])
		if out.Code != http.StatusSeeOther || !strings.Contains(b.text, `id="code"`) {
			t.Fatalf("%d, and no code: %s", out.Code, b.text)
		}
		return []answer{a, b}
	}
}

// codesDoor asks for activation codes, with right and wrong contact points.
func (w *world) codesDoor(t *testing.T) func(*testing.T, subject, int) []answer {
	h, key := w.server.Site.App(), newJWK(t)
	base := w.app(t)
	return func(t *testing.T, s subject, n int) []answer {
		mobile, email := s.mobile, s.email
		if n%3 == 1 {
			mobile = "+33639980000"
		}
		if n%3 == 2 {
			email = "x" + email[1:]
		}
		body, err := json.Marshal(map[string]string{"national_id": s.id, "mobile": mobile, "email": email})
		if err != nil {
			t.Fatal(err)
		}
		r := w.proven(t, base, key, http.MethodPost, "/phone/codes", body)
		r.RemoteAddr = fmt.Sprintf("198.18.%d.%d:4000", mathrand.N(256), mathrand.N(256)) // nobody asks too often
		a, out := w.serve("codes", h, r)
		if out.Code != http.StatusAccepted {
			t.Fatalf("codes: %d %s", out.Code, out.Body)
		}
		return []answer{a}
	}
}

// times are how long a step took, in nanoseconds, by kind of number.
type times map[string]map[string][]float64

// measure knocks n times for known numbers and n times for unknown ones, in
// random order, and compares every answer with the first of its step.
func measure(t *testing.T, w *world, subjects []subject, n int, knock func(*testing.T, subject, int) []answer) times {
	t.Helper()
	m, first := times{}, map[string]string{}
	for round := range n / 5 {
		for _, i := range mathrand.Perm(len(subjects)) {
			s := subjects[i]
			for _, a := range knock(t, s, round) {
				if m[a.step] == nil {
					m[a.step], first[a.step] = map[string][]float64{}, a.text
				}
				m[a.step][s.kind] = append(m[a.step][s.kind], float64(a.took))
				if a.text != first[a.step] {
					t.Fatalf("%s answers otherwise for a number that is %q:\n%s\n---\n%s", a.step, s.kind, a.text, first[a.step])
				}
			}
		}
		w.clock.Add(5 * time.Second)
	}
	return m
}

// report prints the comparison, and returns how far the AUC is off 0.5 in the
// worst step.
func (m times) report(t *testing.T) (worst float64) {
	for _, step := range slices.Sorted(maps.Keys(m)) {
		kinds := m[step]
		var known []float64
		var each strings.Builder
		for _, kind := range slices.Sorted(maps.Keys(kinds)) {
			if kind != "unknown" {
				known = append(known, kinds[kind]...)
				fmt.Fprintf(&each, ", %s %.3f", kind, areaUnderCurve(kinds[kind], kinds["unknown"]))
			}
		}
		unknown := kinds["unknown"]
		auc := areaUnderCurve(known, unknown)
		d, p := kolmogorovSmirnov(known, unknown)
		t.Logf("%s: %d known %.0f µs, %d unknown %.0f µs (medians), AUC %.3f%s, KS D %.3f p %.2f", step, len(known), median(known)/1000,
			len(unknown), median(unknown)/1000, auc, each.String(), d, p)
		worst = max(worst, math.Abs(auc-0.5))
	}
	return worst
}

func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	return s[len(s)/2]
}

// areaUnderCurve is the chance that a value of a is above one of b, ties counted
// half: the Mann–Whitney U over the number of pairs.
func areaUnderCurve(a, b []float64) float64 {
	sorted := slices.Sorted(slices.Values(b))
	sum := 0.0
	for _, x := range a {
		below, equal := slices.BinarySearch(sorted, x)
		sum += float64(below)
		for i := below; equal && i < len(sorted) && sorted[i] == x; i++ {
			sum += 0.5
		}
	}
	return sum / float64(len(a)*len(b))
}

// kolmogorovSmirnov is the largest distance between the two distributions, and
// the chance of one as large if they were the same (asymptotic).
func kolmogorovSmirnov(a, b []float64) (d, p float64) {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	for i, j := 0, 0; i < len(a) && j < len(b); {
		x := min(a[i], b[j])
		for i < len(a) && a[i] <= x {
			i++
		}
		for j < len(b) && b[j] <= x {
			j++
		}
		d = max(d, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n := float64(len(a)) * float64(len(b)) / float64(len(a)+len(b))
	lambda := (math.Sqrt(n) + 0.12 + 0.11/math.Sqrt(n)) * d
	for k := 1.0; k <= 100; k++ {
		p += 2 * math.Pow(-1, k-1) * math.Exp(-2*k*k*lambda*lambda)
	}
	return d, min(max(p, 0), 1)
}
