// Package secrets holds the keys that are not in the database: whoever has the
// database alone can test no PIN, forge no code and sign no token.
//
// They are one JSON file, the same on every node, made by [Create] with mode
// 0600 and read by [Load]:
//
//   - the master secrets, from which the keys that evaluate PINs are derived;
//     they have versions, so that a new one can take over while phones that
//     still use an older one move;
//   - the root of every MAC ([Secrets.MAC]);
//   - the keys that sign tokens, RS256 and ES256, each with the one in use and
//     the one that follows, so that services know a key before it signs.
//
// Nothing of it is ever printed: the types show as "(hidden)" wherever they are
// logged, formatted or marshalled.
package secrets

import (
	"bytes"
	"crypto"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// The algorithms of signing keys (RFC 7518 §3.1).
const (
	RS256 = "RS256" // RSA, 2048 bits
	ES256 = "ES256" // ECDSA, P-256
)

const (
	// keySize is the length of master secrets and of the MAC root, in bytes.
	keySize = 32

	// announced is how long a key is published before it should sign, so that
	// every service that keeps a copy of our keys has fetched it.
	announced = 24 * time.Hour

	// published is how long a key is still published after its last signature.
	published = 90 * 24 * time.Hour
)

// Secrets are the keys of one deployment. Its methods may be called from many
// goroutines.
type Secrets struct {
	path    string // the file, "" when they are only in memory
	content atomic.Pointer[content]
}

// A SigningKey signs tokens, will sign them, or has signed some that are still
// valid. All of them are published; only the Current one of its Alg signs. One
// that is neither Current nor Retired is the next.
type SigningKey struct {
	ID        string // JWK thumbprint (RFC 7638), SHA-256
	Alg       string // RS256 or ES256
	Private   crypto.Signer
	Current   bool
	Retired   bool
	NotBefore time.Time // when every service has surely fetched it; signing earlier is for emergencies
	RetiredAt time.Time // zero unless Retired
}

// Generate draws secrets that live in memory only. It takes some tenths of a
// second: tests share one.
func Generate() (*Secrets, error) {
	c := &content{Format: format, MACRoot: draw(), Masters: []master{{Version: 1, Key: draw()}}}
	for _, alg := range []string{RS256, ES256} {
		for _, st := range []state{current, next} {
			k, err := newKey(alg, st, time.Time{})
			if err != nil {
				return nil, err
			}
			c.Signing = append(c.Signing, k)
		}
	}
	s := &Secrets{}
	s.content.Store(c)
	return s, nil
}

func draw() []byte {
	b := make([]byte, keySize)
	rand.Read(b) // never fails (Go 1.24)
	return b
}

// MAC returns the 32-byte key for one use, which a constant of the calling
// package names ("login code"). Keys of different uses tell nothing about each
// other (HKDF-SHA256, RFC 5869).
func (s *Secrets) MAC(use string) []byte {
	return derive(s.content.Load().MACRoot, nil, "vigie mac: "+use)
}

// derive never fails: HKDF only refuses more than 8160 bytes, or a key that is
// too short in FIPS mode, and these are 32 bytes.
func derive(key, salt []byte, info string) []byte {
	b, err := hkdf.Key(sha256.New, key, salt, info, keySize)
	if err != nil {
		return nil
	}
	return b
}

// Master returns the master secret of a version, 32 bytes, and whether there is
// such a version.
func (s *Secrets) Master(version int) ([]byte, bool) {
	for _, m := range s.content.Load().Masters {
		if m.Version == version {
			return bytes.Clone(m.Key), true
		}
	}
	return nil, false
}

// MasterVersion is the version for new phones, and the one that others move to.
func (s *Secrets) MasterVersion() int {
	m := s.content.Load().Masters
	return m[len(m)-1].Version
}

// SigningKeys returns all keys to publish: for each algorithm the current one,
// the next one and the retired ones.
func (s *Secrets) SigningKeys() []SigningKey {
	c := s.content.Load()
	keys := make([]SigningKey, len(c.Signing))
	for i, k := range c.Signing {
		keys[i] = SigningKey{
			ID: k.id, Alg: k.Alg, Private: k.private,
			Current: k.State == current, Retired: k.State == retired,
			NotBefore: k.NotBefore, RetiredAt: k.Retired,
		}
	}
	return keys
}

// Fingerprint names the secrets without telling them. It stays the same under
// rotation, and other secrets have another.
func (s *Secrets) Fingerprint() string { return s.content.Load().fingerprint() }

// RotateSigning makes the next key of each algorithm the current one, keeps the
// one that was current published as retired, drops those retired 90 days ago,
// and draws new next keys. The file is replaced in one step; the other nodes
// take it up with [Secrets.Reload].
//
// Services fetch keys seldom: before [SigningKey.NotBefore] of the next keys
// (24 hours after they were drawn) some may not know them yet. Rotating earlier
// is right only when a key was lost to somebody.
func (s *Secrets) RotateSigning(now time.Time) error {
	return s.change("rotating the signing keys", func(c *content) error {
		var keys []signing
		for _, k := range c.Signing {
			switch k.State {
			case current:
				k.State, k.Retired = retired, now
			case next:
				k.State = current
				n, err := newKey(k.Alg, next, now.Add(announced))
				if err != nil {
					return err
				}
				keys = append(keys, n)
			case retired:
				if now.Sub(k.Retired) > published {
					continue
				}
			}
			keys = append(keys, k)
		}
		c.Signing = keys
		return nil
	})
}

// RotateMaster draws a new version of the master secret and makes it the one
// for new phones. The older ones stay, for the phones that have not moved.
func (s *Secrets) RotateMaster(now time.Time) error {
	return s.change("rotating the master secret", func(c *content) error {
		last := c.Masters[len(c.Masters)-1].Version
		c.Masters = append(c.Masters, master{Version: last + 1, Created: now, Key: draw()})
		return nil
	})
}

// change applies f to a copy of the secrets as their file has them now, writes
// it, and takes it up.
func (s *Secrets) change(deed string, f func(*content) error) error {
	if err := s.Reload(); err != nil {
		return fmt.Errorf("%s: %w", deed, err)
	}
	c := s.content.Load().clone()
	if err := f(c); err != nil {
		return fmt.Errorf("%s: %w", deed, err)
	}
	if s.path != "" {
		if err := replace(s.path, c); err != nil {
			return fmt.Errorf("%s: %w", deed, err)
		}
	}
	s.content.Store(c)
	return nil
}

// errOther says that a file holds the secrets of another deployment.
var errOther = errors.New("it now holds the secrets of another deployment, which were not taken up")

// Reload reads the file again, after another process has rotated it. On an
// error the secrets stay as they were.
func (s *Secrets) Reload() error {
	if s.path == "" {
		return nil
	}
	c, err := read(s.path)
	if err != nil {
		return err
	}
	if c.fingerprint() != s.Fingerprint() {
		return fmt.Errorf("secrets file %s: %w", s.path, errOther)
	}
	s.content.Store(c)
	return nil
}

func (c *content) fingerprint() string {
	return hex.EncodeToString(derive(c.MACRoot, c.Masters[0].Key, "vigie fingerprint")[:16])
}

const hidden = "(hidden)"

// String, like the methods below, tells nothing.
func (s *Secrets) String() string               { return hidden }
func (s *Secrets) GoString() string             { return hidden }
func (s *Secrets) Format(f fmt.State, _ rune)   { fmt.Fprint(f, hidden) } // %d would show fields
func (s *Secrets) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (s *Secrets) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// String tells the key's algorithm and ID, like the methods below.
func (k SigningKey) String() string               { return k.Alg + " " + k.ID + " " + hidden }
func (k SigningKey) GoString() string             { return k.String() }
func (k SigningKey) Format(f fmt.State, _ rune)   { fmt.Fprint(f, k.String()) }
func (k SigningKey) LogValue() slog.Value         { return slog.StringValue(k.String()) }
func (k SigningKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
