package secrets

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// format is the version of the file's form.
const format = 1

// maxFile bounds the file, in bytes: some hundred retired keys.
const maxFile = 1 << 20

// content is the file.
type content struct {
	Format  int       `json:"format"`
	MACRoot []byte    `json:"mac_root"`
	Masters []master  `json:"masters"` // versions ascend
	Signing []signing `json:"signing"`
}

type master struct {
	Version int       `json:"version"`
	Created time.Time `json:"created,omitzero"`
	Key     []byte    `json:"key"`
}

type signing struct {
	Alg       string    `json:"alg"`
	State     state     `json:"state"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Retired   time.Time `json:"retired,omitzero"`
	Key       []byte    `json:"key"` // PKCS #8, DER

	id      string // follows from Key, like:
	private crypto.Signer
}

type state string

const (
	current state = "current"
	next    state = "next"
	retired state = "retired"
)

// Create draws secrets and writes them to a new file with mode 0600. It never
// overwrites one: losing secrets signs every phone off.
func Create(path string) (*Secrets, error) {
	s, err := Generate()
	if err != nil {
		return nil, err
	}
	if err := write(path, s.content.Load()); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("there is one already, and it is not overwritten: %w", err)
		}
		return nil, fmt.Errorf("creating the secrets file: %w", err)
	}
	s.path = path
	return s, nil
}

// Load reads the secrets from their file. It refuses one that others than its
// owner may read or write.
func Load(path string) (*Secrets, error) {
	c, err := read(path)
	if err != nil {
		return nil, err
	}
	s := &Secrets{path: path}
	s.content.Store(c)
	return s, nil
}

func read(path string) (*content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the secrets file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("opening the secrets file: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() {
		return nil, fmt.Errorf("secrets file %s: it is not a plain file", path)
	} else if mode.Perm()&0o077 != 0 && runtime.GOOS != "windows" { // which has no such modes
		return nil, fmt.Errorf("secrets file %s: its mode %04o lets others than its owner use it: run chmod 600 on it, "+
			"and rotate what it holds if others use this machine", path, mode.Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("reading the secrets file: %w", err)
	}
	c, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("secrets file %s: %w", path, err)
	}
	return c, nil
}

// parse reads the content of a file and checks that it is complete.
func parse(b []byte) (*content, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	c := &content{}
	if err := d.Decode(c); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows its JSON object")
	}
	if c.Format != format {
		return nil, fmt.Errorf("its format is %d, and this program reads %d", c.Format, format)
	}
	if len(c.MACRoot) != keySize {
		return nil, fmt.Errorf("mac_root has %d bytes, not %d", len(c.MACRoot), keySize)
	}
	if len(c.Masters) == 0 {
		return nil, errors.New("it has no master secret")
	}
	last := 0
	for _, m := range c.Masters {
		if m.Version <= last {
			return nil, fmt.Errorf("master version %d does not follow %d", m.Version, last)
		}
		if len(m.Key) != keySize {
			return nil, fmt.Errorf("master version %d has %d bytes, not %d", m.Version, len(m.Key), keySize)
		}
		last = m.Version
	}
	return c, c.parseSigning()
}

// parseSigning checks that each algorithm has one current key and one next.
func (c *content) parseSigning() error {
	type place struct {
		alg   string
		state state
	}
	found, ids := map[place]int{}, map[string]bool{}
	for i := range c.Signing {
		k := &c.Signing[i]
		if err := k.parse(); err != nil {
			return fmt.Errorf("signing key %d: %w", i+1, err)
		}
		if ids[k.id] {
			return fmt.Errorf("signing key %d stands there twice", i+1)
		}
		ids[k.id] = true
		switch k.State {
		case current, next, retired:
			found[place{k.Alg, k.State}]++
		default:
			return fmt.Errorf("signing key %d has the unknown state %q", i+1, k.State)
		}
	}
	for _, alg := range []string{RS256, ES256} {
		for _, st := range []state{current, next} {
			if n := found[place{alg, st}]; n != 1 {
				return fmt.Errorf("it has %d %s keys for %s, not one", n, st, alg)
			}
		}
	}
	return nil
}

// clone copies what a rotation changes.
func (c *content) clone() *content {
	d := *c
	d.Masters = slices.Clone(c.Masters)
	d.Signing = slices.Clone(c.Signing)
	return &d
}

// write makes a new file that holds c, and returns once it is on disk.
func write(path string, c *content) (err error) {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(path)
		}
	}()
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// replace puts c in the place of the file in one step: a crash leaves the old
// one or the new one.
func replace(path string, c *content) error {
	path, err := filepath.EvalSymlinks(path) // keep a link a link
	if err != nil {
		return err
	}
	fresh := path + ".new"
	if err := write(fresh, c); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("another rotation is running, or one was broken off: in that case remove this file: %w", err)
		}
		return err
	}
	err = keepOwner(path, fresh)
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a folder durable, where the system can.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
