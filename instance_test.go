package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"vigie/directory"
	"vigie/stage"
	"vigie/store/storetest"
)

// An instance is `vigie serve` in a process of its own, on a database with
// people and a service, which can be ended and started again at the same
// addresses.
type instance struct {
	t           *testing.T
	binary      string
	args        []string
	portal, app string
	client      *client // of the service
	people      []stage.Person
	letters     *letters
	log         *os.File

	cmd *exec.Cmd
}

// newInstance prepares one on "sqlite" or "postgres", by the commands that an
// operator uses, and does not start it.
func newInstance(t *testing.T, engine string, people int) *instance {
	t.Helper()
	top := t.TempDir()
	i := &instance{t: t, binary: filepath.Join(top, "vigie"), letters: newLetters(t)}
	if out, err := exec.Command("go", "build", "-o", i.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	var err error
	if i.log, err = os.Create(filepath.Join(top, "log")); err != nil {
		t.Fatal(err)
	}
	secrets, register := filepath.Join(top, "secrets.json"), filepath.Join(top, "Extraction_ProSanteConnect_Personne_activite_202603020800.txt")
	where := []string{"--data", filepath.Join(top, "data")}
	if engine == "postgres" {
		where = append(where, "--database", storetest.Postgres(t))
	}
	i.run("keys", "init", "--secrets", secrets)
	i.run("directory", "generate", "--people", fmt.Sprint(people), register)
	i.run(append([]string{"directory", "import", register}, where...)...)
	portal, app := freeAddress(t), freeAddress(t)
	i.portal, i.app = "http://"+portal, "http://"+app
	i.client = &client{portal: i.portal, http: &http.Client{Timeout: 15 * time.Second}}
	var added struct{ ID, Secret string }
	if err := json.Unmarshal(i.run(append([]string{"service", "add", "--name", "Un service", "--redirect-uri", landing}, where...)...), &added); err != nil {
		t.Fatal(err)
	}
	i.client.id, i.client.secret = added.ID, added.Secret
	i.args = append([]string{"serve", "--test", "--secrets", secrets, "--portal", i.portal, "--app", i.app, "--listen", portal, "--app-listen", app,
		"--smtp", i.letters.smtp, "--mail-from", "no-reply@example.test", "--sms", i.letters.sms}, where...)
	i.people = reachable(people)
	return i
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// reachable are those of the first n generated people who have both contact
// points, and a number that nobody shares.
func reachable(n int) (all []stage.Person) {
	numbers := map[string]int{}
	for e := range directory.Fictitious(n, 1) {
		numbers[e.Mobile]++
	}
	for e := range directory.Fictitious(n, 1) {
		if e.Mobile != "" && e.Email != "" && numbers[e.Mobile] == 1 {
			all = append(all, stage.Person{NationalID: e.ID.String(), Name: e.Name(), Mobile: e.Mobile, Email: e.Email})
		}
	}
	return all
}

// run runs another command of the binary.
func (i *instance) run(args ...string) []byte {
	i.t.Helper()
	cmd := exec.Command(i.binary, args...)
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		i.t.Fatalf("vigie %s: %v\n%s", strings.Join(args, " "), err, words.Bytes())
	}
	return out
}

// start starts the server and waits until it is ready.
func (i *instance) start() {
	i.t.Helper()
	i.cmd = exec.Command(i.binary, i.args...)
	i.cmd.Stdout, i.cmd.Stderr = i.log, i.log
	if err := i.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { i.end(syscall.SIGKILL) })
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if resp, err := i.client.http.Get(i.portal + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if i.cmd.ProcessState != nil || time.Since(began) > 30*time.Second {
			i.t.Fatalf("it does not get ready\n%s", i.said())
		}
	}
}

// end sends a signal, waits for the end and returns the exit status: -1 when the
// signal itself ended it.
func (i *instance) end(signal syscall.Signal) int {
	if i.cmd == nil {
		return -1
	}
	_ = i.cmd.Process.Signal(signal) // it may have ended
	_ = i.cmd.Wait()
	status := i.cmd.ProcessState.ExitCode()
	i.cmd = nil
	return status
}

// said is the end of the log.
func (i *instance) said() string {
	b, err := os.ReadFile(i.log.Name())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(b), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// letters are an SMTP server and an SMS provider.
type letters struct {
	smtp, sms string // where they are

	mu       sync.Mutex
	received map[string][]string // by recipient
	deaf     bool                // answers 503
}

func newLetters(t testing.TB) *letters {
	t.Helper()
	l := &letters{received: map[string][]string{}}
	mail := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &envelope{letters: l}, nil }))
	mail.ErrorLog = silent{}
	mails, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go mail.Serve(mails)
	l.smtp = "smtp://" + mails.Addr().String() + "?plain"
	texts, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gateway := &http.Server{Handler: l}
	go gateway.Serve(texts)
	l.sms = "http://" + texts.Addr().String() + "/send"
	t.Cleanup(func() {
		mail.Close()
		gateway.Close()
	})
	return l
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// ServeHTTP is the SMS provider.
func (l *letters) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var sms struct{ To, Text string }
	if err := json.NewDecoder(r.Body).Decode(&sms); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if !l.take(sms.To, sms.Text) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (l *letters) take(to, text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.deaf {
		l.received[to] = append(l.received[to], text)
	}
	return !l.deaf
}

func (l *letters) setDeaf(deaf bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = deaf
}

type envelope struct {
	letters *letters
	to      string
}

func (e *envelope) Reset()                               {}
func (e *envelope) Logout() error                        { return nil }
func (e *envelope) Mail(string, *smtp.MailOptions) error { return nil }
func (e *envelope) Rcpt(to string, _ *smtp.RcptOptions) error {
	e.to = to
	return nil
}

func (e *envelope) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if !e.letters.take(e.to, string(text)) {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "later"}
	}
	return nil
}

var activationCode = regexp.MustCompile(`\b(\d{4}) (\d{4})\b`)

// codes returns the codes that arrived last at both contact points of who.
func (l *letters) codes(who stage.Person) (sms, email string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := func(to string) string {
		for _, text := range slices.Backward(l.received[to]) {
			if m := activationCode.FindStringSubmatch(text); m != nil {
				return m[1] + m[2]
			}
		}
		return ""
	}
	return last(who.Mobile), last(who.Email)
}
