package oidc_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"

	"vigie/oidc"
)

func TestAServiceThatOthersWroteSignsSomebodyIn(t *testing.T) {
	eachWorld(t, func(w *world) {
		code := w.code(w.browser(), verifier)
		token, err := w.conf().Exchange(w.Context(), code, oauth2.VerifierOption(verifier))
		if err != nil {
			w.Fatal(err)
		}
		raw, _ := token.Extra("id_token").(string)
		id := w.verify(raw)
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			w.Errorf("at_hash: %v", err)
		}
		if id.Nonce != "n-1" || id.Subject != "f:"+providerUUID+":899700000017" {
			w.Errorf("nonce %q, sub %q", id.Nonce, id.Subject)
		}
		if lives := id.Expiry.Sub(w.clock.Now()); lives != 120*time.Second {
			w.Errorf("the ID token lives %v", lives)
		}
		var claims struct {
			ACR, Type, AZP, SID string
			AMR                 []string
			AuthTime            int64  `json:"auth_time"`
			SessionState        string `json:"session_state"`
			Username            string `json:"preferred_username"`
		}
		if err := id.Claims(&claims); err != nil {
			w.Fatal(err)
		}
		if claims.ACR != "eidas1" || claims.AuthTime != w.clock.Now().Unix() || claims.AZP != "vaccin" || claims.SID == "" ||
			claims.SID != claims.SessionState || claims.Username != "899700000017" || !slices.Contains(claims.AMR, "mfa") {
			w.Errorf("claims of the ID token: %+v", claims)
		}
		info, err := w.foreign.UserInfo(w.Context(), oauth2.StaticTokenSource(token))
		if err != nil || info.Subject != id.Subject {
			w.Errorf("userinfo of %v: %v", info, err)
		}
	})
}

func TestTheTokenAnswerIsKeycloaks(t *testing.T) {
	eachWorld(t, func(w *world) {
		answer := w.tokens(w.browser())
		var names []string
		for name := range answer {
			names = append(names, name)
		}
		sort.Strings(names)
		want := []string{"access_token", "expires_in", "id_token", "not-before-policy", "refresh_expires_in", "refresh_token", "scope", "session_state", "token_type"}
		if !slices.Equal(names, want) {
			w.Errorf("members %v, want %v", names, want)
		}
		for name, want := range map[string]any{"expires_in": 120.0, "refresh_expires_in": 1740.0, "not-before-policy": 0.0, "token_type": "Bearer", "scope": "openid scope_all"} {
			if answer[name] != want {
				w.Errorf("%s is %v, want %v", name, answer[name], want)
			}
		}

		access, err := jwt.ParseSigned(text(answer, "access_token"), []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			w.Fatalf("access token: %v", err)
		}
		if typ := access.Headers[0].ExtraHeaders["typ"]; typ != "JWT" || access.Headers[0].KeyID == "" {
			w.Errorf("header of the access token: %+v", access.Headers[0])
		}
		claims := map[string]any{}
		if err := access.UnsafeClaimsWithoutVerification(&claims); err != nil {
			w.Fatal(err)
		}
		if _, there := claims["aud"]; there {
			w.Error("the access token has an aud")
		}
		for name, want := range map[string]any{"azp": "vaccin", "typ": "Bearer", "sid": answer["session_state"], "session_state": answer["session_state"],
			"authMode": "MOBILE", "acr": "eidas1", "scope": "openid scope_all", "preferred_username": "899700000017", "iss": w.issuer,
			"sub": "f:" + providerUUID + ":899700000017", "exp": float64(w.clock.Now().Unix() + 120)} {
			if claims[name] != want {
				w.Errorf("%s of the access token is %v, want %v", name, claims[name], want)
			}
		}
	})
}

// userinfoOfAnne is the answer as Pro Santé Connect publishes its shape.
const userinfoOfAnne = `{"sub":"f:550dc1c8-d97b-4b1e-ac8c-8eb4471cf9dd:899700000017","preferred_username":"899700000017","SubjectNameID":"899700000017",
 "given_name":"ANNE","family_name":"MARTIN","codeCivilite":"MME","codeGenreActivite":"GENR01",
 "Secteur_Activite":"SA07^1.2.250.1.71.4.2.4","SubjectOrganization":"CABINET MARTIN","SubjectOrganizationID":"R10000",
 "Mode_Acces_Raison":"","Acces_Regulation_Medicale":"FAUX","UITVersion":"1.0","authMode":"MOBILE",
 "Palier_Authentification":"APPPRIP3^1.2.250.1.213.1.5.1.1.1","PSI_Locale":"1.2.250.1.213.1.3.1.1",
 "SubjectRole":["10^1.2.250.1.213.1.1.5.5"],
 "otherIds":[{"identifiant":"899700000017","origine":"RPPS","qualite":1}],
 "SubjectRefPro":{"codeCivilite":"MME","exercices":[{
   "codeProfession":"10","codeCategorieProfessionnelle":"C","codeCiviliteDexercice":"DR","nomDexercice":"MARTIN","prenomDexercice":"ANNE",
   "codeTypeSavoirFaire":"S","codeSavoirFaire":"SM26",
   "activities":[{"codeModeExercice":"L","codeSecteurDactivite":"SA07","codeSectionPharmacien":"","codeRole":"","codeGenreActivite":"GENR01",
    "numeroSiretSite":"","numeroSirenSite":"","numeroFinessSite":"","numeroFinessetablissementJuridique":"","identifiantTechniqueDeLaStructure":"R10000",
    "raisonSocialeSite":"CABINET MARTIN","enseigneCommercialeSite":"","complementDestinataire":"","complementPointGeographique":"",
    "numeroVoie":"1","indiceRepetitionVoie":"","codeTypeDeVoie":"R","libelleVoie":"NOIR","mentionDistribution":"","bureauCedex":"75009 PARIS",
    "codePostal":"75009","codeCommune":"","codePays":"99000","telephone":"","telephone2":"","telecopie":"","adresseEMail":"","codeDepartement":"",
    "ancienIdentifiantDeLaStructure":"499700000017001","autoriteDenregistrement":"CNOM/CNOM/CNOM"}]}]}}`

func TestUserinfoIsSpelledAsWithProSanteConnect(t *testing.T) {
	eachWorld(t, func(w *world) {
		answer := w.tokens(w.browser())
		before := w.db.Stats()
		status, got := w.userinfo(text(answer, "access_token"))
		var want map[string]any
		if err := json.Unmarshal([]byte(userinfoOfAnne), &want); err != nil {
			w.Fatal(err)
		}
		if status != http.StatusOK || !reflect.DeepEqual(got, want) {
			w.Errorf("userinfo %d:\n got %v\nwant %v", status, got, want)
		}
		if after := w.db.Stats(); after.Writes != before.Writes || after.Reads != before.Reads+1 {
			w.Errorf("userinfo cost %d writes and %d reads", after.Writes-before.Writes, after.Reads-before.Reads)
		}
		w.clock.Add(120 * time.Second)
		if status, _ := w.userinfo(text(answer, "access_token")); status != http.StatusUnauthorized {
			w.Errorf("an access token is good for more than 120 s: %d", status)
		}
		for _, token := range []string{"", "x", text(answer, "refresh_token"), text(answer, "id_token")} {
			if status, _ := w.userinfo(token); status != http.StatusUnauthorized {
				w.Errorf("userinfo for %q: %d", token, status)
			}
		}
	})
}

func TestUserinfoOfSomebodyTheRegisterSaysLittleAbout(t *testing.T) {
	who := oidcProfessional()
	b, err := json.Marshal(oidc.Userinfo("f:x:1", who, nil, "CARD"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"SubjectRole":[]`, `"exercices":[]`, `"Secteur_Activite":""`, `"codeGenreActivite":""`, `"authMode":"CARD"`} {
		if !strings.Contains(string(b), part) {
			t.Errorf("%s lacks %s", b, part)
		}
	}
}

func TestIntrospectionSaysWhatProSanteConnectSays(t *testing.T) {
	eachWorld(t, func(w *world) {
		answer := w.tokens(w.browser())
		want := map[string]any{"active": true, "sub": "f:" + providerUUID + ":899700000017", "azp": "vaccin", "acr": "eidas1",
			"sid": answer["session_state"], "session_state": answer["session_state"], "scope": "openid scope_all", "client_id": "vaccin",
			"username": "899700000017", "preferred_username": "899700000017", "authMode": "MOBILE", "iss": w.issuer,
			"otherIds": []any{map[string]any{"identifiant": "899700000017", "origine": "RPPS", "qualite": 1.0}}}
		access, refresh := w.introspect(text(answer, "access_token")), w.introspect(text(answer, "refresh_token"))
		for name, v := range want {
			if !reflect.DeepEqual(access[name], v) || !reflect.DeepEqual(refresh[name], v) {
				w.Errorf("%s is %v of an access and %v of a refresh token, want %v", name, access[name], refresh[name], v)
			}
		}
		if access["SubjectNameID"] != "899700000017" || access["typ"] != "Bearer" || access["exp"] != float64(w.clock.Now().Unix()+120) {
			w.Errorf("access token: %v", access)
		}
		if _, there := refresh["SubjectNameID"]; there || refresh["typ"] != "Refresh" {
			w.Errorf("refresh token: %v", refresh)
		}

		// Another service may ask about an access token that it was given, not
		// about a refresh token that it should not have.
		other, secret := w.add(oidc.Service{ID: "labo", Name: "Laboratoire"})
		ask := func(token string) any {
			_, a := w.postAs(other.ID, secret, "/protocol/openid-connect/token/introspect", map[string][]string{"token": {token}})
			return a["active"]
		}
		if ask(text(answer, "access_token")) != true || ask(text(answer, "refresh_token")) != false {
			w.Error("introspection by another service")
		}
		for _, token := range []string{"x", text(answer, "id_token"), text(answer, "access_token") + "x", text(answer, "refresh_token")[1:]} {
			if a := w.introspect(token); a["active"] != false || len(a) != 1 {
				w.Errorf("introspection of %q: %v", token, a)
			}
		}
		if status, a := w.postAs("vaccin", "wrong", "/protocol/openid-connect/token/introspect", map[string][]string{"token": {"x"}}); status != 401 || a["error"] != "invalid_client" {
			w.Errorf("introspection by who knows no secret: %d %v", status, a)
		}
	})
}

func TestDiscoveryUnderBothNames(t *testing.T) {
	eachWorld(t, func(w *world) {
		var docs []map[string]any
		for _, name := range []string{"openid-configuration", "wallet-openid-configuration"} {
			r, _ := http.NewRequest(http.MethodGet, w.issuer+"/.well-known/"+name, nil)
			status, doc := w.do(r)
			if status != http.StatusOK {
				w.Fatalf("%s: %d", name, status)
			}
			docs = append(docs, doc)
		}
		if !reflect.DeepEqual(docs[0], docs[1]) {
			w.Errorf("they differ: %v, %v", docs[0], docs[1])
		}
		below := w.issuer + "/protocol/openid-connect/"
		for name, want := range map[string]any{"issuer": w.issuer, "authorization_endpoint": w.base + "/auth", "token_endpoint": below + "token",
			"userinfo_endpoint": below + "userinfo", "jwks_uri": below + "certs", "introspection_endpoint": below + "token/introspect",
			"revocation_endpoint": below + "revoke", "end_session_endpoint": below + "logout",
			"pushed_authorization_request_endpoint":          below + "ext/par/request",
			"acr_values_supported":                           []any{"eidas1"},
			"id_token_signing_alg_values_supported":          []any{"RS256", "ES256"},
			"code_challenge_methods_supported":               []any{"S256"},
			"response_types_supported":                       []any{"code"},
			"authorization_response_iss_parameter_supported": true,
			"request_uri_parameter_supported":                false,
		} {
			if !reflect.DeepEqual(docs[0][name], want) {
				w.Errorf("%s is %v, want %v", name, docs[0][name], want)
			}
		}
		if _, there := docs[0]["registration_endpoint"]; there {
			w.Error("offers registration")
		}
		if status, _ := w.post("/register", nil); status != http.StatusNotFound {
			w.Errorf("dynamic registration answers %d", status)
		}
	})
}

func TestASignInWritesThreeTimes(t *testing.T) {
	eachWorld(t, func(w *world) {
		b := w.browser()
		before := w.db.Stats()
		answer := w.tokens(b)
		w.userinfo(text(answer, "access_token"))
		after := w.db.Stats()
		w.Logf("%d statements, %d write and %d read transactions", after.Statements-before.Statements, after.Writes-before.Writes, after.Reads-before.Reads)
		if after.Writes-before.Writes > 3 {
			w.Errorf("a sign-in writes %d times: once at /auth, once in Finish, once at the token endpoint", after.Writes-before.Writes)
		}
	})
}
