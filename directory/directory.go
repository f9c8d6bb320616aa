// Package directory knows who the professionals are: national id, name,
// exercices, contact points, imported from the register.
//
// An [Import] prepares a new generation of the directory beside the one in
// force and puts it in force in one small transaction. Every function here
// reads the generation in force at the instant of its transaction: who is in it
// may sign in, who is not may not.
package directory

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"vigie/store"
)

// A Professional is a person in the directory. Names are spelled as the register
// spells them, mostly in capitals; [Professional.DisplayName] is for people.
type Professional struct {
	ID           ID
	CodeCivilite string // M, MME
	FamilyName   string // civil where the register gives it, else in practice
	GivenName    string // the first one
	GivenNames   string // all of them, divided by spaces

	// In practice: of the first exercice.
	Title         string // DR, PR, …; "" for most professions
	PracticeName  string
	PracticeGiven string
}

// Find returns the professional with this id. It is false for who never was in
// the register, and for who has left it.
func Find(ctx context.Context, tx *store.Tx, id ID) (Professional, bool, error) {
	p, _, found, err := find(ctx, tx, id)
	return p, found, err
}

// Exercices returns what the register says that a professional practises, in its
// order; nothing for who is not in it.
func Exercices(ctx context.Context, tx *store.Tx, id ID) ([]Exercice, error) {
	_, list, _, err := find(ctx, tx, id)
	return list, err
}

func find(ctx context.Context, tx *store.Tx, id ID) (Professional, []Exercice, bool, error) {
	p := Professional{ID: id}
	var rows string
	err := tx.QueryRow(ctx, `
		SELECT p.civility, p.family_name, p.given_names, p.exercices
		FROM directory d JOIN professionals p ON p.generation <= d.generation AND (p.ended = 0 OR p.ended > d.generation)
		WHERE d.one = 1 AND p.id = $1`, id).Scan(&p.CodeCivilite, &p.FamilyName, &p.GivenNames, &rows)
	if err == sql.ErrNoRows {
		return Professional{}, nil, false, nil
	}
	if err != nil {
		return Professional{}, nil, false, fmt.Errorf("looking up professional …%s: %w", id.Short(), err)
	}
	p.GivenName, _, _ = strings.Cut(p.GivenNames, " ")
	list := parseExercices(rows)
	if len(list) > 0 {
		p.Title, p.PracticeName, p.PracticeGiven = list[0].CodeCivilite, list[0].Nom, list[0].Prenom
	}
	return p, list, true, nil
}

// Left tells when somebody left the register who is not in it now. It is false
// for who is in it, who never was, and who left more than [KeepOld] ago.
func Left(ctx context.Context, tx *store.Tx, id ID) (time.Time, bool, error) {
	if _, found, err := Find(ctx, tx, id); err != nil || found {
		return time.Time{}, false, err
	}
	var at int64
	err := tx.QueryRow(ctx, `
		SELECT i.switched FROM directory d JOIN professionals p ON p.ended <= d.generation JOIN directory_imports i ON i.generation = p.ended
		WHERE d.one = 1 AND p.id = $1 AND p.ended > 0 ORDER BY p.ended DESC LIMIT 1`, id).Scan(&at)
	if err == sql.ErrNoRows {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, fmt.Errorf("looking up when professional …%s left: %w", id.Short(), err)
	}
	left := store.FromMillis(at)
	return left, tx.Now.Sub(left) <= KeepOld, nil
}

// titles are the words for the codes of TRE_R11 and TRE_R81 that people are
// addressed with; other codes (military ranks) are left out.
var titles = map[string]string{"DR": "Dr", "PR": "Pr", "M": "M.", "MME": "Mme", "MLLE": "Mme"}

// DisplayName is how pages name somebody: "Dr Anne Martin".
func (p Professional) DisplayName() string {
	return strings.Join(strings.Fields(strings.Join([]string{titles[p.Title], nameCase(p.given()), nameCase(p.family())}, " ")), " ")
}

// Initials is how pages name somebody before they are sure who looks: "A. M.".
func (p Professional) Initials() string {
	var letters []string
	for _, name := range []string{p.given(), p.family()} {
		if r, size := utf8.DecodeRuneInString(name); size > 0 {
			letters = append(letters, string(unicode.ToUpper(r))+".")
		}
	}
	return strings.Join(letters, " ")
}

func (p Professional) given() string  { return cmp.Or(p.PracticeGiven, p.GivenName) }
func (p Professional) family() string { return cmp.Or(p.PracticeName, p.FamilyName) }

// nameCase writes a name in capitals as people write it: JEAN-PIERRE D'ARC is
// Jean-Pierre d'Arc. One that has small letters is right already.
func nameCase(name string) string {
	if name != strings.ToUpper(name) {
		return name
	}
	words := strings.Fields(strings.ToLower(name))
	for i, w := range words {
		if w == "de" || w == "du" || w == "des" {
			continue
		}
		small := strings.HasPrefix(w, "d'") || strings.HasPrefix(w, "d’")
		start := !small
		words[i] = strings.Map(func(r rune) rune {
			if start {
				r = unicode.ToUpper(r)
			}
			start = r == '-' || r == '\'' || r == '’'
			return r
		}, w)
	}
	return strings.Join(words, " ")
}
