package directory

import (
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strings"
)

// GenerateOptions are the choices of [Generate].
type GenerateOptions struct {
	Seed   uint64 // the same seed gives the same people; the first are the same whatever their number
	Format Format // "": Open
}

// firstGenerated is the RPPS number, without its key, of the first generated
// person: in the range 997… that the register uses for tests. Smaller ones are
// for [Demo].
const firstGenerated = 9_970_001_000

// Generate writes a file of the register with people who do not exist. Their
// ids have right keys, their mobile numbers are of the range that is kept for
// fiction (06 39 98 …), their addresses end in example.test.
func Generate(w io.Writer, people int, o GenerateOptions) error {
	if most := 9_999_999_999 - firstGenerated; people < 0 || people > most {
		return fmt.Errorf("generating %d people: between 0 and %d can be", people, most)
	}
	if o.Format == "" {
		o.Format = Open
	}
	if err := Write(w, o.Format, Fictitious(people, o.Seed)); err != nil {
		return fmt.Errorf("generating %d people: %w", people, err)
	}
	return nil
}

// Fictitious yields people who do not exist, as [Generate] writes them.
func Fictitious(people int, seed uint64) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range people {
			if !yield(fictitious(firstGenerated+i, rand.New(rand.NewPCG(seed, uint64(i))))) {
				return
			}
		}
	}
}

// keyed completes an RPPS number of ten digits by its key.
func keyed(number int) ID {
	for key := range 10 {
		if s := fmt.Sprintf("%d%d", number, key); luhn(s) == 0 {
			return ID("8" + s)
		}
	}
	return ""
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func fictitious(number int, r *rand.Rand) Entry {
	woman := r.IntN(100) < 60
	e := Entry{ID: keyed(number), CodeCivilite: "M", FamilyName: pick(r, familyNames), GivenNames: pick(r, menNames)}
	if woman {
		e.CodeCivilite, e.GivenNames = "MME", pick(r, womenNames)
	}
	if r.IntN(100) < 15 {
		e.FamilyName += "-" + pick(r, familyNames)
	}
	given, _, _ := strings.Cut(e.GivenNames, " ")
	if r.IntN(100) < 88 {
		e.Mobile = fmt.Sprintf("+3363998%04d", r.IntN(10000))
	}
	if r.IntN(100) < 85 {
		e.Email = fmt.Sprintf("%s.%s.%d@example.test", plainName(given), plainName(e.FamilyName), number%1000000)
	}
	p := pick(r, professions)
	exercices := 1
	if r.IntN(100) < 4 {
		exercices = 2
	}
	for range exercices {
		x := Exercice{
			CodeProfession: p.code, CodeCategorieProfessionnelle: "C", CodeCivilite: p.title,
			Nom: e.FamilyName, Prenom: given, Activities: []Activity{},
		}
		if r.IntN(100) < 2 {
			x.CodeCategorieProfessionnelle = "E"
		}
		if len(p.skills) > 0 {
			x.CodeTypeSavoirFaire, x.CodeSavoirFaire = "S", pick(r, p.skills)
		}
		activities := 1
		switch n := r.IntN(100); {
		case n < 4:
			activities = 3
		case n < 20:
			activities = 2
		}
		for range activities {
			x.Activities = append(x.Activities, activity(r, p, e.FamilyName))
		}
		if !sameAsAny(e.Exercices, &x) {
			e.Exercices = append(e.Exercices, x)
		}
	}
	return e
}

func sameAsAny(list []Exercice, x *Exercice) bool {
	for i := range list {
		if sameExercice(&list[i], x) {
			return true
		}
	}
	return false
}

// activity makes a place of work: a practice of one's own, or an institution.
func activity(r *rand.Rand, p profession, name string) Activity {
	town, n := pick(r, towns), r.IntN(1_000_000)
	a := Activity{
		CodeModeExercice: "L", CodeSecteurActivite: "SA07", CodeGenreActivite: "GENR01",
		IdentifiantTechnique: fmt.Sprintf("R%011d", n),
		NumeroVoie:           fmt.Sprint(1 + r.IntN(150)), CodeTypeVoie: pick(r, []string{"R", "AV", "BD", "PL"}), LibelleVoie: pick(r, streets),
		BureauCedex: town.code + " " + town.name, CodePostal: town.code, CodeCommune: town.commune, CodePays: "99000",
		CodeDepartement: town.department, AutoriteEnregistrement: p.authority,
	}
	if r.IntN(100) < 45 {
		a.CodeModeExercice, a.CodeSecteurActivite = "S", "SA01"
		a.NumeroSiren = fmt.Sprintf("%09d", 200_000_000+n)
		a.NumeroSiret = a.NumeroSiren + "00015"
		a.NumeroFiness = fmt.Sprintf("%s%07d", town.department, n)
		a.NumeroFinessEJ = fmt.Sprintf("%s%07d", town.department, n/10)
		a.IdentifiantTechnique = "F" + a.NumeroFiness
		a.RaisonSociale = pick(r, []string{"CENTRE HOSPITALIER DE ", "CLINIQUE DE ", "CENTRE DE SANTE DE ", "EHPAD DE "}) + town.name
		a.ComplementDestinataire = pick(r, []string{"", "SERVICE DE MEDECINE", "PHARMACIE A USAGE INTERIEUR"})
		a.ComplementPointGeographique = pick(r, []string{"", "BATIMENT A", "BATIMENT PRINCIPAL"})
	} else {
		a.RaisonSociale = "CABINET " + name
		a.EnseigneCommerciale = pick(r, []string{"", "", "CABINET " + name})
		a.AncienIdentifiant = fmt.Sprintf("4%011d%03d", n, 1)
	}
	if p.code == "21" {
		a.CodeSectionPharmacien = pick(r, []string{"A", "D", "H"})
		a.CodeRole = pick(r, []string{"FON-18", "FON-37", ""})
	}
	if r.IntN(100) < 70 {
		a.Telephone = fmt.Sprintf("019900%04d", r.IntN(10000)) // of the range kept for fiction
	}
	if r.IntN(100) < 20 {
		a.Telecopie = fmt.Sprintf("019900%04d", r.IntN(10000))
	}
	if r.IntN(100) < 15 {
		a.AdresseEmail = fmt.Sprintf("contact.%d@example.test", n)
	}
	return a
}

// plainName is a name as it stands in an e-mail address.
func plainName(s string) string { return strings.ReplaceAll(plain(s), " ", "-") }

// Demo is the handful of people of demonstrations and tests. The first is the
// example of this project's documents.
func Demo() []Entry {
	practice := func(id, name, number, street, code, town, department, old, authority string) Activity {
		return Activity{
			CodeModeExercice: "L", CodeSecteurActivite: "SA07", CodeGenreActivite: "GENR01", IdentifiantTechnique: id, RaisonSociale: name,
			NumeroVoie: number, CodeTypeVoie: "R", LibelleVoie: street, BureauCedex: code + " " + town, CodePostal: code, CodePays: "99000",
			CodeDepartement: department, AncienIdentifiant: old, AutoriteEnregistrement: authority,
		}
	}
	hospital := Activity{
		CodeModeExercice: "S", CodeSecteurActivite: "SA01", CodeGenreActivite: "GENR01", NumeroFiness: "350000099", NumeroFinessEJ: "350000098",
		IdentifiantTechnique: "F350000099", RaisonSociale: "CHU DE RENNES (FICTIF)", NumeroVoie: "2", CodeTypeVoie: "R", LibelleVoie: "DES IRIS",
		BureauCedex: "35000 RENNES", CodePostal: "35000", CodeCommune: "35238", CodePays: "99000", CodeDepartement: "35", AutoriteEnregistrement: "CNOM/CNOM/CNOM",
	}
	nursing := hospital
	nursing.AutoriteEnregistrement = "CNOI/CNOI/CNOI"
	pharmacy := practice("R10003", "PHARMACIE DU PORT", "7", "DU PORT", "44000", "NANTES", "44", "", "CNOP/CNOP/CNOP")
	pharmacy.CodeSectionPharmacien, pharmacy.CodeRole, pharmacy.CodeSecteurActivite = "A", "FON-18", "SA33"
	one := func(profession, title, family, given, skill string, activities ...Activity) Exercice {
		x := Exercice{CodeProfession: profession, CodeCategorieProfessionnelle: "C", CodeCivilite: title, Nom: family, Prenom: given, Activities: activities}
		if skill != "" {
			x.CodeTypeSavoirFaire, x.CodeSavoirFaire = "S", skill
		}
		return x
	}
	return []Entry{
		{"8" + specimen, "MME", "MARTIN", "ANNE", "+33639980001", "anne.martin@example.test", []Exercice{
			one("10", "DR", "MARTIN", "ANNE", "SM26", practice("R10000", "CABINET MARTIN", "1", "NOIR", "75009", "PARIS", "", "499700000017001", "CNOM/CNOM/CNOM"))}},
		{keyed(9970000002), "M", "BENALI", "KARIM", "+33639980002", "karim.benali@example.test", []Exercice{one("60", "", "BENALI", "KARIM", "", nursing)}},
		{keyed(9970000003), "MME", "LE GOFF", "SOPHIE MARIE", "+33639980003", "sophie.le-goff@example.test", []Exercice{one("21", "", "LE GOFF", "SOPHIE", "", pharmacy)}},
		{keyed(9970000004), "M", "DUPONT-LEROY", "JEAN-PIERRE", "+33639980004", "jean-pierre.dupont-leroy@example.test", []Exercice{
			one("10", "PR", "DUPONT-LEROY", "JEAN-PIERRE", "SM02", hospital, practice("R10004", "CABINET DES LICES", "12", "DES LICES", "35000", "RENNES", "35", "", "CNOM/CNOM/CNOM"))}},
		{keyed(9970000005), "MME", "DIALLO", "AMINATA", "+33639980005", "aminata.diallo@example.test", []Exercice{
			one("50", "", "DIALLO", "AMINATA", "", practice("R10005", "CABINET DES TILLEULS", "5", "DES TILLEULS", "69003", "LYON", "69", "", "CNOSF/CNOSF/CNOSF")),
			one("60", "", "DIALLO", "AMINATA", "", nursing)}},
		{keyed(9970000006), "M", "D'ALMEIDA", "PAUL", "+33639980006", "paul.dalmeida@example.test", []Exercice{
			one("40", "DR", "D'ALMEIDA", "PAUL", "", practice("R10006", "CABINET DENTAIRE DU PARC", "30", "DU PARC", "13008", "MARSEILLE", "13", "", "ONCD/ONCD/ONCD"))}},
	}
}

type profession struct {
	code, title, authority string
	skills                 []string
}

// professions stand as often as they are frequent.
var professions = []profession{
	{"10", "DR", "CNOM/CNOM/CNOM", []string{"SM26", "SM26", "SM02", "SM04", "SM20", "SM40", "SM53", "SM54"}},
	{"10", "DR", "CNOM/CNOM/CNOM", []string{"SM26", "SM42", "SM45"}},
	{"21", "", "CNOP/CNOP/CNOP", nil},
	{"40", "DR", "ONCD/ONCD/ONCD", nil},
	{"50", "", "CNOSF/CNOSF/CNOSF", nil},
	{"60", "", "CNOI/CNOI/CNOI", nil}, {"60", "", "CNOI/CNOI/CNOI", nil}, {"60", "", "CNOI/CNOI/CNOI", nil}, {"60", "", "CNOI/CNOI/CNOI", nil},
	{"70", "", "CNOMK/CNOMK/CNOMK", nil},
	{"80", "", "CNOPP/CNOPP/CNOPP", nil},
}

var communes = func() map[string]string {
	m := map[string]string{}
	for _, t := range towns {
		m[t.commune] = nameCase(t.name)
	}
	return m
}()

type town struct{ code, name, commune, department string }

var towns = []town{
	{"75009", "PARIS", "75109", "75"}, {"13008", "MARSEILLE", "13208", "13"}, {"69003", "LYON", "69383", "69"}, {"31000", "TOULOUSE", "31555", "31"},
	{"06000", "NICE", "06088", "06"}, {"44000", "NANTES", "44109", "44"}, {"34000", "MONTPELLIER", "34172", "34"}, {"67000", "STRASBOURG", "67482", "67"},
	{"33000", "BORDEAUX", "33063", "33"}, {"59000", "LILLE", "59350", "59"}, {"35000", "RENNES", "35238", "35"}, {"51100", "REIMS", "51454", "51"},
	{"42000", "SAINT-ETIENNE", "42218", "42"}, {"83000", "TOULON", "83137", "83"}, {"38000", "GRENOBLE", "38185", "38"}, {"21000", "DIJON", "21231", "21"},
	{"20000", "AJACCIO", "2A004", "2A"}, {"29200", "BREST", "29019", "29"}, {"87000", "LIMOGES", "87085", "87"}, {"97400", "SAINT-DENIS", "97411", "974"},
}

var (
	streets = []string{"NOIR", "DE LA REPUBLIQUE", "DES TILLEULS", "VICTOR HUGO", "DU GENERAL DE GAULLE", "DE L'EGLISE", "PASTEUR", "JEAN JAURES",
		"DES ECOLES", "DU MARECHAL FOCH", "DE LA GARE", "MARIE CURIE", "DES LILAS", "DU MOULIN"}
	familyNames = []string{"MARTIN", "BERNARD", "THOMAS", "PETIT", "ROBERT", "RICHARD", "DURAND", "DUBOIS", "MOREAU", "LAURENT", "SIMON", "MICHEL",
		"LEFÈVRE", "LEROY", "ROUX", "DAVID", "BERTRAND", "MOREL", "FOURNIER", "GIRARD", "BONNET", "DUPONT", "LAMBERT", "FONTAINE", "ROUSSEAU", "VINCENT",
		"MULLER", "LE GALL", "FAURE", "ANDRÉ", "MERCIER", "BLANC", "GUÉRIN", "BOYER", "GARNIER", "CHEVALIER", "FRANÇOIS", "LEGRAND", "GAUTHIER", "GARCIA",
		"PERRIN", "ROBIN", "CLÉMENT", "MORIN", "NICOLAS", "HENRY", "ROUSSEL", "MATHIEU", "GAUTIER", "MASSON", "NGUYEN", "DA SILVA", "DIALLO", "BENALI", "D'ALMEIDA"}
	womenNames = []string{"ANNE", "MARIE", "CAMILLE", "JULIE", "SOPHIE", "CLAIRE", "ISABELLE MARIE", "NATHALIE", "CÉLINE", "AURÉLIE", "LÉA", "MANON", "CHLOÉ",
		"ÉMILIE", "FATIMA", "AMINATA", "NADIA", "MARIE-CLAUDE", "HÉLÈNE FRANÇOISE", "CATHERINE", "VALÉRIE", "LUCIE", "SARAH", "INÈS", "THI MAI"}
	menNames = []string{"JEAN", "PIERRE", "MICHEL", "PHILIPPE", "JEAN-PIERRE", "NICOLAS", "JULIEN", "THOMAS", "ALEXANDRE", "KARIM", "MOHAMED", "LUCAS",
		"HUGO", "ANTOINE MARIE", "FRANÇOIS", "LAURENT", "STÉPHANE", "OLIVIER", "JÉRÔME", "PAUL", "LOUIS ANDRÉ", "MAXIME", "RACHID", "ÉRIC"}
	births = map[string][]string{
		"Date de naissance":         {"03/02/1958", "17/11/1963", "25/06/1971", "09/09/1978", "30/01/1984", "12/12/1991"},
		"Code commune de naissance": {"75109", "13055", "69123", "35238", "59350"},
		"Code pays de naissance":    {"99000"},
		"Lieu de naissance":         {"PARIS", "MARSEILLE", "LYON", "RENNES", "LILLE"},
	}
)

// labels are the words of the register for its codes, where the generator uses
// them. The importer reads none of them.
var labels = map[column]map[string]string{
	firstOfRow:     {"10": "Médecin", "21": "Pharmacien", "40": "Chirurgien-Dentiste", "50": "Sage-Femme", "60": "Infirmier", "70": "Masseur-Kinésithérapeute", "80": "Pédicure-Podologue"},
	firstOfRow + 1: {"C": "Civil", "E": "Etudiant", "M": "Militaire"},
	firstOfRow + 2: {"DR": "Docteur", "PR": "Professeur"},
	firstOfRow + 5: {"S": "Spécialité ordinale"},
	firstOfRow + 6: {"SM02": "Anesthésie-réanimation", "SM04": "Cardiologie et maladies vasculaires", "SM20": "Gynécologie-obstétrique", "SM26": "Qualifié en Médecine Générale",
		"SM40": "Pédiatrie", "SM42": "Psychiatrie", "SM45": "Radio-diagnostic", "SM53": "Spécialiste en Médecine Générale", "SM54": "Médecine Générale"},
	firstOfRow + 7:  {"L": "Libéral, indépendant, artisan, commerçant", "S": "Salarié"},
	firstOfRow + 8:  {"SA01": "Etablissement public de santé", "SA07": "Cabinet individuel", "SA33": "Pharmacie d'officine"},
	firstOfRow + 9:  {"A": "Titulaires d'officine", "D": "Adjoints et remplaçants d'officine", "H": "Pharmaciens des établissements de santé"},
	firstOfRow + 10: {"FON-18": "Titulaire d'officine", "FON-37": "Pharmacien adjoint"},
	firstOfRow + 11: {"GENR01": "Activité standard de soin ou de pharmacien"},
	firstOfRow + 23: {"R": "Rue", "AV": "Avenue", "BD": "Boulevard", "PL": "Place"},
	firstOfRow + 28: communes,
	firstOfRow + 29: {"99000": "France"},
	firstOfRow + 34: {"75": "Paris", "13": "Bouches-du-Rhône", "69": "Rhône", "35": "Ille-et-Vilaine", "44": "Loire-Atlantique", "974": "La Réunion"},
	colCivility:     {"M": "Monsieur", "MME": "Madame"},
}
