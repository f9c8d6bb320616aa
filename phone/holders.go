package phone

import (
	"context"
	"fmt"

	"vigie/directory"
	"vigie/store"
)

// EachHolder calls each once for every professional who has a phone that was
// neither removed nor disabled, whether it sleeps or not.
func EachHolder(ctx context.Context, tx *store.Tx, each func(directory.ID)) error {
	rows, err := tx.Query(ctx, `SELECT DISTINCT professional FROM phones WHERE removed = 0 AND disabled = 0`)
	if err != nil {
		return fmt.Errorf("listing who has a phone: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id directory.ID
		if err := rows.Scan(&id); err != nil {
			return fmt.Errorf("listing who has a phone: %w", err)
		}
		each(id)
	}
	return rows.Err()
}
