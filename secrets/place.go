package secrets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// CheckPlace refuses a secrets file that lies under the data folder, be it
// through links: a copy or a backup of that folder would then hold both the
// database and the keys that protect it. Neither needs to exist yet.
func CheckPlace(path, dataDir string) error {
	file, err := resolve(path)
	if err != nil {
		return fmt.Errorf("finding where the secrets file lies: %w", err)
	}
	data, err := resolve(dataDir)
	if err != nil {
		return fmt.Errorf("finding where the data folder lies: %w", err)
	}
	dataInfo, err := os.Stat(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("finding where the data folder lies: %w", err)
	}
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		under := dir == data
		if info, err := os.Stat(dir); err == nil && dataInfo != nil {
			under = under || os.SameFile(info, dataInfo) // also by another spelling or mount
		}
		if under {
			return fmt.Errorf("the secrets file %s lies under the data folder %s: keep it elsewhere, so that no copy of the data holds the keys", path, dataDir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// resolve makes path absolute and follows the links of the part that exists.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	rest := ""
	for {
		found, err := filepath.EvalSymlinks(path)
		if err == nil {
			return filepath.Join(found, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return "", err
		}
		rest = filepath.Join(filepath.Base(path), rest)
		path = filepath.Dir(path)
	}
}
