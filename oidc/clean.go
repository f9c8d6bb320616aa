package oidc

import (
	"context"
	"fmt"

	"vigie/session"
	"vigie/store"
)

const batch = 500 // rows of one transaction

// Clean deletes what has no more use, in small transactions between which
// sign-ins go on, until nothing is left to delete.
func Clean(ctx context.Context, db *store.DB) error {
	for _, table := range []struct{ name, id, column string }{
		{"oidc_authorizations", "id", "expires"},
		{"oidc_assertions", "id", "expires"},
		{"oidc_grants", "id", "created"},
	} {
		for more := true; more; {
			err := db.Write(ctx, func(tx *store.Tx) error {
				before := tx.Now
				if table.column == "created" {
					before = before.Add(-session.Life - AuthorizationLife) // by then its session is over
				}
				n, err := tx.Exec(ctx, fmt.Sprintf(`DELETE FROM %[1]s WHERE %[2]s IN (SELECT %[2]s FROM %[1]s WHERE %[3]s < $1 ORDER BY %[3]s LIMIT $2)`,
					table.name, table.id, table.column), store.Millis(before), batch)
				more = n == batch
				return err
			})
			if err != nil {
				return fmt.Errorf("cleaning %s: %w", table.name, err)
			}
		}
	}
	return nil
}
