//go:build unix

package secrets

import (
	"os"
	"syscall"
)

// keepOwner gives fresh to the owner of path: root may rotate what a server that
// is not root must read.
func keepOwner(path, fresh string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return nil
	}
	return os.Chown(fresh, int(owner.Uid), int(owner.Gid))
}
