package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// ErrUnknownFormat says that a file is neither of the two that are imported.
var ErrUnknownFormat = errors.New("neither the open extraction of the register nor the feed of Pro Santé Connect")

// A Format is one of the two files that the register gives out.
type Format string

// The formats.
const (
	Open Format = "open" // PS_LibreAcces_Personne_activite: public, without contact points
	PSC  Format = "psc"  // Extraction_ProSanteConnect_Personne_activite: with contact points
)

// A column is what one value of a line means to the directory.
type column int

// What is read of a line. Everything else in it (birth, labels) is not kept.
// Those from firstOfRow on are stored as they stand, in this order, which is
// that of the fields of [Exercice] and [Activity].
const (
	colType     column = iota // type digit
	colNumber                 // id without its type digit
	colID                     // national id
	colCivility               // M, MME
	colFamily
	colGiven
	colMobile // private, "(coord. correspondance)"
	colEmail  // private, "(coord. correspondance)"
	firstOfRow

	colName      = firstOfRow + 3 // nom d'exercice
	colGivenName = firstOfRow + 4 // prénom d'exercice
	columns      = firstOfRow + 37
)

// spellings are the names of the columns in the order of their constants, as
// [plain] leaves them; several names of one column are divided by commas.
var spellings = strings.Split(""+
	"type identifiant;identifiant;identification nationale;code civilite;nom famille;prenoms,prenom;"+
	"telephone correspondance,telephone mobile correspondance,telephone portable correspondance;adresse email correspondance,email correspondance,adresse mail correspondance,mail correspondance;"+
	"code profession;code categorie professionnelle,code categorie;code civilite exercice;nom exercice;prenom exercice;"+
	"code type savoir faire;code savoir faire;"+
	"code mode exercice;code secteur activite,code secteur;code section tableau pharmaciens,code section pharmacien,code section tableau pharmacien;"+
	"code role;code genre activite,genre activite;"+
	"siret;siren;finess;finess etablissement juridique,finess ej;identifiant technique;raison sociale;enseigne commerciale,enseigne;"+
	"complement destinataire;complement point geographique,complement point geo;voie;indice repetition voie,indice,indice repetition;"+
	"code type voie;libelle voie;mention distribution;bureau cedex;code postal;code commune;code pays;"+
	"telephone;telephone 2;telecopie;adresse email,email,adresse mail,mail;"+
	"code departement;ancien identifiant;autorite enregistrement", ";")

// meanings is spellings the other way round.
var meanings = func() map[string]column {
	m := map[string]column{}
	for c, names := range spellings {
		for name := range strings.SplitSeq(names, ",") {
			m[name] = column(c)
		}
	}
	return m
}()

// The header lines of both formats, as published. They serve the generator, and
// the reader where a header is spelled in a way nobody foresaw: then the place
// of a column tells what it is.
var headers = map[Format][]string{
	Open: strings.Split("Type d'identifiant PP|Identifiant PP|Identification nationale PP|Code civilité d'exercice|Libellé civilité d'exercice|"+
		"Code civilité|Libellé civilité|Nom d'exercice|Prénom d'exercice|Code profession|Libellé profession|Code catégorie professionnelle|"+
		"Libellé catégorie professionnelle|Code type savoir-faire|Libellé type savoir-faire|Code savoir-faire|Libellé savoir-faire|"+
		"Code mode exercice|Libellé mode exercice|Numéro SIRET site|Numéro SIREN site|Numéro FINESS site|Numéro FINESS établissement juridique|"+
		"Identifiant technique de la structure|Raison sociale site|Enseigne commerciale site|Complément destinataire (coord. structure)|"+
		"Complément point géographique (coord. structure)|Numéro Voie (coord. structure)|Indice répétition voie (coord. structure)|"+
		"Code type de voie (coord. structure)|Libellé type de voie (coord. structure)|Libellé Voie (coord. structure)|"+
		"Mention distribution (coord. structure)|Bureau cedex (coord. structure)|Code postal (coord. structure)|Code commune (coord. structure)|"+
		"Libellé commune (coord. structure)|Code pays (coord. structure)|Libellé pays (coord. structure)|Téléphone (coord. structure)|"+
		"Téléphone 2 (coord. structure)|Télécopie (coord. structure)|Adresse e-mail (coord. structure)|Code Département (structure)|"+
		"Libellé Département (structure)|Ancien identifiant de la structure|Autorité d'enregistrement|Code secteur d'activité|"+
		"Libellé secteur d'activité|Code section tableau pharmaciens|Libellé section tableau pharmaciens|Code rôle|Libellé rôle|"+
		"Code genre activité|Libellé genre activité", "|"),
	PSC: strings.Split("Type d'identifiant PP|Identifiant PP|Identification nationale PP|Nom de famille|Prénoms|Date de naissance|"+
		"Code commune de naissance|Code pays de naissance|Lieu de naissance|Code sexe|Téléphone (coord. correspondance)|"+
		"Adresse e-mail (coord. correspondance)|Code civilité|Code profession|Code catégorie professionnelle|Code civilité d'exercice|"+
		"Nom d'exercice|Prénom d'exercice|Code type savoir-faire|Code savoir-faire|Code mode exercice|Code secteur d'activité|"+
		"Code section tableau pharmaciens|Code rôle|Numéro SIRET site|Numéro SIREN site|Numéro FINESS site|"+
		"Numéro FINESS établissement juridique|Identifiant technique de la structure|Raison sociale site|Enseigne commerciale site|"+
		"Complément destinataire (coord. structure)|Complément point géographique (coord. structure)|Numéro Voie (coord. structure)|"+
		"Indice répétition voie (coord. structure)|Code type de voie (coord. structure)|Libellé Voie (coord. structure)|"+
		"Mention distribution (coord. structure)|Bureau cedex (coord. structure)|Code postal (coord. structure)|Code commune (coord. structure)|"+
		"Code pays (coord. structure)|Téléphone (coord. structure)|Téléphone 2 (coord. structure)|Télécopie (coord. structure)|"+
		"Adresse e-mail (coord. structure)|Code Département (structure)|Ancien identifiant de la structure|Autorité d'enregistrement|"+
		"Code genre activité", "|"),
}

// A layout says where in the lines of one file each column stands.
type layout struct {
	format  Format
	named   int          // values in a line, without the empty one after a | at the end
	closed  bool         // lines end in |
	meaning []column     // of each value; -1: not read
	at      [columns]int // where each column stands; -1: nowhere
}

// readHeader finds out what file begins with this line. The error wraps
// [ErrUnknownFormat].
func readHeader(line string) (layout, error) {
	names := strings.Split(strings.TrimRight(strings.TrimPrefix(line, "\ufeff"), "\r\n"), "|")
	if len(names) > 200 {
		return layout{}, ErrUnknownFormat
	}
	l := layout{named: len(names)}
	if names[len(names)-1] == "" {
		l.named, l.closed = l.named-1, true
	}
	l.meaning = make([]column, len(names))
	for c := range l.at {
		l.at[c] = -1
	}
	known := 0
	for i, name := range names {
		l.meaning[i] = -1
		if c, ok := meanings[plain(name)]; ok {
			known++
			l.claim(i, c)
		}
	}
	if known < 5 { // a line of values, or of another file
		return layout{}, ErrUnknownFormat
	}
	l.guess(names)
	l.format = Open
	if mobile, email := l.at[colMobile] >= 0, l.at[colEmail] >= 0; mobile != email {
		return layout{}, fmt.Errorf("%w: of the two private contact columns only one is there", ErrUnknownFormat)
	} else if mobile {
		l.format = PSC
	}
	// The register's other files (diplomas, skills) begin with the same columns.
	identified := l.at[colID] >= 0 || l.at[colType] >= 0 && l.at[colNumber] >= 0
	if !identified || !l.has("code profession") || !l.has("code mode exercice") || !l.has("nom exercice") {
		return layout{}, ErrUnknownFormat
	}
	return l, nil
}

// guess gives the columns whose names were not understood the meaning that
// their place has in the published file as wide as this one. A contact point is
// never guessed from its place alone.
func (l *layout) guess(names []string) {
	for _, f := range []Format{Open, PSC} {
		published := headers[f]
		if l.named != len(published) && (f != PSC || l.named != len(published)-1) {
			continue
		}
		for i, name := range names[:l.named] {
			if _, understood := meanings[plain(name)]; understood {
				continue
			}
			c, read := meanings[plain(published[i])]
			private := c == colMobile || c == colEmail
			if read && (!private || strings.Contains(plain(name), "corresp")) {
				l.claim(i, c)
			}
		}
	}
}

// claim has the i-th value mean c, unless another one does.
func (l *layout) claim(i int, c column) {
	if l.at[c] < 0 {
		l.at[c], l.meaning[i] = i, c
	}
}

func (l *layout) has(spelling string) bool {
	return l.at[meanings[spelling]] >= 0
}

var smallWords = strings.Fields("d de du des l la le les et en au aux par pp coord coordonnees structure site n no num numero")

// plain simplifies a column's name to what does not vary between issues: small
// letters without accents, without punctuation, without words that say little.
// "correspondance" stays: it is all that tells a person's own telephone from
// that of the place.
func plain(name string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ToLower(name)) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		default:
			b.WriteByte(' ')
		}
	}
	words := slices.DeleteFunc(strings.Fields(b.String()), func(w string) bool { return slices.Contains(smallWords, w) })
	s := strings.ReplaceAll(strings.Join(words, " "), "e mail", "email")
	return strings.ReplaceAll(s, "telephone2", "telephone 2")
}
