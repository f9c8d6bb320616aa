//go:build unix

package secrets

import (
	"os"
	"syscall"
	"testing"
)

func TestARotationLeavesTheFileToItsOwner(t *testing.T) {
	path, s := file(t)
	const nobody = 65534
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Logf("only root can rotate for another: %v", err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RotateSigning(now); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	was, is := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if was.Uid != is.Uid || was.Gid != is.Gid || after.Mode().Perm() != 0o600 {
		t.Errorf("it was %d:%d's, and is %d:%d's with mode %v", was.Uid, was.Gid, is.Uid, is.Gid, after.Mode())
	}
}
