package directory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// The kinds of records that are sorted by person.
const (
	recordHeld   byte = iota // what the directory holds of them; always the first
	recordLine               // a line of a file
	recordBroken             // a malformed line of a file
)

// pack is the record of a line. private tells that its file has contact points.
func (l *line) pack(private bool) []byte {
	p := packer{recordLine}
	p.number(int64(b2i(private)))
	for _, s := range []string{l.civility, l.family, l.given, l.mobile, l.email, l.row} {
		p.string(s)
	}
	return p
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// held is what the directory in force holds of a person.
type held struct {
	generation int64 // of the row; 0: there is none
	digest     int64
	contacts   int64 // digest
}

func (h held) pack() []byte {
	p := packer{recordHeld}
	p.number(h.generation)
	p.number(h.digest)
	p.number(h.contacts)
	return p
}

// A person is what all records say about one.
type person struct {
	id       ID
	held     held
	broken   bool // a line was malformed
	private  bool // a file with contact points names them
	civility string
	family   string
	given    string
	mobile   string
	email    string
	rows     []string
	digests  []int64 // of rows
}

// add takes one more record.
func (p *person) add(record []byte) error {
	if len(record) == 0 {
		return errDamaged
	}
	u := unpacker{rest: record[1:]}
	switch record[0] {
	case recordHeld:
		p.held = held{u.number(), u.number(), u.number()}
	case recordBroken:
		p.broken = true
	case recordLine:
		private := u.number() == 1
		civility, family, given, mobile, email, row := u.string(), u.string(), u.string(), u.string(), u.string(), u.string()
		if len(p.rows) == 0 || private && !p.private { // the feed knows the civil name
			p.civility, p.family, p.given = civility, family, given
		}
		p.private = p.private || private
		if p.mobile == "" {
			p.mobile = mobile
		}
		if p.email == "" {
			p.email = email
		}
		if d := digest("row", row); !slices.Contains(p.digests, d) {
			p.rows, p.digests = append(p.rows, row), append(p.digests, d)
		}
	}
	return u.err()
}

// digest is short, because it only tells changes: whoever could forge one can
// write the register.
func digest(parts ...string) int64 {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return int64(binary.LittleEndian.Uint64(sum[:]))
}

// digest sums up what the files say of a person, whatever the order of lines.
func (p *person) digest() int64 {
	sum := digest("person", p.civility, p.family, p.given)
	for _, d := range p.digests {
		sum += d
	}
	return sum
}

// contactsDigest is 0 for no contact points.
func (p *person) contactsDigest() int64 {
	if p.mobile == "" && p.email == "" {
		return 0
	}
	return digest("contacts", p.mobile, p.email)
}

// compare brings together the records of each person and notes what differs
// from the directory in force.
func (im *importer) compare(ctx context.Context, sorted *sorter) error {
	m, err := sorted.merge()
	if err != nil {
		return err
	}
	im.report.First = im.before == 0
	progress := Progress{Step: Comparing, Lines: int64(im.report.Lines), Total: sorted.count}
	var p person
	var key []byte
	end := func() {
		if p.id != "" {
			im.decide(&p)
		}
	}
	err = m.each(func(k, record []byte) error {
		if progress.Done++; progress.Done%10000 == 0 {
			im.o.Progress(progress)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if !bytes.Equal(k, key) {
			end()
			key = append(key[:0], k...)
			p = person{id: ID(k), rows: p.rows[:0], digests: p.digests[:0]}
		}
		return p.add(record)
	})
	if err != nil {
		return fmt.Errorf("comparing the files with the directory: %w", err)
	}
	end()
	im.o.Progress(progress)
	return nil
}

// decide notes what becomes of one person.
func (im *importer) decide(p *person) {
	r := &im.report
	switch known := p.held.generation != 0; {
	case p.broken && known: // in the file, so in the register; with what, it does not say
		r.Kept++
		r.Unchanged++
		r.People++
	case len(p.rows) == 0 && known:
		r.Removed++
		im.gone = append(im.gone, p.id)
		im.changes.add((&change{kind: removed, id: p.id, held: p.held}).pack())
	case len(p.rows) == 0:
	case !known:
		r.Added++
		r.People++
		if !r.First {
			im.came = append(im.came, p.id)
		}
		im.changes.add(p.change(added).pack())
	default:
		r.People++
		c := p.change(changed)
		same, sameContacts := c.digest == p.held.digest, c.contacts == p.held.contacts
		if same && sameContacts {
			r.Unchanged++
			return
		}
		r.Changed++
		if !same || !im.firstContacts {
			im.changed++
		}
		im.changes.add(c.pack())
	}
}

// The kinds of changes.
const (
	added int64 = iota
	changed
	removed
)

// A change is what is to be written of one person.
type change struct {
	kind     int64
	id       ID
	held     held
	civility string
	family   string
	given    string
	rows     string
	digest   int64
	contacts int64 // digest; that of held where the files know no contact points
	mobile   string
	email    string
}

func (p *person) change(kind int64) *change {
	c := &change{
		kind: kind, id: p.id, held: p.held, civility: p.civility, family: p.family, given: p.given,
		rows: strings.Join(p.rows, "\n"), digest: p.digest(), contacts: p.held.contacts,
	}
	if p.private {
		c.mobile, c.email, c.contacts = p.mobile, p.email, p.contactsDigest()
	}
	return c
}

func (c *change) pack() []byte {
	var p packer
	for _, n := range []int64{c.kind, c.held.generation, c.held.digest, c.held.contacts, c.digest, c.contacts} {
		p.number(n)
	}
	for _, s := range []string{string(c.id), c.civility, c.family, c.given, c.rows, c.mobile, c.email} {
		p.string(s)
	}
	return p
}

func unpackChange(record []byte) (*change, error) {
	u := unpacker{rest: record}
	c := &change{kind: u.number(), held: held{u.number(), u.number(), u.number()}, digest: u.number(), contacts: u.number()}
	c.id = ID(u.string())
	c.civility, c.family, c.given, c.rows, c.mobile, c.email = u.string(), u.string(), u.string(), u.string(), u.string(), u.string()
	return c, u.err()
}
