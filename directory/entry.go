package directory

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"vigie/store"
)

// An Entry is what a file of the register says of one person.
type Entry struct {
	ID           ID
	CodeCivilite string
	FamilyName   string
	GivenNames   string // divided by spaces
	Mobile       string // only in the feed of Pro Santé Connect
	Email        string // only in the feed of Pro Santé Connect
	Exercices    []Exercice
}

// Professional is who the directory knows once this entry is imported from the
// feed.
func (e Entry) Professional() Professional {
	p := Professional{ID: e.ID, CodeCivilite: e.CodeCivilite, FamilyName: e.FamilyName, GivenNames: e.GivenNames}
	p.GivenName, _, _ = strings.Cut(e.GivenNames, " ")
	if len(e.Exercices) > 0 {
		x := e.Exercices[0]
		p.Title, p.PracticeName, p.PracticeGiven = x.CodeCivilite, x.Nom, x.Prenom
	}
	return p
}

// Name is how pages will name them.
func (e Entry) Name() string { return e.Professional().DisplayName() }

// Write writes a file of the register: the header, then a line per person,
// exercice and activity.
func Write(w io.Writer, f Format, entries iter.Seq[Entry]) error {
	names, ok := headers[f]
	if !ok {
		return fmt.Errorf("format %q: %w", f, ErrUnknownFormat)
	}
	out := bufio.NewWriterSize(w, 256<<10)
	for _, name := range names {
		out.WriteString(name)
		out.WriteByte('|')
	}
	out.WriteByte('\n')
	plan := planOf(names)
	for e := range entries {
		for _, x := range e.Exercices {
			activities := x.Activities
			if len(activities) == 0 {
				activities = []Activity{{}}
			}
			for _, a := range activities {
				values := e.values(f, &x, &a)
				for _, fill := range plan {
					out.WriteString(fill(&values))
					out.WriteByte('|')
				}
				if err := out.WriteByte('\n'); err != nil {
					return err
				}
			}
		}
	}
	return out.Flush()
}

// values is a line by the meaning of its columns.
func (e *Entry) values(f Format, x *Exercice, a *Activity) (v [columns]string) {
	v[colType], v[colNumber], v[colID] = string(e.ID[:1]), string(e.ID[1:]), string(e.ID)
	v[colCivility], v[colFamily] = e.CodeCivilite, e.FamilyName
	if f == PSC {
		v[colGiven] = strings.ReplaceAll(e.GivenNames, " ", "'") + "'"
	}
	v[colMobile], v[colEmail] = e.Mobile, e.Email
	for i, s := range append(x.fields(), a.fields()...) {
		v[int(firstOfRow)+i] = *s
	}
	return v
}

// planOf says for each column of a file where its value comes from: what is read
// back, the label of the code before it, or a birth made of the id.
func planOf(names []string) []func(*[columns]string) string {
	plan := make([]func(*[columns]string) string, len(names))
	before := column(-1)
	for i, name := range names {
		c, known := meanings[plain(name)]
		switch {
		case known:
			plan[i] = func(v *[columns]string) string { return v[c] }
			before = c
		case strings.HasPrefix(name, "Libellé"):
			code, list := before, labels[before]
			plan[i] = func(v *[columns]string) string { return cmp.Or(list[v[code]], v[code]) }
		case name == "Code sexe":
			plan[i] = func(v *[columns]string) string {
				if v[colCivility] == "M" {
					return "M"
				}
				return "F"
			}
		default:
			born := births[name]
			plan[i] = func(v *[columns]string) string {
				if len(born) == 0 {
					return ""
				}
				return born[int(v[colNumber][len(v[colNumber])-2])%len(born)]
			}
		}
	}
	return plan
}

// Load makes these people the directory. It is for demonstrations and tests: no
// guard holds it back, and the contact points of the first load are usable at
// once.
func Load(ctx context.Context, db *store.DB, entries []Entry) (_ Report, err error) {
	f, err := os.CreateTemp("", "vigie-entries-*.txt")
	if err != nil {
		return Report{}, fmt.Errorf("loading a directory: %w", err)
	}
	defer os.Remove(f.Name())
	err = Write(f, PSC, slices.Values(entries))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return Report{}, fmt.Errorf("loading a directory: %w", err)
	}
	return Import(ctx, db, []string{f.Name()}, ImportOptions{AcceptChange: 1})
}
