package web_test

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vigie/directory"
	"vigie/login"
	"vigie/message"
	"vigie/phone"
	"vigie/session"
	"vigie/store"
	"vigie/store/storetest"
)

func TestWithoutScriptTheCodeIsTypedAndAPlainVisitRedeems(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.browser()
		p := b.asks(b.comes("vaccin").says(200, "Vaccin AmeliPRO"), "99700000017") // eleven digits
		if !regexp.MustCompile(`^[0-9]{6}$`).MatchString(p.code()) {
			t.Fatalf("#code holds %q", p.code())
		}
		p.says(200, `<noscript><meta http-equiv="refresh"`)
		r := w.phone.types(p.code())
		b.get(p.form()).says(200, "À vous, sur votre téléphone")
		w.phone.approves(r, "no")
		back := b.get(p.form()).goes("vaccin", "code", "")
		w.greets("vaccin", back)
		b.get(p.form()).says(410, "Cette connexion est terminée")
	})
}

func TestWithScriptOnlyTheRequestsKeyTakesWhatWasApproved(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		p := b.asks(b.comes("vaccin"), string(anne))
		w.phone.approves(w.phone.types(p.code()), "no")

		if again := b.get(p.form()); again.to != nil {
			t.Fatal("a plain visit redeemed a request that has a key")
		}
		key := b.request
		b.request = newKey(t)
		b.redeems(p).says(403, "Cette demande vient d'un autre navigateur")
		b.request = b.lasting
		b.redeems(p).says(403, "Cette demande vient d'un autre navigateur")
		b.post(p.form()+"/redeem").says(403, "Cette demande vient d'un autre navigateur")
		b.request = key
		w.greets("vaccin", b.redeems(p).goes("vaccin", "code", ""))
	})
}

func TestALostAnswerStrandsNobodyAndACodeTakenEndsIt(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		p := b.asks(b.comes("vaccin"), string(anne))
		w.phone.approves(w.phone.types(p.code()), "no")
		lost := b.redeems(p).goes("vaccin", "code", "")
		second := b.redeems(p).goes("vaccin", "code", "")
		if status, answer := w.tokens("vaccin", lost); status != 400 || answer["error"] != "invalid_grant" {
			t.Errorf("the code that was replaced: %d %v", status, answer)
		}
		w.greets("vaccin", b.redeems(p).goes("vaccin", "code", ""))
		if status, _ := w.tokens("vaccin", second); status != 400 {
			t.Errorf("a code that was replaced: %d", status)
		}
		b.get(p.form()).says(410, "Cette connexion est terminée")
		b.post(p.form()+"/redeem").says(410, "Cette connexion est terminée")
	})
}

func TestAnotherBrowserSeesNothingAndTakesNothing(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b, thief := w.browser(), w.browser()
		p := b.asks(b.comes("vaccin"), string(anne))
		thief.get(p.form()).says(403, "Ce navigateur n'accepte pas nos cookies")
		thief.comes("vaccin")
		w.phone.approves(w.phone.types(p.code()), "no")
		for _, got := range []page{thief.get(p.form()), thief.get(p.form() + "/state"), thief.get(p.form() + "/events"), thief.post(p.form() + "/redeem"),
			thief.post(p.form(), "national_id", string(anne)), thief.post(p.form() + "/cancel"), thief.post(p.form() + "/continue")} {
			if got.status != 403 || got.to != nil || strings.Contains(got.body, "Martin") || strings.Contains(got.body, string(anne)) {
				t.Errorf("%s: %d\n%s", got.url, got.status, got.body)
			}
		}
		w.greets("vaccin", b.get(p.form()).goes("vaccin", "code", ""))
	})
}

func TestAskingTwiceLeavesOneRequest(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		form := b.comes("vaccin")
		first := b.asks(form, string(anne)).code()
		p := b.asks(form, string(anne))
		if p.code() == first {
			t.Fatal("the same code again")
		}
		w.phone.do(func(ctx context.Context, tx *store.Tx, p phone.Phone) error {
			_, v, err := w.logins.Claim(ctx, tx, p, first)
			if v.Result != login.ReplacedCode {
				t.Errorf("the first code: %s", v.Result)
			}
			return err
		})
		w.phone.approves(w.phone.types(p.code()), "no")
		if again := b.asks(form, string(anne)); !strings.Contains(again.body, "C&#39;est fait.") {
			t.Errorf("asking again after the approval:\n%s", again.body)
		}
		w.greets("vaccin", b.redeems(p).goes("vaccin", "code", ""))
	})
}

func TestAKnownAndAnUnknownNumberGetTheSamePages(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		var karim directory.ID
		for _, p := range directory.Demo() {
			if p.ID != anne {
				karim = p.ID // known, without a phone
			}
		}
		var seen []string
		for _, number := range []string{string(anne), string(karim), "810000000017"} {
			if _, err := directory.ParseID(number); err != nil {
				t.Fatalf("%s: %v", number, err)
			}
			b := w.scripted()
			p := b.asks(b.comes("vaccin"), number)
			seen = append(seen, everything(p, number)+everything(b.get(p.form()), number)+everything(b.get(p.form()+"/state"), number))
		}
		if seen[0] != seen[1] || seen[0] != seen[2] {
			t.Errorf("the pages differ:\n%s\n---\n%s\n---\n%s", seen[0], seen[1], seen[2])
		}
	})
}

// everything is an answer with what is drawn anew for each taken out.
func everything(p page, number string) string {
	var b strings.Builder
	if err := p.header.Write(&b); err != nil {
		p.t.Fatal(err)
	}
	b.WriteString(p.body)
	s := b.String()
	for _, drawn := range []string{
		`[A-Z2-7]{26}`,                    // ids, the cookie
		`nonce(="|":"|&#34;:&#34;)[^"&]*`, // nonces
		`<span>[0-9]{3}</span>`,           // the code,
		`"[0-9]{6}"`,                      // in its forms
		`&#34;[0-9]{6}&#34;`,              //
		`([0-9] ){2}[0-9]`,                //
		`Date: [^\r]*`,                    //
		regexp.QuoteMeta(number),          // what was typed
		number[:4] + "\u00a0" + number[4:8] + "\u00a0" + number[8:],
	} {
		s = regexp.MustCompile(drawn).ReplaceAllStringFunc(s, func(found string) string { return strings.Repeat("·", len(found)) })
	}
	return s
}

func TestAMistypedNumberIsExplainedAndKept(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.browser()
		form := b.comes("vaccin", "login_hint", "8997")
		if form.says(200, `value="8997"`); strings.Contains(form.body, "aria-invalid") {
			t.Error("a service's hint is blamed on the person")
		}
		for typed, words := range map[string]string{
			"8 9970 0000 018":           "l'un d'eux est mal tapé",
			"89970000001":               "Il manque des chiffres",
			"":                          "Tapez votre identifiant national",
			"anne.martin":               "Tapez seulement des chiffres",
			"799700000017":              "commence par 8",
			"<script>alert(1)</script>": "",
		} {
			p := b.asks(form, typed)
			p.says(422, words)
			if strings.Contains(p.body, "<script>alert") || typed != "" && !strings.Contains(p.body, `aria-invalid="true"`) {
				t.Errorf("%q:\n%s", typed, p.body)
			}
			if !strings.HasPrefix(typed, "<") {
				p.says(422, `value="`+typed+`"`)
			}
		}
	})
}

func TestGivingUpTellsTheService(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.browser()
		form := b.comes("vaccin")
		b.post(form.form()+"/cancel").goes("vaccin", "error", "access_denied")
		p := b.asks(form, string(anne))
		code := p.code()
		b.post(p.form()+"/cancel").goes("vaccin", "error", "access_denied")
		w.phone.do(func(ctx context.Context, tx *store.Tx, p phone.Phone) error {
			_, v, err := w.logins.Claim(ctx, tx, p, code)
			if v.Result == login.Claimed {
				t.Error("a request that was given up can be fetched")
			}
			return err
		})
		if header := b.get(form.form()).header.Get("Content-Security-Policy"); !strings.Contains(header, "form-action 'self' https://vaccin.example") {
			t.Errorf("the form may not lead back to the service: %s", header)
		}
	})
}

func TestEveryEndIsToldWithTheNextThingToDo(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		for decision, words := range map[string]string{phone.Refuse: "Demande refusée", phone.Report: "Demande signalée", phone.Leave: "Demande quittée", "": "La demande a expiré"} {
			b := w.browser()
			p := b.asks(b.comes("vaccin"), string(anne))
			r := w.phone.types(p.code())
			if decision == "" {
				w.clock.Add(login.OpenLife)
			} else {
				w.phone.answers(r, decision)
			}
			w.clock.Add(time.Second)
			over := b.get(p.form()).says(200, words).says(200, "Rien n'a été ouvert").says(200, "Recommencer").says(200, "Revenir à Vaccin AmeliPRO")
			p = b.asks(b.get(over.form()+"?step=form").says(200, "Qui êtes-vous"), string(anne))
			w.phone.approves(w.phone.types(p.code()), "no")
			w.greets("vaccin", b.get(p.form()).goes("vaccin", "code", ""))
		}
		b := w.browser()
		p := b.asks(b.comes("vaccin"), string(anne))
		w.clock.Add(31 * time.Minute)
		b.get(p.form()).says(410, "Cette page n'est plus valable")
		b.asks(p, string(anne)).says(410, "Cette page n'est plus valable")
		b.get(w.base+"/login/NOBODY").says(404, "Cette page n'est plus valable")
		b.get(w.base+"/nothing").says(404, "Cette page n'existe pas")
	})
}

// signsIn signs Anne in to vaccin by the silent lane.
func signsIn(w *world, b *surfer, keep string) {
	w.Helper()
	p := b.asks(b.comes("vaccin"), string(anne))
	w.phone.approves(w.phone.types(p.code()), keep)
	w.greets("vaccin", b.redeems(p).goes("vaccin", "code", ""))
}

func TestOnAPersonalBrowserTheLastingKeyLetsServicesIn(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		signsIn(w, b, "mine")

		// Ten minutes long only the service that asked.
		b.comes("sidep").says(200, "Qui êtes-vous").says(200, "demande une nouvelle approbation")
		b.comes("sidep", "prompt", "none").goes("sidep", "error", "login_required")
		w.greets("vaccin", b.joins(b.comes("vaccin")).goes("vaccin", "code", ""))

		w.clock.Add(session.Provisional)
		w.greets("sidep", b.joins(b.comes("sidep").says(200, "Vous êtes reconnu")).goes("sidep", "code", ""))
		w.greets("sidep", b.joins(b.comes("sidep", "prompt", "none")).goes("sidep", "code", ""))

		// A stolen session cookie joins nothing.
		thief := w.scripted()
		thief.Jar = b.Jar
		thief.joins(thief.comes("sidep", "prompt", "none")).goes("sidep", "error", "login_required")
		thief.joins(thief.comes("vaccin")).says(200, "Qui êtes-vous")
		p := thief.comes("vaccin")
		thief.post(p.form()+"/continue").says(200, "Qui êtes-vous")

		// Nobody can be asked inside of a frame.
		framed, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.comes("sidep", "prompt", "none").form(), nil)
		if err != nil {
			t.Fatal(err)
		}
		framed.Header.Set("Sec-Fetch-Dest", "iframe")
		b.do(framed).goes("sidep", "error", "login_required")

		b.comes("vaccin", "prompt", "login").says(200, "Qui êtes-vous")
		b.comes("vaccin", "max_age", "60").says(200, "Qui êtes-vous")
		b.comes("vaccin", "max_age", "7200").says(200, "Vous êtes reconnu")
	})
}

func TestPromptNoneAsksNobody(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.browser()
		p := b.comes("vaccin", "prompt", "none")
		p.goes("vaccin", "error", "login_required")
		form := b.comes("vaccin")
		if strings.Contains(form.body, "login_required") {
			t.Error("…and then neither")
		}
	})
}

func TestAKeptBrowserRingsByOneClick(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		signsIn(w, b, "mine")
		b.request = newKey(t)
		form := b.comes("sidep").says(200, "Dr Anne Martin")
		p := b.clicks(form, anne).says(200, "Votre téléphone sonne")
		if strings.Contains(p.body, `id="code"`) {
			t.Error("a ring on a personal browser shows a code")
		}
		r := w.phone.opens()
		b.get(p.form()).says(200, "À vous, sur votre téléphone")
		w.phone.approves(r, "no")
		w.greets("sidep", b.redeems(p).goes("sidep", "code", ""))

		// Not provisional: the next one passes by itself.
		w.greets("vaccin", b.joins(b.comes("vaccin")).goes("vaccin", "code", ""))

		// Without the lasting key the same click waits in silence.
		stranger := w.scripted()
		stranger.Jar = b.Jar
		stranger.clicks(stranger.comes("sidep", "prompt", "login"), anne).says(200, "Ouvrez votre application et tapez")
	})
}

func TestAfterThreeRingsWithoutAnAnswerTheCodeIsTyped(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		signsIn(w, b, "mine")
		for range 3 {
			b.request = newKey(t)
			p := b.clicks(b.comes("sidep"), anne).says(200, "Votre téléphone sonne")
			w.clock.Add(login.RingLife)
			b.get(p.form()).says(200, "La demande a expiré")
		}
		b.request = newKey(t)
		p := b.clicks(b.comes("sidep"), anne).says(200, "Trois fois sans réponse").says(200, "Ouvrez votre application et tapez")
		w.phone.approves(w.phone.types(p.code()), "no")
		w.greets("sidep", b.redeems(p).goes("sidep", "code", ""))
	})
}

func TestOnASharedPostNothingPassesSilently(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		signsIn(w, b, "shared")

		// A service that joined: a page asks. prompt=none: nobody is asked.
		b.comes("vaccin", "prompt", "none").goes("vaccin", "error", "login_required")
		asked := b.comes("vaccin").says(200, "Vous êtes Dr Anne Martin").says(200, "Ce n'est pas moi").says(200, "Fin de poste")
		w.greets("vaccin", b.post(asked.form()+"/continue").goes("vaccin", "code", ""))

		// Any other: an approval, also later; the ring is followed by the code.
		w.clock.Add(session.Provisional)
		b.request = newKey(t)
		form := b.comes("sidep").says(200, "A. M.")
		b.post(form.form()+"/continue").says(200, "Qui êtes-vous")
		p := b.clicks(form, anne).says(200, "puis tapez ce code")
		w.phone.opens()
		b.get(p.form()).says(200, `id="code"`)
		w.phone.approves(w.phone.types(p.code()), "no")
		back := b.redeems(p).goes("sidep", "code", "")
		w.greets("sidep", back)
		if cookie := back.header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "vigie_session_t=") || strings.Contains(cookie, "Max-Age") || strings.Contains(cookie, "Expires") {
			t.Errorf("the session's cookie outlives the browser: %s", cookie)
		}

		// "That is not me" closes what is open here, and asks anew.
		asked = b.comes("sidep").says(200, "Vous êtes Dr Anne Martin")
		b.post(asked.form()+"/other").says(200, "Qui êtes-vous")
		b.comes("vaccin").says(200, "Qui êtes-vous")
	})
}

func TestSomebodyElseMaySignInAfterAnAnswerThatWasNeverTaken(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		signsIn(w, b, "no")
		asked := b.comes("vaccin").says(200, "Vous êtes Dr Anne Martin")
		b.post(asked.form()+"/continue").goes("vaccin", "code", "")

		// The answer was lost, and another person sits down.
		karim := directory.Demo()[1].ID
		b.request = newKey(t)
		p := b.asks(b.get(asked.form()+"?step=form").says(200, "Qui êtes-vous"), string(karim))
		h := w.activate(karim)
		h.approves(h.types(p.code()), "no")
		w.greets("vaccin", b.redeems(p).goes("vaccin", "code", ""))
		b.get(w.base+"/").says(200, "Karim Benali")
	})
}

func TestTheNameOnASharedPostIsInitialsUntilChosen(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		signsIn(w, b, "shared")
		b.post(w.base + "/fin-de-poste")
		form := b.comes("vaccin").says(200, "A. M.")
		if strings.Contains(form.body, "Martin") {
			t.Errorf("the name is shown:\n%s", form.body)
		}
		b.request = newKey(t)
		b.clicks(form, anne).says(200, "Dr Anne Martin")
	})
}

func TestTheEndOfThePostClosesEverythingHere(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		signsIn(w, b, "no")
		b.get(w.base+"/").says(200, "Dr Anne Martin").says(200, "Fin de poste")
		b.get(w.base+"/fin-de-poste").says(200, "Dr Anne Martin").says(200, "Vaccin AmeliPRO")
		b.post(w.base+"/fin-de-poste").says(200, "Personne n'est connecté ici")
		if home := b.get(w.base + "/"); strings.Contains(home.body, "Martin") {
			t.Error("still there")
		}
		b.comes("vaccin").says(200, "Qui êtes-vous")
	})
}

func TestAnIdlePostAsksAgain(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		signsIn(w, b, "no")
		b.comes("vaccin").says(200, "Vous êtes Dr Anne Martin")
		w.clock.Add(session.IdleShared)
		b.comes("vaccin").says(200, "Qui êtes-vous")
	})
}

func TestAWaitingPageHearsWhatHappensOnThePhone(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		p := b.asks(b.comes("vaccin"), string(anne))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.form()+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := b.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		if st := hears(t, lines); st.Status != "pending" || st.Code != p.code() || st.Held || st.Name != "" {
			t.Fatalf("at first: %+v", st)
		}
		request := w.phone.types(p.code())
		if st := hears(t, lines); st.Status != "pending" || st.Code != "" || !st.Held || st.Name != "Dr Anne Martin" {
			t.Fatalf("claimed: %+v", st)
		}
		w.phone.approves(request, "no")
		if st := hears(t, lines); st.Status != "approved" || st.Nonce == "" {
			t.Fatalf("approved: %+v", st)
		}
		w.greets("vaccin", b.redeems(p).goes("vaccin", "code", ""))
		if st := hears(t, lines); st.Status != "redeemed" {
			t.Fatalf("redeemed: %+v", st)
		}
		if lines.Scan(); lines.Scan() {
			t.Errorf("the stream goes on: %q", lines.Text())
		}
	})
}

func TestAPageThatStaysOpenGetsItsNextCode(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.browser()
		p := b.asks(b.comes("vaccin"), string(anne))
		if again := b.get(p.form()); again.code() != p.code() {
			t.Error("another code after a reload")
		}
		w.clock.Add(login.CodeLife)
		next := b.get(p.form())
		if next.code() == p.code() {
			t.Fatal("the same code after a minute")
		}
		if st := b.state(next); st.Code != next.code() {
			t.Errorf("the state says %q, the page %q", st.Code, next.code())
		}
		w.phone.types(p.code()) // the replaced one is still good for a moment
	})
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.browser()
		p := b.comes("vaccin")
		for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.form(), strings.NewReader("national_id="+string(anne)))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set(name, value)
			b.do(r).says(403, "Cette demande vient d'un autre site")
		}
		b.post(p.form(), "national_id", strings.Repeat("8", 64<<10)).says(413, "Cette demande est illisible")
		b.post(p.form(), "national_id", string(anne), "key", "{}").says(400, "Cette demande est illisible")
	})
}

// Whatever is posted, by whoever: an answer in words, never an error of ours.
func FuzzPostedForms(f *testing.F) {
	clock := storetest.NewClock()
	w := newWorld(f, storetest.Open(f, store.Options{Clock: clock.Now}), clock)
	b := w.scripted()
	form := b.comes("vaccin").form()
	for _, seed := range []string{"national_id=899700000017", "choice=899700000017&proof=a.b.c", "national_id=%zz", "national_id=%00%ff", "key={}", "key=" + url.QueryEscape(jwk(f, b.request)) + "&national_id=8", ";", "proof=" + strings.Repeat("x", 5000)} {
		f.Add("", seed)
		f.Add("/redeem", seed)
		f.Add("/continue", seed)
		f.Add("/other", seed)
	}
	f.Fuzz(func(t *testing.T, door, body string) {
		if !slices.Contains([]string{"", "/redeem", "/continue", "/other"}, door) {
			t.Skip()
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, form+door, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		own := *w
		own.TB = t
		if p := (&surfer{Client: b.Client, w: &own}).do(r); p.status >= 500 || p.status < 400 && p.status != 200 {
			t.Errorf("%s %q: %d", door, body, p.status)
		}
	})
}

func TestSomebodyElsesSignInDoesNotAnswerAServiceThatNamedAPerson(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		p := b.asks(b.comes("vaccin"), string(anne))
		w.phone.approves(w.phone.types(p.code()), "no")
		_, answer := w.tokens("vaccin", b.redeems(p))
		hint, ok := answer["id_token"].(string)
		if !ok {
			t.Fatalf("no ID token: %v", answer)
		}
		var karim directory.ID
		for _, p := range directory.Demo() {
			if p.ID != anne {
				karim = p.ID
			}
		}
		other := w.scripted()
		p = other.asks(other.comes("vaccin", "id_token_hint", hint), string(karim))
		phone := w.activate(karim)
		phone.approves(phone.types(p.code()), "no")
		other.redeems(p).says(409, "Ce service attend une autre personne")
	})
}

func TestLoggingOutWithoutAHintAsksFirst(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.scripted()
		signsIn(w, b, "no")
		logout := w.base + "/auth/realms/esante-wallet/protocol/openid-connect/logout"
		p := b.get(logout+"?client_id=vaccin&post_logout_redirect_uri=https://vaccin.example/&state=s-1").
			says(200, "Vaccin AmeliPRO demande à vous déconnecter").says(200, "Dr Anne Martin")
		b.comes("vaccin").says(200, "Vous êtes Dr Anne Martin")
		done := b.post(p.url.String())
		if done.to == nil || done.to.Host != "vaccin.example" || done.to.Query().Get("state") != "s-1" {
			t.Fatalf("%d, leads to %v", done.status, done.to)
		}
		b.comes("vaccin").says(200, "Qui êtes-vous")
		b.post(b.get(logout).says(200, "Personne n'est connecté").url.String()).says(200, "Vous êtes déconnecté(e)")
		b.get(w.base+"/logout/nonsense").says(410, "Rien n'a été fermé")
	})
}

func TestAServiceMaySayWhichLanguageItsVisitorsRead(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.browser()
		form := b.comes("vaccin", "ui_locales", "en-GB fr").says(200, "Who are you?")
		b.asks(form, "8").says(422, "Digits are missing")
		b.get(form.form()+"?lang=fr").says(200, "Qui êtes-vous")
		b.get(form.form()).says(200, "Qui êtes-vous") // its reader's own choice stands
	})
}

func TestTheLetterWithACodeLeadsToTwoButtons(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		var karim directory.Professional
		w.write(func(ctx context.Context, tx *store.Tx) (err error) {
			karim, _, err = directory.Find(ctx, tx, directory.Demo()[1].ID)
			if err != nil {
				return err
			}
			mobile, email, err := directory.UsableContacts(ctx, tx, karim.ID)
			if err != nil {
				return err
			}
			_, err = phone.AskCodes(ctx, tx, phone.Ask{NationalID: string(karim.ID), Mobile: mobile, Email: email, Address: "192.0.2.1", Agent: "Firefox"})
			return err
		})
		letters := w.letters(message.Email)
		if len(letters) != 1 {
			t.Fatalf("%d letters", len(letters))
		}
		link := regexp.MustCompile(w.base + `/activation/\S+`).FindString(letters[0].Text)
		b := w.browser()
		for range 2 { // as programs do that look into mail
			b.get(link).says(200, "Envoyer deux nouveaux codes").says(200, "Refuser les demandes des autres")
		}
		if n := len(w.letters(message.Email)); n != 1 {
			t.Fatalf("looking at the page sent %d letters", n-1)
		}
		b.post(link+"/send").says(200, "Deux nouveaux codes ont été demandés")
		if n := len(w.letters(message.Email)); n != 2 {
			t.Fatalf("%d letters after the button", n)
		}
		b.post(link+"/stop").says(200, "sont refusées jusqu'au")
		b.get(w.base+"/activation/nonsense").says(410, "Cette page n'est plus valable")
		b.post(w.base+"/activation/nonsense/stop").says(410, "Cette page n'est plus valable")
	})
}

func TestMachinesFindTheirDoors(t *testing.T) {
	eachWorld(t, func(t *testing.T, w *world) {
		b := w.browser()
		b.get(w.base+"/livez").says(200, "alive")
		b.get(w.base+"/readyz").says(200, "ready")
		b.get(w.base+"/.well-known/vigie").says(200, `"phone":"https://app.example"`).says(200, `"issuer":"`+w.base+`/auth/realms/esante-wallet"`)
		b.get(w.base+"/auth").says(400, "Service inconnu")
		b.comes("nobody").says(400, "Service inconnu")
	})
}
