package directory

import "strings"

// An Exercice is one profession that a person practises, with the activities in
// which they do. Its fields are the columns of the register, "" for what it
// does not say. The tags are the names that Pro Santé Connect sends them under.
type Exercice struct {
	CodeProfession               string     `json:"codeProfession"`               // TRE_G15: 10 doctor, 21 pharmacist, 60 nurse, …
	CodeCategorieProfessionnelle string     `json:"codeCategorieProfessionnelle"` // C civil, M military, E student
	CodeCivilite                 string     `json:"codeCiviliteDexercice"`        // DR, PR, …
	Nom                          string     `json:"nomDexercice"`
	Prenom                       string     `json:"prenomDexercice"`
	CodeTypeSavoirFaire          string     `json:"codeTypeSavoirFaire"`
	CodeSavoirFaire              string     `json:"codeSavoirFaire"`
	Activities                   []Activity `json:"activities"` // never nil, so that it is sent as a list
}

// An Activity is one place and way in which an [Exercice] is practised.
type Activity struct {
	CodeModeExercice            string `json:"codeModeExercice"`     // L independent, S employed, B volunteer
	CodeSecteurActivite         string `json:"codeSecteurDactivite"` // SA07 practice, …
	CodeSectionPharmacien       string `json:"codeSectionPharmacien"`
	CodeRole                    string `json:"codeRole"`
	CodeGenreActivite           string `json:"codeGenreActivite"`
	NumeroSiret                 string `json:"numeroSiretSite"`
	NumeroSiren                 string `json:"numeroSirenSite"`
	NumeroFiness                string `json:"numeroFinessSite"`
	NumeroFinessEJ              string `json:"numeroFinessetablissementJuridique"`
	IdentifiantTechnique        string `json:"identifiantTechniqueDeLaStructure"`
	RaisonSociale               string `json:"raisonSocialeSite"`
	EnseigneCommerciale         string `json:"enseigneCommercialeSite"`
	ComplementDestinataire      string `json:"complementDestinataire"`
	ComplementPointGeographique string `json:"complementPointGeographique"`
	NumeroVoie                  string `json:"numeroVoie"`
	IndiceRepetitionVoie        string `json:"indiceRepetitionVoie"`
	CodeTypeVoie                string `json:"codeTypeDeVoie"`
	LibelleVoie                 string `json:"libelleVoie"`
	MentionDistribution         string `json:"mentionDistribution"`
	BureauCedex                 string `json:"bureauCedex"`
	CodePostal                  string `json:"codePostal"`
	CodeCommune                 string `json:"codeCommune"`
	CodePays                    string `json:"codePays"`
	Telephone                   string `json:"telephone"` // of the place: never a contact point of the person
	Telephone2                  string `json:"telephone2"`
	Telecopie                   string `json:"telecopie"`
	AdresseEmail                string `json:"adresseEMail"` // of the place: never a contact point of the person
	CodeDepartement             string `json:"codeDepartement"`
	AncienIdentifiant           string `json:"ancienIdentifiantDeLaStructure"`
	AutoriteEnregistrement      string `json:"autoriteDenregistrement"`
}

// fields lists what tells one exercice of a person from another, in the order
// in which a row is stored.
func (e *Exercice) fields() []*string {
	return []*string{
		&e.CodeProfession, &e.CodeCategorieProfessionnelle, &e.CodeCivilite, &e.Nom, &e.Prenom, &e.CodeTypeSavoirFaire, &e.CodeSavoirFaire,
	}
}

// fields lists an activity in the order in which a row is stored.
func (a *Activity) fields() []*string {
	return []*string{
		&a.CodeModeExercice, &a.CodeSecteurActivite, &a.CodeSectionPharmacien, &a.CodeRole, &a.CodeGenreActivite,
		&a.NumeroSiret, &a.NumeroSiren, &a.NumeroFiness, &a.NumeroFinessEJ, &a.IdentifiantTechnique,
		&a.RaisonSociale, &a.EnseigneCommerciale, &a.ComplementDestinataire, &a.ComplementPointGeographique,
		&a.NumeroVoie, &a.IndiceRepetitionVoie, &a.CodeTypeVoie, &a.LibelleVoie, &a.MentionDistribution, &a.BureauCedex,
		&a.CodePostal, &a.CodeCommune, &a.CodePays, &a.Telephone, &a.Telephone2, &a.Telecopie, &a.AdresseEmail,
		&a.CodeDepartement, &a.AncienIdentifiant, &a.AutoriteEnregistrement,
	}
}

// parseExercices reads the rows of one person, as they are stored: a line per
// exercice and activity, as in the register, its values divided by |. Lines of
// the same exercice are brought together, in the order of their first; one
// without any value for the activity stands for an exercice without one.
func parseExercices(rows string) []Exercice {
	var list []Exercice
	for line := range strings.Lines(rows) {
		e, a := parseRow(strings.TrimSuffix(line, "\n"))
		i := 0
		for i < len(list) && !sameExercice(&list[i], &e) {
			i++
		}
		if i == len(list) {
			e.Activities = []Activity{}
			list = append(list, e)
		}
		if a != (Activity{}) {
			list[i].Activities = append(list[i].Activities, a)
		}
	}
	return list
}

func parseRow(line string) (e Exercice, a Activity) {
	for _, f := range append(e.fields(), a.fields()...) {
		*f, line, _ = strings.Cut(line, "|")
	}
	return e, a
}

func sameExercice(a, b *Exercice) bool {
	fs := b.fields()
	for i, f := range a.fields() {
		if *f != *fs[i] {
			return false
		}
	}
	return true
}

// formatRow is the stored form of one exercice and activity: what [parseRow] reads.
func formatRow(e *Exercice, a *Activity) string {
	values := make([]string, 0, columns-firstOfRow)
	for _, f := range append(e.fields(), a.fields()...) {
		values = append(values, *f)
	}
	return strings.Join(values, "|")
}
