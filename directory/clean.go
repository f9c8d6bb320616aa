package directory

import (
	"context"

	"vigie/store"
)

// page is how many rows of the directory are read at a time.
const page = 2000

// A stored is a row of a person, as far as an import needs it.
type stored struct {
	id    ID
	held  held
	ended int64
}

// look puts what the directory in force holds of each person into the sorter.
// On its way it clears what a killed import left, and what nobody needs any
// more: rows that were replaced, and people who left more than a year ago.
func (im *importer) look(ctx context.Context, sorted *sorter) error {
	switched, err := im.switches(ctx)
	if err != nil {
		return err
	}
	p := Progress{Step: Looking, Total: im.expected}
	var last stored // the row before, which the next one may tell to be replaced
	var litter []stored
	take := func(row stored) error {
		switch {
		case last.id == "":
		case last.held.generation > im.inForce:
			litter = append(litter, last) // of an import that never came into force
		case last.ended == 0 || last.ended > im.inForce:
			if last.ended != 0 {
				litter = append(litter, last)
			}
			im.before++
			return sorted.add(string(last.id), last.held.pack())
		case row.id == last.id && row.held.generation <= im.inForce,
			im.started-switched[last.ended] > KeepOld.Milliseconds():
			litter = append(litter, last)
		}
		return nil
	}
	for more := true; more; {
		rows, err := im.page(ctx, last)
		if err != nil {
			return err
		}
		if more = len(rows) == page; !more {
			rows = append(rows, stored{}) // so that the last one is taken as well
		}
		for _, row := range rows {
			if err := take(row); err != nil {
				return err
			}
			last = row
		}
		if err := im.clear(ctx, litter); err != nil {
			return err
		}
		litter = litter[:0]
		p.Done = int64(im.before)
		im.o.Progress(p)
	}
	return nil
}

// switches says when each generation came into force.
func (im *importer) switches(ctx context.Context) (map[int64]int64, error) {
	at := map[int64]int64{}
	err := im.db.Read(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(ctx, `SELECT generation, switched FROM directory_imports`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var g, ms int64
			if err := rows.Scan(&g, &ms); err != nil {
				return err
			}
			at[g] = ms
		}
		return rows.Err()
	})
	return at, err
}

// page reads the rows after the given one.
func (im *importer) page(ctx context.Context, after stored) ([]stored, error) {
	list := make([]stored, 0, page)
	err := im.db.Read(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT id, generation, ended, digest, contacts_digest FROM professionals
			WHERE (id, generation) > ($1, $2) ORDER BY id, generation LIMIT $3`, after.id, after.held.generation, page)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r stored
			if err := rows.Scan(&r.id, &r.held.generation, &r.ended, &r.held.digest, &r.held.contacts); err != nil {
				return err
			}
			list = append(list, r)
		}
		return rows.Err()
	})
	return list, err
}

// clear undoes, from the first to the last of these rows, what an import did
// that never came into force, and removes the ones among them that ended.
func (im *importer) clear(ctx context.Context, litter []stored) error {
	if len(litter) == 0 {
		return nil
	}
	return im.db.Write(ctx, func(tx *store.Tx) error {
		if err := im.lease.check(ctx, tx); err != nil {
			return err
		}
		unfinished := false
		for _, r := range litter {
			if r.held.generation > im.inForce || r.ended > im.inForce {
				unfinished = true
				continue
			}
			if _, err := tx.Exec(ctx, `DELETE FROM professionals WHERE id = $1 AND generation = $2`, r.id, r.held.generation); err != nil {
				return err
			}
		}
		if !unfinished {
			return nil
		}
		for _, query := range []string{ // both ends in the order of the database, as they were read
			`DELETE FROM professionals WHERE id >= $1 AND id <= $2 AND generation > $3`,
			`UPDATE professionals SET ended = 0 WHERE id >= $1 AND id <= $2 AND ended > $3`,
			`DELETE FROM contacts WHERE professional >= $1 AND professional <= $2 AND generation > $3`,
			`UPDATE contacts SET ended = 0, replaced = 0 WHERE professional >= $1 AND professional <= $2 AND ended > $3`,
		} {
			if _, err := tx.Exec(ctx, query, litter[0].id, litter[len(litter)-1].id, im.inForce); err != nil {
				return err
			}
		}
		return nil
	})
}

// clean removes, after the switch, the rows that it replaced, and contact points
// that were replaced more than a year ago. What it leaves when it is interrupted
// the next import finds.
func (im *importer) clean(ctx context.Context) error {
	if im.report.Changed > 0 {
		err := im.eachBatch(ctx, Cleaning, func(tx *store.Tx, changes []*change) error {
			for _, c := range changes {
				if c.kind != changed {
					continue
				}
				if _, err := tx.Exec(ctx, `DELETE FROM professionals WHERE id = $1 AND generation = $2`, c.id, c.held.generation); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	old := im.started - KeepOld.Milliseconds()
	for more := true; more; {
		err := im.db.Write(ctx, func(tx *store.Tx) error {
			n, err := tx.Exec(ctx, `
				DELETE FROM contacts WHERE replaced > 0 AND replaced < $1 AND professional IN (
					SELECT professional FROM contacts WHERE replaced > 0 AND replaced < $1 ORDER BY replaced LIMIT $2)`, old, batch)
			more = n > 0
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
