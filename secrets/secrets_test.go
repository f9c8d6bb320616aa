package secrets

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var now = time.Date(2026, time.March, 2, 8, 0, 0, 0, time.UTC)

// made is drawn once: RSA keys take time.
var made = sync.OnceValues(Generate)

// file returns the path of a secrets file of its own.
func file(t *testing.T) (string, *Secrets) {
	t.Helper()
	s, err := made()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "secrets.json")
	if err := write(path, s.content.Load()); err != nil {
		t.Fatal(err)
	}
	s, err = Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, s
}

func ids(s *Secrets, which func(SigningKey) bool) (found []string) {
	for _, k := range s.SigningKeys() {
		if which(k) {
			found = append(found, k.ID)
		}
	}
	return found
}

func isCurrent(k SigningKey) bool { return k.Current }
func isRetired(k SigningKey) bool { return k.Retired }
func isNext(k SigningKey) bool    { return !k.Current && !k.Retired }

func TestAFileIsMadeOnceForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets.json")
	s, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Create(path); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Errorf("a second Create answered %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("a second Create changed the file")
	}
	loaded, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Fingerprint() != s.Fingerprint() || !bytes.Equal(loaded.MAC("x"), s.MAC("x")) {
		t.Error("what was read differs from what was made")
	}
	if got, want := fmt.Sprint(ids(loaded, isCurrent)), fmt.Sprint(ids(s, isCurrent)); got != want {
		t.Errorf("read the keys %s, made %s", got, want)
	}
}

func TestALinkIsNoPlaceForNewSecrets(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "target"), link); err != nil {
		t.Fatal(err)
	}
	if err := write(link, &content{}); err == nil {
		t.Error("wrote through a link")
	}
}

func TestAFileThatOthersCanReadIsRefused(t *testing.T) {
	path, _ := file(t)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %04o answered %v", mode, err)
		}
	}
}

func TestADamagedFileIsRefusedInWords(t *testing.T) {
	_, s := file(t)
	good, err := json.Marshal(s.content.Load())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(good); err != nil {
		t.Fatal(err)
	}
	for words, change := range map[string]func(*content){
		"its format is 2":               func(c *content) { c.Format = 2 },
		"mac_root has 31 bytes":         func(c *content) { c.MACRoot = c.MACRoot[:31] },
		"no master secret":              func(c *content) { c.Masters = nil },
		"does not follow":               func(c *content) { c.Masters = append(c.Masters, c.Masters[0]) },
		"master version 1 has 5 bytes":  func(c *content) { c.Masters[0].Key = make([]byte, 5) },
		"stands there twice":            func(c *content) { c.Signing = append(c.Signing, c.Signing[0]) },
		"it has 0 next keys for RS256":  func(c *content) { c.Signing[1].State = retired },
		"unknown state":                 func(c *content) { c.Signing[1].State = "old" },
		"does not serve for ES256":      func(c *content) { c.Signing[0].Alg = ES256 },
		"it has 0 current keys for ES2": func(c *content) { c.Signing = c.Signing[:2] },
		"signing key 1":                 func(c *content) { c.Signing[0].Key = []byte{1, 2, 3} },
	} {
		c, err := parse(good)
		if err != nil {
			t.Fatal(err)
		}
		change(c)
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(b); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("wanted %q, got %v", words, err)
		}
	}
	for _, b := range [][]byte{nil, good[:len(good)/2], append(bytes.Clone(good), "{}"...), bytes.Replace(good, []byte("{"), []byte(`{"more":1,`), 1)} {
		if _, err := parse(b); err == nil {
			t.Errorf("read %.40q…", b)
		}
	}
}

func TestRotationPublishesAKeyBeforeAndAfterItSigns(t *testing.T) {
	path, s := file(t)
	fingerprint := s.Fingerprint()
	following, signing := ids(s, isNext), ids(s, isCurrent)
	other, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}

	if err := s.RotateSigning(now); err != nil {
		t.Fatal(err)
	}
	if err := other.Reload(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Secrets{s, other} {
		if got := ids(s, isCurrent); fmt.Sprint(got) != fmt.Sprint(following) {
			t.Errorf("now %v sign, and %v were announced", got, following)
		}
		if got := ids(s, isRetired); fmt.Sprint(got) != fmt.Sprint(signing) {
			t.Errorf("now %v are retired, and %v signed", got, signing)
		}
		if s.Fingerprint() != fingerprint {
			t.Error("the fingerprint changed")
		}
		for _, k := range s.SigningKeys() {
			if isNext(k) && !k.NotBefore.Equal(now.Add(announced)) {
				t.Errorf("the next %s key may sign from %v on", k.Alg, k.NotBefore)
			}
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("after the rotation the file has the mode %v, %v", info.Mode(), err)
	}

	for range 2 { // the first retires more, the second drops what is too old
		if err := s.RotateSigning(now.Add(published + time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids(s, isRetired) {
		for _, old := range signing {
			if id == old {
				t.Errorf("key %s is still published", id)
			}
		}
	}
	if n := len(ids(s, isRetired)); n != 4 {
		t.Errorf("%d retired keys, not 4", n)
	}
}

func TestANewMasterLeavesTheOldOnesToWhoStillUsesThem(t *testing.T) {
	path, s := file(t)
	first, ok := s.Master(1)
	if !ok || len(first) != 32 || s.MasterVersion() != 1 {
		t.Fatalf("first master: %d bytes, version %d", len(first), s.MasterVersion())
	}
	fingerprint := s.Fingerprint()
	if err := s.RotateMaster(now); err != nil {
		t.Fatal(err)
	}
	s, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	second, ok := s.Master(2)
	if !ok || s.MasterVersion() != 2 || bytes.Equal(first, second) {
		t.Error("there is no new master")
	}
	if old, ok := s.Master(1); !ok || !bytes.Equal(old, first) {
		t.Error("the old master is gone")
	}
	if _, ok := s.Master(3); ok {
		t.Error("there is a master that nobody drew")
	}
	if s.Fingerprint() != fingerprint {
		t.Error("the fingerprint changed")
	}
}

func TestSecretsOfAnotherDeploymentAreNotTakenUp(t *testing.T) {
	path, s := file(t)
	c := s.content.Load().clone()
	c.MACRoot = draw()
	os.Remove(path)
	if err := write(path, c); err != nil {
		t.Fatal(err)
	}
	fingerprint := s.Fingerprint()
	if err := s.Reload(); err == nil {
		t.Error("took up other secrets")
	}
	if err := s.RotateMaster(now); err == nil {
		t.Error("overwrote other secrets")
	}
	if s.Fingerprint() != fingerprint {
		t.Error("the secrets changed")
	}
}

func TestARotationThatCannotBeWrittenChangesNothing(t *testing.T) {
	path, s := file(t)
	if err := os.WriteFile(path+".new", nil, 0o600); err != nil { // another rotation
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	if err := s.RotateMaster(now); err == nil {
		t.Error("no error")
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) || s.MasterVersion() != 1 {
		t.Error("something changed")
	}
}

func TestKeysOfDifferentUsesDiffer(t *testing.T) {
	_, s := file(t)
	a, b := s.MAC("login code"), s.MAC("nonce")
	if len(a) != 32 || bytes.Equal(a, b) || !bytes.Equal(a, s.MAC("login code")) {
		t.Errorf("%d bytes", len(a))
	}
	other, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a, other.MAC("login code")) || s.Fingerprint() == other.Fingerprint() {
		t.Error("two deployments share a key")
	}
}

// The key of RFC 7638 §3.1.
func TestKeyIDsAreJWKThumbprints(t *testing.T) {
	n, err := base64.RawURLEncoding.DecodeString("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")
	if err != nil {
		t.Fatal(err)
	}
	got, err := thumbprint(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537})
	if err != nil || got != "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" {
		t.Errorf("%s, %v", got, err)
	}
	// The key of RFC 7517 §A.1, whose coordinates have 32 bytes each.
	x, _ := base64.RawURLEncoding.DecodeString("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4")
	y, _ := base64.RawURLEncoding.DecodeString("4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM")
	p, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := thumbprint(p); err != nil || got != "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestNothingSecretIsEverPrinted(t *testing.T) {
	_, s := file(t)
	k := s.SigningKeys()[0]
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "k", k, "group", slog.GroupValue(slog.Any("k", &k)))
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s, "k", k)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&log, verb+" "+verb+" "+verb+" "+verb+"\n", s, k, &k, struct{ K SigningKey }{k})
	}
	for _, v := range []any{s, k, &k, map[string]any{"s": s, "k": k}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		log.Write(b)
	}
	c := s.content.Load()
	for name, secret := range map[string][]byte{"mac": c.MACRoot, "master": c.Masters[0].Key, "signing": c.Signing[0].Key[40:60]} {
		for _, form := range []string{string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret), fmt.Sprint(secret)} {
			if strings.Contains(log.String(), strings.Trim(form, "[]=")) {
				t.Errorf("%s was printed", name)
			}
		}
	}
	if strings.Contains(log.String(), "PrivateKey") || strings.Contains(log.String(), "0x") {
		t.Errorf("printed more than it may: %s", log.String())
	}
}

func TestSecretsDoNotLieUnderTheData(t *testing.T) {
	dir := t.TempDir()
	data, keys := filepath.Join(dir, "data"), filepath.Join(dir, "keys")
	for _, d := range []string{filepath.Join(data, "deep"), keys} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	link(filepath.Join(data, "deep"), filepath.Join(keys, "in")) // a way into the data
	link(keys, filepath.Join(data, "out"))                       // a way out of it
	link(data, filepath.Join(dir, "alias"))                      // another name of it
	os.WriteFile(filepath.Join(data, "real.json"), nil, 0o600)
	link(filepath.Join(data, "real.json"), filepath.Join(keys, "s.json"))

	for _, c := range []struct {
		path, data string
		good       bool
	}{
		{keys + "/secrets.json", data, true},
		{dir + "/secrets.json", data, true},
		{dir + "/data-secrets.json", data, true},
		{data + "/out/secrets.json", data, true},
		{data + "/../keys/secrets.json", data, true},
		{keys + "/secrets.json", dir + "/none", true},
		{data + "/secrets.json", data, false},
		{data + "/deep/secrets.json", data, false},
		{data + "/new/secrets.json", data, false},
		{keys + "/../data/secrets.json", data, false},
		{keys + "/in/secrets.json", data, false},
		{keys + "/s.json", data, false},
		{data + "/secrets.json", dir + "/alias", false},
		{dir + "/alias/secrets.json", data, false},
		{dir + "/none/secrets.json", dir + "/none", false},
		{"/secrets.json", "/", false},
	} {
		if err := CheckPlace(c.path, c.data); (err == nil) != c.good {
			t.Errorf("%s with data in %s: %v", c.path, c.data, err)
		}
	}
	t.Chdir(data)
	if CheckPlace("secrets.json", ".") == nil || CheckPlace("secrets.json", "") == nil {
		t.Error("a relative path was not refused")
	}
}

func FuzzParse(f *testing.F) {
	s, err := made()
	if err != nil {
		f.Fatal(err)
	}
	b, err := json.Marshal(s.content.Load())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parse(b)
		if err != nil {
			return
		}
		s := &Secrets{}
		s.content.Store(c)
		if _, ok := s.Master(s.MasterVersion()); !ok || len(s.MAC("x")) != 32 || len(s.SigningKeys()) < 4 {
			t.Error("accepted secrets that do not serve")
		}
	})
}
