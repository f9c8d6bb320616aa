package message_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"vigie/message"
)

// mailServer is somebody's mail server: it takes mail, and refuses as told.
type mailServer struct {
	host  string
	port  int
	roots *x509.CertPool

	mu       sync.Mutex
	mails    []string // as they came over the wire
	from, to string
	secure   bool
	user     string
	mail     error // what to answer to MAIL FROM
	rcpt     error // to RCPT TO
	data     error // to the mail itself
	hangUp   bool  // right after a mail was taken
}

func startMail(t *testing.T, implicit, offerTLS, auth bool) *mailServer {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate, made for 127.0.0.1
	web.Close()
	m := &mailServer{roots: x509.NewCertPool()}
	m.roots.AddCert(web.Certificate())
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		session := &mailSession{server: m, conn: c}
		if auth {
			return &authSession{session}, nil
		}
		return session, nil
	}))
	s.ErrorLog = silent{}
	s.Domain = "mx.example.org"
	config := &tls.Config{Certificates: web.TLS.Certificates}
	if offerTLS {
		s.TLSConfig = config
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().(*net.TCPAddr)
	m.host, m.port = address.IP.String(), address.Port
	if implicit {
		l = tls.NewListener(l, config)
	}
	var serving sync.WaitGroup
	serving.Go(func() { s.Serve(l) })
	t.Cleanup(func() { s.Close(); serving.Wait() })
	return m
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

type mailSession struct {
	server *mailServer
	conn   *smtp.Conn
	taken  bool
}

func (s *mailSession) Reset() {
	if s.taken && s.server.hangUp {
		s.conn.Conn().Close()
	}
}
func (s *mailSession) Logout() error { return nil }

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	_, s.server.secure = s.conn.TLSConnectionState()
	s.server.from = from
	return s.server.mail
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.to = to
	return s.server.rcpt
}

func (s *mailSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.data != nil {
		return s.server.data
	}
	s.server.mails = append(s.server.mails, string(text))
	s.taken = true
	return nil
}

type authSession struct{ *mailSession }

func (s *authSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *authSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "vigie" || password != "right" {
			return smtp.ErrAuthFailed
		}
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		s.server.user = user
		return nil
	}), nil
}

func (s *authSession) Mail(from string, o *smtp.MailOptions) error {
	if s.server.user == "" {
		return smtp.ErrAuthRequired
	}
	return s.mailSession.Mail(from, o)
}

// at fills in where m is.
func (m *mailServer) at(o message.SMTPOptions) message.SMTPOptions {
	o.Host, o.Port, o.Roots, o.From = m.host, m.port, m.roots, "Vigie <vigie@example.org>"
	o.Timeout = 5 * time.Second
	return o
}

func smtpSender(t *testing.T, o message.SMTPOptions) *message.SMTP {
	t.Helper()
	s, err := message.NewSMTP(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var mail = message.Letter{
	ID: "LETTER1", At: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC), Channel: message.Email, To: "anne.martin@example.org",
	Subject: "Votre code d'activation à usage unique, écrit avec des accents et assez long pour deux lignes",
	Text:    "Bonjour,\n\nvotre code est 12345678.\n.\nÀ bientôt\n",
}

func TestEMailArrives(t *testing.T) {
	for name, c := range map[string]struct {
		implicit, offer, auth bool
		options               message.SMTPOptions
		secure                bool
	}{
		"starttls":      {offer: true, secure: true},
		"starttls auth": {offer: true, auth: true, options: message.SMTPOptions{Username: "vigie", Password: "right"}, secure: true},
		"implicit":      {implicit: true, options: message.SMTPOptions{TLS: message.Implicit}, secure: true},
		"implicit auth": {implicit: true, auth: true, options: message.SMTPOptions{TLS: message.Implicit, Username: "vigie", Password: "right"}, secure: true},
		"this machine":  {options: message.SMTPOptions{TLS: message.None}},
	} {
		t.Run(name, func(t *testing.T) {
			m := startMail(t, c.implicit, c.offer, c.auth)
			if err := smtpSender(t, m.at(c.options)).Send(t.Context(), mail); err != nil {
				t.Fatal(err)
			}
			if len(m.mails) != 1 || m.from != "vigie@example.org" || m.to != mail.To || !c.implicit && m.secure != c.secure {
				t.Fatalf("%+v", m)
			}
			got, err := netmail.ReadMessage(strings.NewReader(m.mails[0]))
			if err != nil {
				t.Fatal(err)
			}
			subject, err := new(mimeWords).DecodeHeader(got.Header.Get("Subject"))
			if err != nil || subject != mail.Subject {
				t.Errorf("subject %q, %v", subject, err)
			}
			for header, want := range map[string]string{
				"From": `"Vigie" <vigie@example.org>`, "To": "<anne.martin@example.org>", "Message-ID": "<LETTER1@example.org>",
				"Auto-Submitted": "auto-generated", "Date": "Mon, 02 Mar 2026 08:00:00 +0000", "User-Agent": "", "X-Mailer": "",
			} {
				if got := got.Header.Get(header); got != want {
					t.Errorf("%s: %q, want %q", header, got, want)
				}
			}
			if body := decode(t, got); body != mail.Text {
				t.Errorf("text %q", body)
			}
		})
	}
}

func TestEMailThatIsRefused(t *testing.T) {
	no := func(code int) error { return &smtp.SMTPError{Code: code, Message: "no " + mail.To} }
	for name, c := range map[string]struct {
		mail, rcpt, data error
		final            bool
	}{
		"no such mailbox":    {rcpt: no(550), final: true},
		"greylisted":         {rcpt: no(451)},
		"mailbox full":       {rcpt: no(452)},
		"content refused":    {data: no(554), final: true},
		"try later":          {data: no(421)},
		"we may not send":    {mail: no(550)}, // an operator can put that right
		"we are not known":   {mail: no(530)},
		"too many from here": {mail: no(421)},
	} {
		t.Run(name, func(t *testing.T) {
			m := startMail(t, false, true, false)
			m.mail, m.rcpt, m.data = c.mail, c.rcpt, c.data
			err := smtpSender(t, m.at(message.SMTPOptions{})).Send(t.Context(), mail)
			if err == nil || errors.Is(err, message.ErrRefused) != c.final {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestEMailTakesNoInsecureWay(t *testing.T) {
	plain := startMail(t, false, false, false)
	if err := smtpSender(t, plain.at(message.SMTPOptions{})).Send(t.Context(), mail); err == nil || len(plain.mails) != 0 {
		t.Errorf("sent to a server without STARTTLS: %v", err)
	}
	stranger := startMail(t, false, true, false)
	o := stranger.at(message.SMTPOptions{})
	o.Roots = x509.NewCertPool()
	if err := smtpSender(t, o).Send(t.Context(), mail); err == nil || len(stranger.mails) != 0 {
		t.Errorf("sent to a server with a stranger's certificate: %v", err)
	}
	locked := startMail(t, false, true, true)
	err := smtpSender(t, locked.at(message.SMTPOptions{Username: "vigie", Password: "wrong"})).Send(t.Context(), mail)
	if err == nil || errors.Is(err, message.ErrRefused) {
		t.Errorf("a wrong password: %v", err)
	}
	if strings.Contains(err.Error(), "wrong") {
		t.Errorf("the password is in the error: %v", err)
	}
	for name, o := range map[string]message.SMTPOptions{
		"plain over the network": {Host: "mx.example.org", TLS: message.None, From: "a@example.org"},
		"plain by name":          {Host: "localhost", TLS: message.None, From: "a@example.org"},
		"unknown protection":     {Host: "127.0.0.1", TLS: "maybe", From: "a@example.org"},
		"no sender":              {Host: "127.0.0.1"},
		"no host":                {From: "a@example.org"},
	} {
		if _, err := message.NewSMTP(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A mail server that hangs up after taking the mail has taken it: sending it again would be wrong.
func TestEMailTakenIsTakenWhateverFollows(t *testing.T) {
	m := startMail(t, false, true, false)
	m.hangUp = true
	if err := smtpSender(t, m.at(message.SMTPOptions{})).Send(t.Context(), mail); err != nil || len(m.mails) != 1 {
		t.Errorf("%d mails, %v", len(m.mails), err)
	}
}

func TestEMailWithoutServerIsTriedAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	s := smtpSender(t, message.SMTPOptions{Host: "127.0.0.1", Port: port, From: "a@example.org", Timeout: time.Second})
	if err := s.Send(t.Context(), mail); err == nil || errors.Is(err, message.ErrRefused) {
		t.Error(err)
	}
	bad := mail
	bad.To = "not an address"
	if err := s.Send(t.Context(), bad); !errors.Is(err, message.ErrRefused) {
		t.Error(err)
	}
}
