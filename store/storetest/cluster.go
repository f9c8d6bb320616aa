//go:build unix

package storetest

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

// linger is how long the shared server stays after its last user, in seconds:
// longer than "go test" takes from one package to the next.
const linger = "20"

// sharedCluster returns the URL of the private server that the test processes
// of this user share, and starts it when it does not run.
//
// Two locks hold it together. Each process holds "use" (shared) until it ends,
// however it ends. Whoever starts the server also starts a watchman, which
// waits until it can have "use" alone, and then stops the server and removes
// its files. "start" lets one process at a time look whether the server runs.
func sharedCluster() (string, error) {
	c, err := newCluster()
	if err != nil {
		return "", err
	}
	start, err := c.lock("start", syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer syscall.Close(start)
	if _, err := c.lock("use", syscall.LOCK_SH); err != nil { // never closed: it ends with the process
		return "", err
	}
	if !c.running() {
		if err := c.start(); err != nil {
			return "", fmt.Errorf("starting a private PostgreSQL server: %w", err)
		}
	}
	u := url.URL{Scheme: "postgres", User: url.User("vigie"), Path: "/postgres"}
	u.RawQuery = url.Values{"host": {c.dir}, "sslmode": {"disable"}}.Encode()
	return u.String(), nil
}

// A cluster is a PostgreSQL server in a folder, reached by a socket in it.
type cluster struct {
	bin string // where its programs are
	dir string
	as  *syscall.Credential // whom it runs as, nil for who runs the test
}

func newCluster() (*cluster, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return nil, errors.New("VIGIE_TEST_POSTGRES is empty and no PostgreSQL is installed in /usr/lib/postgresql")
	}
	sort.Strings(found)
	c := &cluster{
		bin: filepath.Dir(found[len(found)-1]),
		dir: filepath.Join(os.TempDir(), "vigie-storetest-"+strconv.Itoa(os.Getuid())),
	}
	owner := os.Getuid()
	if owner == 0 { // PostgreSQL refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		c.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		owner = uid
	}
	return c, c.makeDir(owner)
}

// makeDir makes the folder, and refuses one that somebody else has made. It
// appears complete, because other processes look at the same time.
func (c *cluster) makeDir(owner int) error {
	made, err := os.MkdirTemp(os.TempDir(), "vigie-storetest-new-")
	if err != nil {
		return err
	}
	if c.as != nil {
		err = os.Chown(made, owner, int(c.as.Gid))
	}
	if err == nil {
		err = os.Rename(made, c.dir)
	}
	if err != nil {
		os.Remove(made)
	}
	info, statErr := os.Lstat(c.dir)
	if statErr != nil {
		return errors.Join(err, statErr)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || int(st.Uid) != owner {
		return fmt.Errorf("%s belongs to somebody else", c.dir)
	}
	return nil
}

// lock waits for a lock, which lasts until the descriptor is closed. (An
// os.File that nothing refers to would be closed by the garbage collector.)
func (c *cluster) lock(name string, how int) (fd int, err error) {
	path := filepath.Join(c.dir, name)
	fd, err = syscall.Open(path, syscall.O_RDONLY|syscall.O_CREAT|syscall.O_CLOEXEC, 0o644)
	for err == nil {
		if err = syscall.Flock(fd, how); err == nil {
			return fd, nil
		}
		if errors.Is(err, syscall.EINTR) {
			err = nil
		}
	}
	return -1, fmt.Errorf("locking %s: %w", path, err)
}

func (c *cluster) running() bool {
	conn, err := net.Dial("unix", filepath.Join(c.dir, ".s.PGSQL.5432"))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// watch ends the server when nobody has used it for a while.
const watch = `while :; do
	flock use true
	sleep "$1"
	flock -n use sh -c '"$0/pg_ctl" -D data -m immediate stop; rm -rf data' "$0" && exit
done`

func (c *cluster) start() error {
	settings := []string{
		"listen_addresses=", "unix_socket_directories=" + c.dir, "max_connections=400",
		"shared_buffers=64MB", "jit=off",
		"fsync=off", "synchronous_commit=off", "full_page_writes=off", // the files are thrown away
	}
	for _, args := range [][]string{
		{"rm", "-rf", "data"},
		{filepath.Join(c.bin, "initdb"), "-D", "data", "-U", "vigie", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"},
		{filepath.Join(c.bin, "pg_ctl"), "-D", "data", "-l", "log", "-w", "-o", "-c " + strings.Join(settings, " -c "), "start"},
	} {
		if err := c.command(args...).Run(); err != nil {
			words, _ := os.ReadFile(filepath.Join(c.dir, "log"))
			return fmt.Errorf("%s: %w: %s", args[0], err, words)
		}
	}
	watchman := c.command("sh", "-c", watch, c.bin, linger)
	if err := watchman.Start(); err != nil {
		return err
	}
	return watchman.Process.Release()
}

// command prepares a program that outlives the test: it has a session of its
// own and holds nothing of the test's files.
func (c *cluster) command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.as, Setsid: true}
	return cmd
}
