package message

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// TLS is how a connection to a mail server is protected.
type TLS string

// The ways; the zero value is STARTTLS. A server that does not offer it is not used.
const (
	STARTTLS TLS = "starttls" // port 587, RFC 3207
	Implicit TLS = "tls"      // port 465, RFC 8314 §3.3
	None     TLS = "none"     // port 25, and only on a literal loopback address: a mail server on this machine
)

// SMTPOptions say how the operator's mail server is reached.
type SMTPOptions struct {
	Host     string // name or address
	Port     int    // zero: the usual one
	TLS      TLS
	Roots    *x509.CertPool // nil: those of the system
	Username string         // empty: without authentication
	Password string
	From     string        // address of the sender, with a name if wanted: "Vigie <vigie@example.org>"
	Timeout  time.Duration // of connecting, and of sending; zero: 10 s
}

// LogValue hides the password.
func (o SMTPOptions) LogValue() slog.Value {
	return slog.GroupValue(slog.String("host", o.Host), slog.Int("port", o.Port), slog.String("tls", string(o.TLS)),
		slog.String("username", o.Username), slog.String("from", o.From))
}

// SMTP sends e-mail through the operator's mail server. Each letter has a connection of its own.
type SMTP struct {
	client *mail.Client
	from   *netmail.Address
	domain string // of from
}

// NewSMTP checks o and makes the sender. It does not connect.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	from, err := netmail.ParseAddress(o.From)
	if err != nil {
		return nil, fmt.Errorf("sender %q of e-mail: %w", o.From, err)
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	options := []mail.Option{
		mail.WithTLSConfig(&tls.Config{ServerName: o.Host, RootCAs: o.Roots, MinVersion: tls.VersionTLS12}),
		mail.WithTimeout(o.Timeout),
	}
	switch o.TLS {
	case "", STARTTLS:
		options = append(options, mail.WithTLSPortPolicy(mail.TLSMandatory))
	case Implicit:
		options = append(options, mail.WithSSLPort(false))
	case None:
		if !isLoopback(o.Host) {
			return nil, fmt.Errorf("mail server %q: without TLS only on a loopback address", o.Host)
		}
		options = append(options, mail.WithTLSPortPolicy(mail.NoTLS))
	default:
		return nil, fmt.Errorf("mail server %q: unknown protection %q", o.Host, o.TLS)
	}
	if o.Port != 0 {
		options = append(options, mail.WithPort(o.Port))
	}
	if o.Username != "" {
		options = append(options,
			mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(o.Username), mail.WithPassword(o.Password))
	}
	client, err := mail.NewClient(o.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("mail server %q: %w", o.Host, err)
	}
	return &SMTP{client, from, from.Address[strings.LastIndex(from.Address, "@")+1:]}, nil
}

// Send hands l to the mail server.
func (s *SMTP) Send(ctx context.Context, l Letter) error {
	m, err := s.mail(l)
	if err != nil {
		return err
	}
	err = s.client.DialAndSendWithContext(ctx, m)
	if err == nil || m.IsDelivered() { // taken, whatever went wrong in saying goodbye
		return nil
	}
	if final(err) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return fmt.Errorf("sending letter %s by e-mail: %w", l.ID, err)
}

func (s *SMTP) mail(l Letter) (*mail.Msg, error) {
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	m.FromMailAddress(s.from)
	if err := m.To(l.To); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	m.SetMessageIDWithValue(l.ID + "@" + s.domain)
	m.SetDateWithValue(l.At)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no holiday replies
	m.Subject(l.Subject)
	m.SetBodyString(mail.TypeTextPlain, l.Text)
	return m, nil
}

// final tells a refusal of this letter (RFC 5321 §4.2.1: 5yz) from one of us or of the moment: who may send, and with what
// password, an operator can still put right.
func final(err error) bool {
	var refused *mail.SendError
	return errors.As(err, &refused) && refused.ErrorCode() >= 500 &&
		(refused.Reason == mail.ErrSMTPRcptTo || refused.Reason == mail.ErrSMTPData || refused.Reason == mail.ErrSMTPDataClose)
}
