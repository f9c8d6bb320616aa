package message

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"vigie/outgoing"
)

// SMSOptions say how an operator's SMS provider is called: one POST for each message.
type SMSOptions struct {
	URL   string // https, or http on a literal loopback address
	Token string // sent as "Authorization: Bearer …"; empty: none

	// Body is what is posted, with {to}, {text}, {from} and {id} in place of the number (E.164), the text, From, and the
	// letter's id, which stays the same when a message is sent again. A body that begins with "{" or "[" is JSON, and
	// what is put in is escaped for the inside of its strings; any other is a form. Empty: {"to":"{to}","text":"{text}"}
	Body string

	From string       // for {from}: the sender as the provider knows it
	HTTP *http.Client // nil: an ordinary one, that gives up after 10 s
}

// LogValue hides the token.
func (o SMSOptions) LogValue() slog.Value {
	return slog.GroupValue(slog.String("url", o.URL), slog.String("from", o.From), slog.Bool("token", o.Token != ""))
}

// SMSGateway sends SMS through a provider's HTTP interface.
type SMSGateway struct {
	options SMSOptions
	json    bool
	http    *http.Client
}

// NewSMSGateway checks o and makes the sender.
func NewSMSGateway(o SMSOptions) (*SMSGateway, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return nil, fmt.Errorf("SMS provider %q is no https address", o.URL)
	}
	if o.Body == "" {
		o.Body = `{"to":"{to}","text":"{text}"}`
	}
	if !strings.Contains(o.Body, "{to}") || !strings.Contains(o.Body, "{text}") {
		return nil, errors.New("the body for the SMS provider lacks {to} or {text}")
	}
	g := &SMSGateway{options: o, http: &http.Client{Timeout: 10 * time.Second}}
	if o.HTTP != nil {
		copied := *o.HTTP
		g.http = &copied
	}
	// A provider that moved must be told to the operator: the token is for the address that was configured.
	g.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	body := strings.TrimSpace(o.Body)
	// "{to}=…" would be a form, but no form's first field is named by the recipient.
	g.json = strings.HasPrefix(body, "[") || strings.HasPrefix(body, "{") && !strings.HasPrefix(body, "{to}")
	if g.json && !json.Valid([]byte(g.body(Letter{To: "+33", Text: "\"\n\\", ID: "x"}))) {
		return nil, errors.New("the body for the SMS provider is not JSON: is a placeholder outside of quotes?")
	}
	return g, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Send posts l to the provider.
func (g *SMSGateway) Send(ctx context.Context, l Letter) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.options.URL, strings.NewReader(g.body(l)))
	if err != nil {
		return fmt.Errorf("sending letter %s by SMS: %w", l.ID, err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if g.json {
		request.Header.Set("Content-Type", "application/json")
	}
	if g.options.Token != "" {
		request.Header.Set("Authorization", "Bearer "+g.options.Token)
	}
	answer, err := g.http.Do(request)
	if err != nil {
		return fmt.Errorf("sending letter %s by SMS: %w", l.ID, err)
	}
	outgoing.Discard(answer.Body)
	switch status := answer.StatusCode; {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity: // of this message, not of our right to send
		return fmt.Errorf("%w: the SMS provider answered %d", ErrRefused, status)
	default:
		return fmt.Errorf("sending letter %s by SMS: the provider answered %d", l.ID, status)
	}
}

func (g *SMSGateway) body(l Letter) string {
	escape := url.QueryEscape
	if g.json {
		escape = func(s string) string {
			quoted, err := json.Marshal(s)
			if err != nil { // never of a string
				return ""
			}
			return string(quoted[1 : len(quoted)-1])
		}
	}
	return strings.NewReplacer(
		"{to}", escape(l.To), "{text}", escape(l.Text), "{from}", escape(g.options.From), "{id}", escape(l.ID),
	).Replace(g.options.Body)
}
