package directory_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vigie/audit"
	. "vigie/directory"
	"vigie/store"
	"vigie/store/storetest"
)

// file writes a file of the register and returns its path.
func file(t testing.TB, f Format, entries ...Entry) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, f, slices.Values(entries)); err != nil {
		t.Fatal(err)
	}
	return text(t, b.String())
}

func text(t testing.TB, s string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "extraction.txt")
	if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load imports a file and fails the test when that fails.
func load(t testing.TB, db *store.DB, o ImportOptions, files ...string) Report {
	t.Helper()
	r, err := Import(t.Context(), db, files, o)
	if err != nil {
		t.Fatalf("importing: %v", err)
	}
	return r
}

// all is for imports that the guard must not hold up.
var all = ImportOptions{AcceptChange: 1}

// read runs f on a snapshot.
func read(t testing.TB, db *store.DB, f func(tx *store.Tx) error) {
	t.Helper()
	if err := db.Read(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// name is the display name of a professional, "" for who is not in the register.
func name(t testing.TB, db *store.DB, id ID) (name string) {
	t.Helper()
	read(t, db, func(tx *store.Tx) error {
		p, found, err := Find(t.Context(), tx, id)
		if name = ""; found {
			name = p.DisplayName()
		}
		return err
	})
	return name
}

// contacts lists the contact points of a professional as "value state".
func contacts(t testing.TB, db *store.DB, id ID) (list []string) {
	t.Helper()
	read(t, db, func(tx *store.Tx) error {
		all, err := Contacts(t.Context(), tx, id)
		list = nil
		for _, c := range all {
			list = append(list, c.Value+" "+string(c.State(tx.Now)))
		}
		return err
	})
	return list
}

func usable(t testing.TB, db *store.DB, id ID) (mobile, email string) {
	t.Helper()
	read(t, db, func(tx *store.Tx) (err error) {
		mobile, email, err = UsableContacts(t.Context(), tx, id)
		return err
	})
	return mobile, email
}

// rows counts the rows of a table.
func rows(t testing.TB, db *store.DB, table string) (n int) {
	t.Helper()
	read(t, db, func(tx *store.Tx) error { return tx.QueryRow(t.Context(), `SELECT COUNT(*) FROM `+table).Scan(&n) })
	return n
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// people are n fictitious ones.
func people(n int) []Entry { return slices.Collect(Fictitious(n, 7)) }

const anne ID = "899700000017"

func TestAServiceLearnsWhatTheRegisterSays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r, err := Load(t.Context(), db, Demo())
		if err != nil || r.Added != len(Demo()) || r.People != len(Demo()) || !r.First {
			t.Fatalf("%+v, %v", r, err)
		}
		equal(t, "name", name(t, db, anne), "Dr Anne Martin")
		// The example of the contract with services, to the letter.
		const want = `[{"codeProfession":"10","codeCategorieProfessionnelle":"C","codeCiviliteDexercice":"DR","nomDexercice":"MARTIN","prenomDexercice":"ANNE","codeTypeSavoirFaire":"S","codeSavoirFaire":"SM26","activities":[{"codeModeExercice":"L","codeSecteurDactivite":"SA07","codeSectionPharmacien":"","codeRole":"","codeGenreActivite":"GENR01","numeroSiretSite":"","numeroSirenSite":"","numeroFinessSite":"","numeroFinessetablissementJuridique":"","identifiantTechniqueDeLaStructure":"R10000","raisonSocialeSite":"CABINET MARTIN","enseigneCommercialeSite":"","complementDestinataire":"","complementPointGeographique":"","numeroVoie":"1","indiceRepetitionVoie":"","codeTypeDeVoie":"R","libelleVoie":"NOIR","mentionDistribution":"","bureauCedex":"75009 PARIS","codePostal":"75009","codeCommune":"","codePays":"99000","telephone":"","telephone2":"","telecopie":"","adresseEMail":"","codeDepartement":"","ancienIdentifiantDeLaStructure":"499700000017001","autoriteDenregistrement":"CNOM/CNOM/CNOM"}]}]`
		read(t, db, func(tx *store.Tx) error {
			p, found, err := Find(t.Context(), tx, anne)
			if err != nil || !found || p.CodeCivilite != "MME" || p.GivenName != "ANNE" || p.FamilyName != "MARTIN" || p.ID.Origin() != "RPPS" {
				t.Errorf("%+v %v %v", p, found, err)
			}
			list, err := Exercices(t.Context(), tx, anne)
			if err != nil {
				return err
			}
			got, err := json.Marshal(list)
			equal(t, "exercices", string(got), want)
			return err
		})
		for _, e := range Demo() {
			if id, err := ParseID(string(e.ID)); err != nil || id != e.ID {
				t.Errorf("%s: %v", e.ID, err)
			}
			equal(t, "name", name(t, db, e.ID), e.Professional().DisplayName())
			read(t, db, func(tx *store.Tx) error {
				list, err := Exercices(t.Context(), tx, e.ID)
				equal(t, "exercices", list, e.Exercices)
				return err
			})
			mobile, email := usable(t, db, e.ID)
			equal(t, "contact points", []string{mobile, email}, []string{e.Mobile, e.Email})
		}
		equal(t, "a stranger's name", name(t, db, "899700218896"), "")
		read(t, db, func(tx *store.Tx) error {
			list, err := Exercices(t.Context(), tx, "899700218896")
			equal(t, "a stranger's exercices", len(list), 0)
			return err
		})
	})
}

func TestNamesAreWrittenAsPeopleWriteThem(t *testing.T) {
	for want, p := range map[string]Professional{
		"Dr Anne Martin":            {Title: "DR", PracticeGiven: "ANNE", PracticeName: "MARTIN", FamilyName: "DURAND", GivenName: "ANNE"},
		"Pr Jean-Pierre de La Tour": {Title: "PR", PracticeGiven: "JEAN-PIERRE", PracticeName: "DE LA TOUR"},
		"Élise N'Guessan":           {GivenName: "ÉLISE", FamilyName: "N'GUESSAN"},
		"Paul d'Almeida":            {GivenName: "PAUL", FamilyName: "D'ALMEIDA"},
		"Anne McDonald":             {GivenName: "ANNE", FamilyName: "McDonald"},
		"M. Li":                     {Title: "M", FamilyName: "LI"},
		"Anne Martin":               {Title: "MC", GivenName: "ANNE", FamilyName: "MARTIN"},
		"":                          {},
	} {
		equal(t, "name", p.DisplayName(), want)
	}
	equal(t, "initials", Professional{GivenName: "élise", FamilyName: "MARTIN"}.Initials(), "É. M.")
	equal(t, "initials", Professional{}.Initials(), "")
}

func TestThePublicFileHasNoContactPoints(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		demo := slices.Delete(Demo(), 2, 3) // has two given names, which only the feed says
		r := load(t, db, ImportOptions{}, file(t, Open, demo...))
		equal(t, "added", r.Added, len(demo))
		equal(t, "contact points", r.ContactPoints, 0)
		equal(t, "name", name(t, db, anne), "Dr Anne Martin")
		equal(t, "contact points", len(contacts(t, db, anne)), 0)

		// The feed that comes later adds those of everybody: no reason to stop, and
		// no waiting period. A public file after it leaves them.
		r = load(t, db, ImportOptions{}, file(t, PSC, demo...))
		equal(t, "contact points", r.ContactPoints, 2*len(demo))
		mobile, email := usable(t, db, anne)
		equal(t, "contact points", mobile+" "+email, "+33639980001 anne.martin@example.test")
		load(t, db, ImportOptions{}, file(t, Open, demo...))
		mobile, email = usable(t, db, anne)
		equal(t, "contact points", mobile+" "+email, "+33639980001 anne.martin@example.test")
	})
}

func TestLinesOfAPersonMayStandAnywhere(t *testing.T) {
	list := people(3000)
	var b bytes.Buffer
	if err := Write(&b, PSC, slices.Values(list)); err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(strings.Lines(b.String()))
	inOrder := text(t, b.String())
	// The last line of everybody first.
	body := slices.Clone(lines[1:])
	slices.Reverse(body)
	shuffled := text(t, lines[0]+strings.Join(body, "")+lines[1]) // and one of them twice
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		small := SortIn(all, 64<<10) // as little memory as makes some forty parts
		equal(t, "added", load(t, db, small, shuffled).Added, len(list))
		read(t, db, func(tx *store.Tx) error {
			for _, e := range list {
				got, err := Exercices(t.Context(), tx, e.ID)
				if err != nil {
					return err
				}
				activities := func(list []Exercice) (all []string) {
					for _, x := range list {
						for _, a := range x.Activities {
							all = append(all, fmt.Sprint(x.CodeProfession, x.CodeSavoirFaire, a))
						}
					}
					slices.Sort(all)
					return slices.Compact(all)
				}
				if !slices.Equal(activities(got), activities(e.Exercices)) {
					t.Fatalf("%s: %v\nwant %v", e.ID, got, e.Exercices)
				}
			}
			return nil
		})
		r := load(t, db, ImportOptions{}, inOrder)
		equal(t, "unchanged by another order", r.Unchanged, len(list))
		equal(t, "changed by another order", r.Added+r.Changed+r.Removed, 0)
		equal(t, "rows", rows(t, db, "professionals"), len(list))
	})
}

func TestAMalformedLineIsReportedAndPassedOver(t *testing.T) {
	list := people(60)
	var b bytes.Buffer
	if err := Write(&b, PSC, slices.Values(list)); err != nil {
		t.Fatal(err)
	}
	good := b.String()
	lines := slices.Collect(strings.Lines(good))
	first := func(e Entry) int { // its first line
		return slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "|"+string(e.ID)+"|") })
	}
	cut, garbage := first(list[10]), first(list[20])
	lines[cut] = lines[cut][:60] + "\n" // its id can still be read
	lines[garbage] = "\x00\xff what is this?\n"
	lines = slices.Insert(lines, 5, strings.Repeat("x", 100_000)+"\n", "\n")
	bad := text(t, strings.Join(lines, ""))

	storetest.Each(t, func(t *testing.T, db *store.DB) {
		load(t, db, ImportOptions{}, text(t, good))
		before := name(t, db, list[10].ID)
		var said bytes.Buffer
		o := all
		o.Bad, o.MaxBad = &said, 3
		r := load(t, db, o, bad)
		equal(t, "malformed", r.Malformed, 3)
		want := fmt.Sprintf("extraction.txt:6: the line is too long\nextraction.txt:%d: wrong number of values\nextraction.txt:%d: no readable national id\n", cut+3, garbage+3)
		equal(t, "report", said.String(), want)
		equal(t, "kept", r.Kept, 1)
		equal(t, "who had the malformed line", name(t, db, list[10].ID), before)

		o.MaxBad = 2
		if _, err := Import(t.Context(), db, []string{bad}, o); !errors.Is(err, ErrTooManyBad) {
			t.Errorf("three malformed lines where two are passed over: %v", err)
		}
	})
}

func TestAFileThatChangesTooMuchIsRefused(t *testing.T) {
	list := people(200)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		married := slices.Clone(list)
		for i := range 6 {
			married[i].FamilyName = "NOUVEAU"
		}
		load(t, db, ImportOptions{}, file(t, PSC, list...)) // the first is not guarded
		kept := name(t, db, list[199].ID)

		// 6 changed and 5 removed of 200: 5.5 %.
		r, err := Import(t.Context(), db, []string{file(t, PSC, married[:195]...)}, ImportOptions{})
		var refused *ChangeError
		if !errors.As(err, &refused) {
			t.Fatalf("refused with %v", err)
		}
		equal(t, "numbers", []int{refused.People, refused.Removed, refused.Changed}, []int{200, 5, 6})
		equal(t, "message", err, "the import would remove 5 and change 6 of 200 people (5.5 %), more than 5 %")
		equal(t, "report", []int{r.Added, r.Changed, r.Removed, r.Unchanged}, []int{0, 6, 5, 189})
		if !r.Switched.IsZero() {
			t.Error("the report says that the directory changed")
		}
		equal(t, "who would be removed", name(t, db, list[199].ID), kept)

		// 5 and 5: 5.0 % is not more than 5 %. Additions are not counted.
		married[5].FamilyName = list[5].FamilyName
		r = load(t, db, ImportOptions{}, file(t, PSC, append(slices.Clone(married[:195]), people(400)[200:]...)...))
		equal(t, "report", []int{r.Added, r.Changed, r.Removed, r.Unchanged, r.People}, []int{200, 5, 5, 190, 395})
		equal(t, "who was removed", name(t, db, list[199].ID), "")
		equal(t, "rows", rows(t, db, "professionals"), 395+5)

		if _, err := Import(t.Context(), db, []string{file(t, PSC, list[:50]...)}, ImportOptions{AcceptChange: 0.5}); !errors.As(err, &refused) {
			t.Errorf("87 %% where 50 %% are accepted: %v", err)
		}
		load(t, db, ImportOptions{AcceptChange: 0.9}, file(t, PSC, list[:50]...))
		if _, err := Import(t.Context(), db, []string{file(t, PSC)}, all); !errors.Is(err, ErrNobody) {
			t.Errorf("an empty file: %v", err)
		}
	})
}

func TestAFileThatRemovesTooManyWhoHoldAPhoneIsRefused(t *testing.T) {
	list := people(1000)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		load(t, db, ImportOptions{}, file(t, PSC, list...))
		holders := list[500:]
		o := ImportOptions{Holders: func(_ context.Context, _ *store.Tx, each func(ID)) error {
			for _, e := range slices.Backward(holders) {
				each(e.ID)
			}
			return nil
		}}
		// 2 of 500 holders are 0.4 %, though 2 of 1000 people are little.
		_, err := Import(t.Context(), db, []string{file(t, PSC, list[:998]...)}, o)
		var refused *ChangeError
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
		equal(t, "message", err, "the import would remove 2 of the 500 people who hold a phone (0.40 %), more than 0.2 %")

		// One of them, and 20 who have none, may go; who they are is told.
		r := load(t, db, o, file(t, PSC, list[20:999]...))
		equal(t, "left", r.Left, []ID{list[999].ID})
		equal(t, "removed", r.Removed, 21)
		r = load(t, db, o, file(t, PSC, list[20:]...))
		equal(t, "returned", r.Returned, []ID{list[999].ID})
		equal(t, "left", len(r.Left), 0)
	})
}

func TestReadersSeeTheOldDirectoryOrTheNewOne(t *testing.T) {
	const n = 400
	version := func(v string) []Entry {
		list := people(n)
		for i := range list {
			list[i].FamilyName, list[i].Mobile, list[i].Email = v, "", strings.ToLower(v)+"@example.test"
			for j := range list[i].Exercices {
				list[i].Exercices[j].Nom = v
			}
		}
		return list
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		load(t, db, all, file(t, PSC, version("ANCIEN")...))
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		seen := map[string]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		ids := []ID{version("")[0].ID, version("")[n/2].ID, version("")[n-1].ID}
		look := func(tx *store.Tx) error {
			var names []string
			for _, id := range ids {
				p, _, err := Find(t.Context(), tx, id)
				if err != nil {
					return err
				}
				points, err := Contacts(t.Context(), tx, id)
				if err != nil {
					return err
				}
				standing := slices.DeleteFunc(points, func(c Contact) bool { return c.State(tx.Now) == Old })
				if len(standing) != 1 || standing[0].Value != strings.ToLower(p.FamilyName)+"@example.test" {
					t.Errorf("%s has the contact points %v", p.FamilyName, standing)
				}
				names = append(names, p.FamilyName)
			}
			if len(slices.Compact(names)) != 1 {
				t.Errorf("one reader saw %v", names)
			}
			mu.Lock()
			seen[names[0]]++
			mu.Unlock()
			return nil
		}
		for i := range 3 {
			wg.Go(func() {
				for ctx.Err() == nil {
					door := db.Read
					if i == 0 {
						door = db.Write // as a sign-in does
					}
					if err := door(t.Context(), look); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		next := []string{file(t, PSC, version("NOUVEAU")...), file(t, PSC, version("ANCIEN")...)}
		for i := range 6 {
			if r := load(t, db, all, next[i%2]); r.Changed != n {
				t.Errorf("%+v", r)
			}
		}
		stop()
		wg.Wait()
		if seen["ANCIEN"] == 0 || seen["NOUVEAU"] == 0 || len(seen) != 2 {
			t.Errorf("seen: %v", seen)
		}
		equal(t, "rows", rows(t, db, "professionals"), n)
	})
}

func TestAnInterruptedImportLeavesTheOldDirectory(t *testing.T) {
	list := people(1200)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		load(t, db, all, file(t, PSC, list[:600]...))
		names := func() (all []string) {
			read(t, db, func(tx *store.Tx) error {
				all = nil
				for _, e := range list {
					p, found, err := Find(t.Context(), tx, e.ID)
					if err != nil {
						return err
					}
					points, err := Contacts(t.Context(), tx, e.ID)
					if err != nil {
						return err
					}
					all = append(all, fmt.Sprint(p, found, len(points)))
				}
				return nil
			})
			return all
		}
		before := names()

		// Everybody among the first 300 leaves, the next have other names and
		// addresses, 600 come: interrupted when most of it is written.
		other := slices.Clone(list[300:])
		for i := range other[:300] {
			other[i].FamilyName, other[i].Email = "AUTRE", "autre@example.test"
		}
		ctx, cancel := context.WithCancel(t.Context())
		o := all
		o.Progress = func(p Progress) {
			if p.Step == Writing && p.Done >= 1000 {
				cancel()
			}
		}
		r, err := Import(ctx, db, []string{file(t, PSC, other...)}, o)
		if !errors.Is(err, context.Canceled) || !r.Switched.IsZero() {
			t.Fatalf("%+v, %v", r, err)
		}
		if rows(t, db, "professionals") <= 600 {
			t.Fatal("nothing was written before the interruption: the test shows nothing")
		}
		equal(t, "directory", names(), before)

		// So does one whose last step fails.
		o = all
		o.OnSwitch = func(context.Context, *store.Tx, Report) error { return errors.New("no") }
		if _, err := Import(t.Context(), db, []string{file(t, PSC, other...)}, o); err == nil {
			t.Fatal("no error")
		}
		equal(t, "directory", names(), before)

		// The next import clears away what was left.
		r = load(t, db, all, file(t, PSC, list[:600]...))
		equal(t, "unchanged", r.Unchanged, 600)
		equal(t, "rows", rows(t, db, "professionals"), 600)
		equal(t, "directory", names(), before)
		r = load(t, db, all, file(t, PSC, other...))
		equal(t, "report", []int{r.Added, r.Changed, r.Removed}, []int{600, 300, 300})
		equal(t, "rows", rows(t, db, "professionals"), 1200)
	})
}

func TestOnlyOneImportRunsAtATime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		path := file(t, PSC, Demo()...)
		begun, finish := make(chan struct{}), make(chan struct{})
		first := make(chan error)
		var once sync.Once
		go func() {
			_, err := Import(t.Context(), db, []string{path}, Beating(ImportOptions{Progress: func(Progress) {
				once.Do(func() { close(begun); <-finish })
			}}, 20*time.Millisecond))
			first <- err
		}()
		<-begun
		if _, err := Import(t.Context(), db, []string{path}, Beating(all, 50*time.Millisecond)); !errors.Is(err, ErrRunning) {
			t.Errorf("a second import: %v", err)
		}
		close(finish)
		if err := <-first; err != nil {
			t.Error(err)
		}
		equal(t, "name", name(t, db, anne), "Dr Anne Martin")
		load(t, db, all, path)
	})
}

func TestAnImportThatWasBelievedDeadDoesNoHarm(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		other := Demo()
		other[0].Exercices[0].Nom = "FANTOME"
		stopped, goOn := make(chan struct{}), make(chan struct{})
		first := make(chan error)
		go func() { // its heart beats once an hour, so it looks dead
			var once sync.Once
			_, err := Import(t.Context(), db, []string{file(t, PSC, other...)}, Beating(ImportOptions{Progress: func(p Progress) {
				if p.Step == Reading {
					once.Do(func() { close(stopped); <-goOn })
				}
			}}, time.Hour))
			first <- err
		}()
		<-stopped
		if _, err := Import(t.Context(), db, []string{file(t, PSC, Demo()...)}, Beating(all, 10*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		close(goOn)
		if err := <-first; err == nil {
			t.Error("the import that was taken over says that it succeeded")
		}
		equal(t, "name", name(t, db, anne), "Dr Anne Martin")
	})
}

func TestTheFileIsReadInsideItsArchive(t *testing.T) {
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	for _, entry := range []struct{ name, content string }{
		{"PS_LibreAcces_Dipl_AutExerc_202603020800.txt", "Type d'identifiant PP|Identifiant PP|Identification nationale PP|Nom d'exercice|Prénom d'exercice|Code type diplôme obtenu|\n8|x|\n"},
		{"PS_LibreAcces_Personne_activite_202603020800.txt", string(must(os.ReadFile(file(t, Open, Demo()...))))},
		{"lisez-moi.pdf", "%PDF-1.7\n"},
	} {
		w := must(archive.Create(entry.name))
		if _, err := w.Write([]byte(entry.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	path := text(t, b.String())
	broken := text(t, strings.Replace(b.String(), "PK\x03\x04", "PK\x03\x04\xff", 1))
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := load(t, db, all, path)
		equal(t, "people", r.People, len(Demo()))
		equal(t, "malformed", r.Malformed, 0)
		for _, wrong := range [][]string{{broken}, {text(t, "hello")}, {text(t, "")}, {"/no/such/file"}, {path, text(t, "hello")}, nil} {
			if _, err := Import(t.Context(), db, wrong, all); err == nil {
				t.Errorf("%v was imported", wrong)
			}
		}
		if _, err := Import(t.Context(), db, []string{text(t, "hello")}, all); !errors.Is(err, ErrUnknownFormat) {
			t.Error(err)
		}
	})
}

func TestTheRegisterMayComeInSeveralFiles(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		demo := Demo()
		r := load(t, db, all, file(t, Open, demo...), file(t, PSC, demo[:2]...))
		equal(t, "people", []int{r.People, r.ContactPoints}, []int{len(demo), 4})
		equal(t, "contact points", contacts(t, db, anne), []string{"anne.martin@example.test usable", "+33639980001 usable"})
		equal(t, "contact points", len(contacts(t, db, demo[3].ID)), 0)
		read(t, db, func(tx *store.Tx) error {
			list, err := Exercices(t.Context(), tx, anne)
			equal(t, "exercices", list, demo[0].Exercices)
			return err
		})
	})
}

func TestANewContactPointWaitsAWeek(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		const day = 24 * time.Hour
		demo := Demo()
		load(t, db, all, file(t, PSC, demo[:5]...))
		equal(t, "on the first day", contacts(t, db, anne), []string{"anne.martin@example.test usable", "+33639980001 usable"})

		// Anne has a new number, and somebody comes.
		clock.Add(30 * day)
		demo[0].Mobile = "+33639987777"
		r := load(t, db, all, file(t, PSC, demo...))
		equal(t, "new contact points", r.ContactPoints, 3)
		equal(t, "the next day", contacts(t, db, anne), []string{"anne.martin@example.test usable", "+33639987777 pending", "+33639980001 old"})
		equal(t, "a newcomer", contacts(t, db, demo[5].ID), []string{"paul.dalmeida@example.test pending", "+33639980006 pending"})
		mobile, email := usable(t, db, anne)
		equal(t, "usable", mobile+" "+email, " anne.martin@example.test")

		// The week counts from when the number was first seen, not from each import.
		clock.Add(6 * day)
		load(t, db, all, file(t, PSC, demo...))
		equal(t, "after six days", contacts(t, db, anne), []string{"anne.martin@example.test usable", "+33639987777 pending", "+33639980001 old"})
		clock.Add(day)
		equal(t, "after a week", contacts(t, db, anne), []string{"anne.martin@example.test usable", "+33639987777 usable", "+33639980001 old"})
		read(t, db, func(tx *store.Tx) error {
			list, err := Contacts(t.Context(), tx, anne)
			if len(list) == 3 && (!list[1].Since.Equal(clock.Now().Add(-7*day)) || !list[1].UsableFrom.Equal(clock.Now()) || !list[2].Replaced.Equal(list[1].Since)) {
				t.Errorf("%+v", list)
			}
			return err
		})

		// The old number comes back: it was not there the day before, so it waits.
		demo[0].Mobile = "+33639980001"
		load(t, db, all, file(t, PSC, demo...))
		equal(t, "back to the old number", contacts(t, db, anne), []string{"anne.martin@example.test usable", "+33639980001 pending", "+33639987777 old", "+33639980001 old"})

		// What was replaced is forgotten after a year.
		clock.Add(366 * day)
		load(t, db, all, file(t, PSC, demo...))
		equal(t, "after a year", contacts(t, db, anne), []string{"anne.martin@example.test usable", "+33639980001 usable"})
		equal(t, "rows", rows(t, db, "contacts"), 2*len(demo))

		// No contact point is none, and a landline is none.
		demo[0].Mobile, demo[0].Email = "01 99 00 12 34", ""
		r = load(t, db, all, file(t, PSC, demo...))
		equal(t, "unusable", r.Unusable, 1)
		mobile, email = usable(t, db, anne)
		equal(t, "usable", mobile+email, "")
	})
}

func TestWhoLeavesTheRegisterIsRemembered(t *testing.T) {
	storetest.EachClock(t, func(t *testing.T, db *store.DB, clock *storetest.Clock) {
		const day = 24 * time.Hour
		demo := Demo()
		left := func() (when time.Time, yes bool) {
			read(t, db, func(tx *store.Tx) (err error) {
				when, yes, err = Left(t.Context(), tx, anne)
				return err
			})
			return when, yes
		}
		load(t, db, all, file(t, PSC, demo...))
		if _, yes := left(); yes {
			t.Error("she never left")
		}
		clock.Add(day)
		load(t, db, all, file(t, PSC, demo[1:]...))
		equal(t, "name", name(t, db, anne), "")
		if when, yes := left(); !yes || !when.Equal(clock.Now()) {
			t.Errorf("left: %v %v", when, yes)
		}
		equal(t, "contact points", contacts(t, db, anne), []string{"anne.martin@example.test old", "+33639980001 old"})

		// She comes back with what she had: it waits nevertheless.
		clock.Add(day)
		load(t, db, all, file(t, PSC, demo...))
		equal(t, "name", name(t, db, anne), "Dr Anne Martin")
		if _, yes := left(); yes {
			t.Error("she is back")
		}
		equal(t, "contact points", contacts(t, db, anne), []string{
			"anne.martin@example.test pending", "anne.martin@example.test old", "+33639980001 pending", "+33639980001 old"})
		clock.Add(7 * day)
		mobile, email := usable(t, db, anne)
		equal(t, "usable", mobile+" "+email, "+33639980001 anne.martin@example.test")

		// And leaves for good.
		load(t, db, all, file(t, PSC, demo[1:]...))
		clock.Add(364 * day)
		if _, yes := left(); !yes {
			t.Error("forgotten within the year")
		}
		clock.Add(2 * day)
		if _, yes := left(); yes {
			t.Error("remembered after a year")
		}
		load(t, db, all, file(t, PSC, demo[1:]...))
		equal(t, "rows", []int{rows(t, db, "professionals"), rows(t, db, "contacts")}, []int{len(demo) - 1, 2*len(demo) - 2})
	})
}

func TestTheSwitchIsOneDeed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		o := all
		o.Actor = "operator:camille"
		o.OnSwitch = func(ctx context.Context, tx *store.Tx, r Report) error {
			if p, found, err := Find(ctx, tx, anne); err != nil || !found || p.FamilyName != "MARTIN" || r.Added != len(Demo()) {
				t.Errorf("%+v %v %v %+v", p, found, err, r)
			}
			return audit.Record(ctx, tx, audit.Event{Kind: "test.switched", Actor: "system"})
		}
		load(t, db, o, file(t, PSC, Demo()...))
		read(t, db, func(tx *store.Tx) error {
			var actor, detail string
			err := tx.QueryRow(t.Context(), `SELECT actor, detail FROM audit WHERE kind = $1`, audit.DirectorySwitch).Scan(&actor, &detail)
			if actor != "operator:camille" || !strings.Contains(detail, `"added":"6"`) {
				t.Error(actor, detail)
			}
			return err
		})
		equal(t, "events", rows(t, db, "audit"), 2)
	})
}

func TestTheGeneratorMakesARegister(t *testing.T) {
	var one, same, more, feed bytes.Buffer
	for b, people := range map[*bytes.Buffer]int{&one: 500, &same: 500, &more: 600} {
		if err := Generate(b, people, GenerateOptions{Seed: 3}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(one.Bytes(), same.Bytes()) || !bytes.HasPrefix(more.Bytes(), one.Bytes()) {
		t.Error("the same seed gives other people")
	}
	if err := Generate(&feed, 500, GenerateOptions{Seed: 3, Format: PSC}); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*bytes.Buffer{&one, &feed} {
		for line := range strings.Lines(b.String()) {
			if !strings.HasSuffix(line, "|\n") {
				t.Fatalf("no | at the end of %q", line)
			}
		}
		for line := range strings.Lines(b.String()[strings.IndexByte(b.String(), '\n')+1:]) {
			if _, err := ParseID(strings.Split(line, "|")[2]); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
		}
	}
	several := 0
	for e := range Fictitious(500, 3) {
		if len(e.Exercices) > 1 {
			several++
		}
		if e.Email != "" {
			if got, err := ParseEmail(e.Email); err != nil || got != e.Email {
				t.Errorf("%q: %v", e.Email, err)
			}
		}
		if e.Mobile != "" && !strings.HasPrefix(e.Mobile, "+3363998") {
			t.Errorf("%q is not of the range for fiction", e.Mobile)
		}
	}
	if several == 0 {
		t.Error("nobody has several exercices")
	}
	if Generate(&one, -1, GenerateOptions{}) == nil || Generate(&one, 1, GenerateOptions{Format: "x"}) == nil {
		t.Error("nonsense was generated")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
