package directory

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestBothFilesAreRecognisedByTheirHeader(t *testing.T) {
	for format, names := range headers {
		for _, end := range []string{"", "|", "|\r\n"} {
			l, err := readHeader("\ufeff" + strings.Join(names, "|") + end)
			if err != nil || l.format != format || l.named != len(names) {
				t.Fatalf("%s: %v, %+v", format, err, l)
			}
			for c, at := range l.at {
				private := column(c) == colMobile || column(c) == colEmail || column(c) == colFamily || column(c) == colGiven
				if at < 0 && !(format == Open && private) {
					t.Errorf("%s: nothing found for %q", format, spellings[c])
				}
			}
		}
	}
	if got := []int{len(headers[Open]), len(headers[PSC])}; !slices.Equal(got, []int{56, 50}) {
		t.Errorf("%d columns published", got)
	}
}

func TestAHeaderMayBeSpelledOtherwise(t *testing.T) {
	spell := map[string]func(string) string{
		"capitals without accents": func(s string) string {
			return strings.NewReplacer("É", "E", "È", "E", "Ô", "O").Replace(strings.ToUpper(s))
		},
		"other small words": func(s string) string {
			return strings.NewReplacer(" de la ", " ", " d'", " ", "coord.", "coordonnées", " PP", "", "Numéro ", "N° ", "e-mail", "email").Replace(s)
		},
		"broken accents":   func(s string) string { return strings.NewReplacer("é", "Ã©", "ô", "Ã´", "è", "Ã¨").Replace(s) },
		"lost accents":     func(s string) string { return strings.NewReplacer("é", "\ufffd", "ô", "\ufffd").Replace(s) },
		"unforeseen names": func(s string) string { return strings.ReplaceAll(s, "Code ", "Kode ") },
	}
	for format, names := range headers {
		published, _ := readHeader(strings.Join(names, "|") + "|")
		for how, respell := range spell {
			got, err := readHeader(respell(strings.Join(names, "|")) + "|")
			if err != nil || got.at != published.at || got.format != format {
				t.Errorf("%s, %s: %v\n got %v\nwant %v", format, how, err, got.at, published.at)
			}
		}
	}
	// Columns in another order, and one that nobody knows.
	l, err := readHeader("Nom d'exercice|Couleur|Prénom d'exercice|Code profession|Code mode exercice|Identification nationale PP")
	if err != nil || l.at[colID] != 5 || l.at[colName] != 0 || l.at[colGivenName] != 2 {
		t.Errorf("%v: %v", err, l.at)
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	for _, header := range []string{
		"", "a|b|c", strings.Repeat("|", 56), strings.Repeat("|", 49),
		"8|99700000017|899700000017|DR|Docteur|MME|Madame|MARTIN|ANNE" + strings.Repeat("|", 48),
		// The register's file of skills, published in the same archive.
		"Type d'identifiant PP|Identifiant PP|Identification nationale PP|Nom d'exercice|Prénom d'exercice|Code profession|Libellé profession|Code catégorie professionnelle|Libellé catégorie professionnelle|Code type savoir-faire|Libellé type savoir-faire|Code savoir-faire|Libellé savoir-faire|",
	} {
		if _, err := readHeader(header); !errors.Is(err, ErrUnknownFormat) {
			t.Errorf("%.60q: %v", header, err)
		}
	}
}

func TestTheTelephoneOfAPlaceIsNobodysContactPoint(t *testing.T) {
	// A feed whose private columns are spelled beyond recognition has no contact
	// points: a place's own telephone must not take their place.
	names := slices.Clone(headers[PSC])
	names[10], names[11] = "Téléphone", "Adresse e-mail"
	l, err := readHeader(strings.Join(names, "|"))
	if err != nil || l.at[colMobile] >= 0 || l.at[colEmail] >= 0 || l.format != Open {
		t.Errorf("%v: %v", err, l.at)
	}
	names[10], names[11] = "Numéro privé", "Adresse e-mail (coord. correspondance)"
	if _, err = readHeader(strings.Join(names, "|")); !errors.Is(err, ErrUnknownFormat) {
		t.Errorf("a feed without numbers would take everybody's: %v", err)
	}
	names[10], names[11] = "???", "!!!"
	if l, err = readHeader(strings.Join(names, "|")); err != nil || l.at[colMobile] >= 0 || l.at[colEmail] >= 0 {
		t.Errorf("%v: %v", err, l.at)
	}
}

func TestALineIsReadIntoItsParts(t *testing.T) {
	l, err := readHeader(strings.Join(headers[PSC], "|") + "|")
	if err != nil {
		t.Fatal(err)
	}
	const text = "8|99700000017|899700000017|MARTIN|Anne'Marie'|01/02/1970|75109|99000|PARIS|F|06 39 98 00 01|Anne.Martin@Example.test|MME|10|C|DR|MARTIN DURAND|ANNE|S|SM26|L|SA07|||||||R10000|CABINET MARTIN||||1||R|NOIR||75009 PARIS|75009||99000|0100000000||||75|499700000017001|CNOM/CNOM/CNOM|GENR01|"
	for _, s := range []string{text, strings.TrimSuffix(text, "|")} {
		got, err := l.parse(s)
		if err != nil || got.id != "899700000017" || got.family != "MARTIN" || got.given != "Anne Marie" || got.civility != "MME" || got.mobile != "+33639980001" || got.email != "anne.martin@example.test" {
			t.Fatalf("%+v, %v", got, err)
		}
		e, a := parseRow(got.row)
		if e.Nom != "MARTIN DURAND" || e.CodeSavoirFaire != "SM26" || a.CodeModeExercice != "L" || a.CodeGenreActivite != "GENR01" || a.Telephone != "0100000000" || a.AutoriteEnregistrement != "CNOM/CNOM/CNOM" {
			t.Errorf("%+v %+v", e, a)
		}
	}
	for s, want := range map[string]error{
		"":                                    errNoID,
		strings.Repeat("|", 50):               errNoID,
		text + "|":                            errWidth,
		strings.Replace(text, "|10|", "|", 1): errWidth,
		strings.Replace(text, "NOIR", "NO\xe9R", 1):                                                   errNotText,
		strings.Replace(text, "NOIR", "NO\x00R", 1):                                                   errNotText,
		strings.Replace(strings.Replace(text, "MARTIN DURAND", "", 1), "|MARTIN|Anne'", "||Anne'", 1): errNoName,
	} {
		if _, err := l.parse(s); err != want {
			t.Errorf("%.50q: %v, want %v", s, err, want)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	open, _ := readHeader(strings.Join(headers[Open], "|") + "|")
	psc, _ := readHeader(strings.Join(headers[PSC], "|") + "|")
	f.Add("8|99700000017|899700000017|DR|Docteur|MME|Madame|MARTIN|ANNE|10" + strings.Repeat("|", 47))
	f.Add("8|99700000017|899700000017|MARTIN|Anne'Marie'|||||F|0639980001|a@b.test|MME|10" + strings.Repeat("|", 37))
	f.Fuzz(func(t *testing.T, s string) {
		for _, l := range []layout{open, psc} {
			got, err := l.parse(s)
			if err != nil {
				continue
			}
			if got.id == "" || got.family == "" || strings.Count(got.row, "|") != int(columns-firstOfRow)-1 {
				t.Fatalf("%q: %+v", s, got)
			}
			if e, a := parseRow(got.row); got.row != formatRow(&e, &a) {
				t.Fatalf("%q does not come back from %+v %+v", got.row, e, a)
			}
		}
	})
}

func FuzzReadHeader(f *testing.F) {
	f.Add(strings.Join(headers[Open], "|") + "|")
	f.Add(strings.Join(headers[PSC], "|"))
	f.Fuzz(func(t *testing.T, s string) {
		if l, err := readHeader(s); err == nil {
			_, _ = l.parse(s)
		}
	})
}
