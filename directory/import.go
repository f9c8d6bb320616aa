package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"vigie/audit"
	"vigie/store"
)

const (
	// MaxChange is the part of the people that an import may remove or change,
	// and MaxHolderLoss the part of those who hold a phone that it may remove,
	// unless it is told to accept more.
	MaxChange     = 0.05
	MaxHolderLoss = 0.002

	// sortMemory bounds what is held of the files at a time.
	sortMemory = 48 << 20
)

// ImportOptions are the choices of [Import]. The zero value is the careful one.
type ImportOptions struct {
	AcceptChange float64   // part of the people, and of the holders, that may go or change (0.2 is 20 %); 0: MaxChange and MaxHolderLoss
	MaxBad       int       // malformed lines that are passed over; one more ends the import
	Bad          io.Writer // receives "file:line: reason" for each of them; nil: nobody
	Progress     func(Progress)
	TempDir      string // where files of about the size of the input are kept meanwhile; "": os.TempDir
	Actor        string // who imports, for the audit log; "": system

	// Holders calls each once for every professional who has an activated phone,
	// in any order. nil: nobody has.
	Holders func(ctx context.Context, tx *store.Tx, each func(ID)) error

	// OnSwitch runs in the transaction that puts the new directory in force: what
	// follows from it (phones that sleep and wake, an alarm) happens with it or
	// not at all. It may run more than once, like the function of [store.DB.Write].
	OnSwitch func(ctx context.Context, tx *store.Tx, r Report) error

	memory int           // of the sorter; 0: sortMemory
	beat   time.Duration // of the lease; 0: beatEvery
}

// A Step is a part of an import.
type Step string

// The steps of an import, in order.
const (
	Looking   Step = "looking"   // at what the directory holds
	Reading   Step = "reading"   // the files
	Comparing Step = "comparing" // both
	Writing   Step = "writing"   // the differences
	Cleaning  Step = "cleaning"  // what they replaced
)

// Progress says how far an import has come.
type Progress struct {
	Step  Step
	File  string // the one that is read
	Lines int64  // read so far
	Done  int64  // bytes when Reading, records when Comparing, else people
	Total int64  // of the same
}

// A Report says what an import did.
type Report struct {
	Generation int64     // of the directory that the import made
	Switched   time.Time // when that came into force; zero: it did not
	First      bool      // the directory was empty before

	Lines     int // read, without headers
	Malformed int // of them
	People    int // in the directory after the import

	Added, Changed, Removed, Unchanged int // people

	Kept          int // unchanged people some of whose lines were malformed: they stay as they were
	ContactPoints int // that the directory did not hold
	Unusable      int // contact points that are neither a mobile number nor an e-mail address

	Holders  int  // who have an activated phone
	Left     []ID // of them, who are in the register no more
	Returned []ID // of them, who were not in it before
}

// A ChangeError says that an import would change more than is accepted. Nothing
// was changed.
type ChangeError struct {
	People, Removed, Changed int // Changed without who only got contact points in the first file that has any
	Holders, HoldersRemoved  int
	Limit, HolderLimit       float64
}

func (e *ChangeError) Error() string {
	if e.tooManyPeople() {
		return fmt.Sprintf("the import would remove %d and change %d of %d people (%.1f %%), more than %.4g %%",
			e.Removed, e.Changed, e.People, 100*float64(e.Removed+e.Changed)/float64(e.People), 100*e.Limit)
	}
	return fmt.Sprintf("the import would remove %d of the %d people who hold a phone (%.2f %%), more than %.4g %%",
		e.HoldersRemoved, e.Holders, 100*float64(e.HoldersRemoved)/float64(e.Holders), 100*e.HolderLimit)
}

func (e *ChangeError) tooManyPeople() bool {
	return float64(e.Removed+e.Changed) > e.Limit*float64(e.People)
}

func (e *ChangeError) tooManyHolders() bool {
	return float64(e.HoldersRemoved) > e.HolderLimit*float64(e.Holders)
}

// Why an import gives up, besides [ErrRunning], [ErrUnknownFormat] and [*ChangeError].
var (
	ErrTooManyBad = errors.New("too many malformed lines")
	ErrNobody     = errors.New("the files name nobody")
)

// An importer is one import at work.
type importer struct {
	db    *store.DB
	o     ImportOptions
	lease *lease

	inForce       int64 // generation that readers see
	generation    int64 // generation in the making
	started       int64 // Unix milliseconds: when new contact points count as first seen
	firstContacts bool  // no import brought contact points so far

	expected int64 // people in force, as their import counted them

	report  Report
	changed int    // people whose change counts for the guard
	before  int    // people in force
	gone    []ID   // people who are removed, in order
	came    []ID   // people who are added to a directory that was not empty, in order
	changes *spool // what is to be written
}

// Import brings the directory up to date with the files, which together are the
// whole register: who is in none of them has left it. It reads both formats,
// each plain or in a zip archive, in memory that does not grow with them.
//
// Readers see the directory as it was until one small transaction puts the new
// one in force, and sign-ins go on meanwhile. When Import fails or is killed
// before that, the old directory stays, and the next import clears away what
// was left. Only one import runs at a time: a second answers [ErrRunning].
//
// An error after the new directory came into force is told by Report.Switched.
// With a [*ChangeError] the report says what would have changed.
func Import(ctx context.Context, db *store.DB, files []string, o ImportOptions) (Report, error) {
	sources, err := openSources(files)
	if err != nil {
		return Report{}, err
	}
	defer closeSources(sources)
	o.Actor = cmp.Or(o.Actor, "system")
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	l, err := takeLease(ctx, db, cmp.Or(o.beat, beatEvery))
	if err != nil {
		return Report{}, err
	}
	held, stop := l.hold(ctx)
	im := &importer{db: db, o: o, lease: l}
	err = im.run(held, sources)
	if err != nil && errors.Is(context.Cause(held), errTakenOver) {
		err = errTakenOver // whatever it was that failed because of it
	}
	stop()
	return im.report, errors.Join(err, l.release(context.WithoutCancel(ctx)))
}

func (im *importer) run(ctx context.Context, sources []*source) (err error) {
	if err := im.begin(ctx); err != nil {
		return fmt.Errorf("beginning an import: %w", err)
	}
	sorted := newSorter(im.o.TempDir, cmp.Or(im.o.memory, sortMemory))
	defer sorted.close()
	if im.changes, err = newSpool(im.o.TempDir); err != nil {
		return err
	}
	defer im.changes.close()

	if err := im.look(ctx, sorted); err != nil {
		return fmt.Errorf("reading the directory in force: %w", err)
	}
	if err := im.read(ctx, sorted, sources); err != nil {
		return err
	}
	if err := im.compare(ctx, sorted); err != nil {
		return err
	}
	if err := im.judge(ctx); err != nil {
		return err
	}
	if err := im.write(ctx); err != nil {
		return fmt.Errorf("writing the new directory: %w", err)
	}
	if err := im.switchOver(ctx); err != nil {
		return fmt.Errorf("putting the new directory in force: %w", err)
	}
	if err := im.clean(ctx); err != nil {
		return fmt.Errorf("the new directory is in force; clearing away the old one: %w", err)
	}
	return nil
}

// begin gives the import its generation.
func (im *importer) begin(ctx context.Context) error {
	return im.db.Write(ctx, func(tx *store.Tx) error {
		if err := im.lease.check(ctx, tx); err != nil {
			return err
		}
		var last, contacts int64
		err := tx.QueryRow(ctx, `
			SELECT d.generation, COALESCE(MAX(i.generation), 0),
				COALESCE(MAX(CASE WHEN i.switched > 0 THEN i.contact_points ELSE 0 END), 0),
				COALESCE(MAX(CASE WHEN i.generation = d.generation THEN i.people ELSE 0 END), 0)
			FROM directory d LEFT JOIN directory_imports i ON TRUE WHERE d.one = 1 GROUP BY d.generation`).Scan(&im.inForce, &last, &contacts, &im.expected)
		if err != nil {
			return err
		}
		im.generation, im.started, im.firstContacts = last+1, store.Millis(tx.Now), contacts == 0
		im.report.Generation = im.generation
		_, err = tx.Exec(ctx, `
			INSERT INTO directory_imports (generation, started, switched, people, added, changed, removed, contact_points)
			VALUES ($1, $2, 0, 0, 0, 0, 0, 0)`, im.generation, im.started)
		return err
	})
}

// judge refuses what is more likely a broken file than the truth.
func (im *importer) judge(ctx context.Context) error {
	if im.report.People == 0 {
		return ErrNobody
	}
	e := &ChangeError{
		People: im.before, Removed: im.report.Removed, Changed: im.changed,
		Limit: cmp.Or(im.o.AcceptChange, MaxChange), HolderLimit: cmp.Or(im.o.AcceptChange, MaxHolderLoss),
	}
	if im.o.Holders != nil {
		err := im.db.Read(ctx, func(tx *store.Tx) error {
			return im.o.Holders(ctx, tx, func(id ID) {
				im.report.Holders++
				if _, found := slices.BinarySearch(im.gone, id); found {
					im.report.Left = append(im.report.Left, id)
				}
				if _, found := slices.BinarySearch(im.came, id); found {
					im.report.Returned = append(im.report.Returned, id)
				}
			})
		})
		if err != nil {
			return fmt.Errorf("looking up who holds a phone: %w", err)
		}
		slices.Sort(im.report.Left)
		slices.Sort(im.report.Returned)
	}
	im.gone, im.came = nil, nil
	e.Holders, e.HoldersRemoved = im.report.Holders, len(im.report.Left)
	if !im.report.First && (e.tooManyPeople() || e.tooManyHolders()) {
		return e
	}
	return nil
}

// switchOver puts the new directory in force.
func (im *importer) switchOver(ctx context.Context) error {
	r := im.report
	err := im.db.Write(ctx, func(tx *store.Tx) error {
		if err := im.lease.check(ctx, tx); err != nil {
			return err
		}
		r.Switched = tx.Now
		if _, err := tx.Exec(ctx, `UPDATE directory SET generation = $1 WHERE one = 1`, im.generation); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			UPDATE directory_imports SET switched = $2, people = $3, added = $4, changed = $5, removed = $6, contact_points = $7
			WHERE generation = $1`, im.generation, store.Millis(tx.Now), r.People, r.Added, r.Changed, r.Removed, r.ContactPoints)
		if err != nil {
			return err
		}
		err = audit.Record(ctx, tx, audit.Event{Kind: audit.DirectorySwitch, Actor: im.o.Actor, Detail: map[string]string{
			"generation": strconv.FormatInt(im.generation, 10), "people": strconv.Itoa(r.People),
			"added": strconv.Itoa(r.Added), "changed": strconv.Itoa(r.Changed), "removed": strconv.Itoa(r.Removed),
			"holders_left": strconv.Itoa(len(r.Left)), "holders_returned": strconv.Itoa(len(r.Returned)),
		}})
		if err != nil || im.o.OnSwitch == nil {
			return err
		}
		return im.o.OnSwitch(ctx, tx, r)
	})
	if err == nil {
		im.report = r
	}
	return err
}
