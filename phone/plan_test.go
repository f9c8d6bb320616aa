package phone

import (
	"strings"
	"testing"

	"vigie/store"
	"vigie/store/storetest"
)

// TestWhatIsAskedEveryMinuteReadsNoWholeTable looks at how the databases find
// what they are asked for when there are as many phones as professionals.
func TestWhatIsAskedEveryMinuteReadsNoWholeTable(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		for query, index := range map[string]string{toDisable: "phones_due", behind: "phones_behind"} {
			query = strings.NewReplacer("$1", "2", "$2", "1").Replace(query)
			var plan strings.Builder
			err := db.Write(ctx, func(tx *store.Tx) error {
				plan.Reset()
				explain := `EXPLAIN QUERY PLAN `
				if strings.HasSuffix(t.Name(), "/postgres") {
					explain = `EXPLAIN `
					if _, err := tx.Exec(ctx, `SET LOCAL enable_seqscan = off`); err != nil { // which is right for an empty table
						return err
					}
				}
				rows, err := tx.Query(ctx, explain+query)
				if err != nil {
					return err
				}
				defer rows.Close()
				columns, err := rows.Columns()
				if err != nil {
					return err
				}
				line := make([]any, len(columns))
				for i := range line {
					line[i] = new(any)
				}
				for rows.Next() {
					if err := rows.Scan(line...); err != nil {
						return err
					}
					last, _ := (*(line[len(line)-1].(*any))).(string)
					plan.WriteString(last + "\n")
				}
				return rows.Err()
			})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(plan.String(), index) {
				t.Errorf("%s\nis found so:\n%s", query, plan.String())
			}
		}
	})
}
