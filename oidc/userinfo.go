package oidc

import (
	"net/http"
	"strings"

	"vigie/directory"
	"vigie/session"
	"vigie/store"
)

// Claims is the answer of userinfo, spelled as Pro Santé Connect spells it,
// oddities included. What is unknown is "" (or an empty list), never missing.
type Claims struct {
	Subject           string    `json:"sub"`
	PreferredUsername string    `json:"preferred_username"`
	NameID            string    `json:"SubjectNameID"`
	GivenName         string    `json:"given_name"`
	FamilyName        string    `json:"family_name"`
	Civility          string    `json:"codeCivilite"`
	ActivityGenre     string    `json:"codeGenreActivite"`
	Sector            string    `json:"Secteur_Activite"`
	Organization      string    `json:"SubjectOrganization"`
	OrganizationID    string    `json:"SubjectOrganizationID"`
	AccessReason      string    `json:"Mode_Acces_Raison"`
	MedicalRegulation string    `json:"Acces_Regulation_Medicale"`
	UITVersion        string    `json:"UITVersion"`
	AuthMode          string    `json:"authMode"`
	Level             string    `json:"Palier_Authentification"`
	PSILocale         string    `json:"PSI_Locale"`
	Roles             []string  `json:"SubjectRole"`
	OtherIDs          []OtherID `json:"otherIds"`
	RefPro            RefPro    `json:"SubjectRefPro"`
}

// RefPro is what the register says that somebody practises.
type RefPro struct {
	Civility  string               `json:"codeCivilite"`
	Exercices []directory.Exercice `json:"exercices"`
}

// claimNames are the claims that discovery names.
var claimNames = []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "sid", "preferred_username", "SubjectNameID", "given_name",
	"family_name", "codeCivilite", "codeGenreActivite", "Secteur_Activite", "SubjectOrganization", "SubjectOrganizationID", "Mode_Acces_Raison",
	"Acces_Regulation_Medicale", "UITVersion", "authMode", "Palier_Authentification", "PSI_Locale", "SubjectRole", "otherIds", "SubjectRefPro"}

// Registers of codes, as the claims that end in "^OID" name them.
const (
	sectorCodes     = "1.2.250.1.71.4.2.4"
	professionCodes = "1.2.250.1.213.1.1.5.5"
	levelCodes      = "1.2.250.1.213.1.5.1.1.1"
	psiLocale       = "1.2.250.1.213.1.3.1.1"
)

// Userinfo returns what services are told about a professional who signed in by
// these means. Sub is how services know them.
func Userinfo(sub string, who directory.Professional, exercices []directory.Exercice, means session.Means) Claims {
	id := string(who.ID)
	c := Claims{Subject: sub, PreferredUsername: id, NameID: id, GivenName: who.GivenName, FamilyName: who.FamilyName, Civility: who.CodeCivilite,
		MedicalRegulation: "FAUX", UITVersion: "1.0", AuthMode: string(means), Level: coded("APPPRIP3", levelCodes), PSILocale: psiLocale,
		Roles: []string{}, OtherIDs: otherIDs(who.ID), RefPro: RefPro{Civility: who.CodeCivilite, Exercices: exercices}}
	if exercices == nil {
		c.RefPro.Exercices = []directory.Exercice{}
		return c
	}
	first := exercices[0]
	if first.CodeProfession != "" {
		c.Roles = append(c.Roles, coded(first.CodeProfession, professionCodes))
	}
	if len(first.Activities) > 0 {
		a := first.Activities[0]
		c.ActivityGenre, c.Sector = a.CodeGenreActivite, coded(a.CodeSecteurActivite, sectorCodes)
		c.Organization, c.OrganizationID = a.RaisonSociale, a.IdentifiantTechnique
	}
	return c
}

// coded is a code with the register it is from, "" for none.
func coded(code, register string) string {
	if code == "" {
		return ""
	}
	return code + "^" + register
}

// userinfo tells a service about the professional of its access token. It
// writes nothing.
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="vigie"`)
		answer(w, http.StatusUnauthorized, refusal{Code: "invalid_token", Description: "send the access token as a bearer token"})
		return
	}
	var claims Claims
	var good bool
	err := p.db.Read(r.Context(), func(tx *store.Tx) error {
		ctx := r.Context()
		good = false
		t, ok, err := p.present(ctx, tx, strings.TrimSpace(token))
		if err != nil || !ok || t.refresh() || !t.good(tx.Now) {
			return err
		}
		who, ok, err := directory.Find(ctx, tx, t.grant.session.Professional)
		if err != nil || !ok {
			return err
		}
		exercices, err := directory.Exercices(ctx, tx, who.ID)
		claims, good = Userinfo(t.claims.Subject, who, exercices, t.grant.session.Means), err == nil
		return err
	})
	switch {
	case err != nil:
		p.unavailable(w, r, err)
	case !good:
		w.Header().Set("WWW-Authenticate", `Bearer realm="vigie", error="invalid_token"`)
		answer(w, http.StatusUnauthorized, refusal{Code: "invalid_token", Description: "the access token is not, or no longer, good"})
	default:
		answer(w, http.StatusOK, claims)
	}
}
