package message_test

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"net/url"
	"strings"
	"testing"
	"time"

	"vigie/message"
)

type mimeWords = mime.WordDecoder

// decode reads the body of a mail, its lines ended by \n.
func decode(t *testing.T, m *netmail.Message) string {
	t.Helper()
	if got := m.Header.Get("Content-Type"); got != "text/plain; charset=UTF-8" {
		t.Errorf("type %q", got)
	}
	if got := m.Header.Get("Content-Transfer-Encoding"); got != "quoted-printable" {
		t.Fatalf("encoding %q", got)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(body), "\r\n", "\n")
}

var text = message.Letter{
	ID: "LETTER1", Channel: message.SMS, To: "+33612345678", Text: "Code \"1234\" & plus\n{to} \\ é", Kind: "activation.codes",
}

func TestAnSMSIsPostedAsTheProviderWantsIt(t *testing.T) {
	var header http.Header
	var body string
	status := http.StatusAccepted
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		header, body = r.Header, string(b)
		if status/100 == 3 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
	}))
	defer s.Close()
	client := s.Client()
	gateway := func(o message.SMSOptions) *message.SMSGateway {
		t.Helper()
		o.URL, o.HTTP = s.URL, client
		g, err := message.NewSMSGateway(o)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}

	if err := gateway(message.SMSOptions{Token: "s3cret"}).Send(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil || got["to"] != text.To || got["text"] != text.Text || len(got) != 2 {
		t.Errorf("posted %s, %v", body, err)
	}
	if header.Get("Authorization") != "Bearer s3cret" || header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", header)
	}

	nested := `{"messages":[{"dest":["{to}"],"body":"{text}","ref":"{id}"}],"sender":"{from}"}`
	if err := gateway(message.SMSOptions{Body: nested, From: `Vi"gie`}).Send(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || got["sender"] != `Vi"gie` || !strings.Contains(body, `"ref":"LETTER1"`) {
		t.Errorf("posted %s, %v", body, err)
	}

	if err := gateway(message.SMSOptions{Body: "number={to}&content={text}&from={from}", From: "Vigie"}).Send(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	form, err := url.ParseQuery(body)
	if err != nil || form.Get("number") != text.To || form.Get("content") != text.Text || form.Get("from") != "Vigie" || len(form) != 3 {
		t.Errorf("posted %s, %v", body, err)
	}
	if header.Get("Authorization") != "" || header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("headers %v", header)
	}

	for status2, final := range map[int]bool{400: true, 422: true, 401: false, 403: false, 404: false, 429: false, 500: false, 503: false, 302: false} {
		status = status2
		body = ""
		err := gateway(message.SMSOptions{Token: "s3cret"}).Send(t.Context(), text)
		if err == nil || errors.Is(err, message.ErrRefused) != final || body == "" {
			t.Errorf("%d: %v", status, err)
		}
		for _, secret := range []string{text.To, "1234", "s3cret"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s is in %v", secret, err)
			}
		}
	}
	s.Close()
	if err := gateway(message.SMSOptions{}).Send(t.Context(), text); err == nil || errors.Is(err, message.ErrRefused) {
		t.Error(err)
	}
}

func TestAnSMSProviderThatCannotWorkIsRefused(t *testing.T) {
	for name, o := range map[string]message.SMSOptions{
		"http":                {URL: "http://sms.example.org/"},
		"http by name":        {URL: "http://localhost/"},
		"no address":          {URL: "sms.example.org"},
		"no text":             {URL: "https://sms.example.org/", Body: `{"to":"{to}"}`},
		"no number":           {URL: "https://sms.example.org/", Body: `text={text}`},
		"outside of quotes":   {URL: "https://sms.example.org/", Body: `{"to":{to},"text":"{text}"}`},
		"not quite an object": {URL: "https://sms.example.org/", Body: `{"to":"{to}","text":"{text}"`},
	} {
		if _, err := message.NewSMSGateway(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestSecretsStayOutOfLogs(t *testing.T) {
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "sms", message.SMSOptions{Token: "s3cret"},
		"smtp", message.SMTPOptions{Password: "s3cret"}, "letter", message.Letter{To: "s3cret", Professional: "s3cret", Text: "s3cret", Code: "s3cret"})
	if strings.Contains(log.String(), "s3cret") {
		t.Error(log.String())
	}
}

func TestTheMailboxShowsWhatWasSent(t *testing.T) {
	box := &message.Mailbox{}
	read := func() (list []map[string]any) {
		t.Helper()
		w := httptest.NewRecorder()
		box.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || list == nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		if w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%v", w.Header())
		}
		return list
	}
	if got := read(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	first := message.Letter{ID: "1", Channel: message.SMS, To: "+33612345678", Professional: "899700000017", Text: "Code 1", Code: "1", At: time.Unix(0, 0).UTC()}
	second := message.Letter{ID: "2", Channel: message.Email, To: "a@example.org", Professional: "899700000017", Subject: "S", Text: "Code 2", Code: "2", At: time.Unix(1, 0).UTC()}
	for _, l := range []message.Letter{first, second, first} {
		if err := box.Send(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	got := read()
	if len(got) != 2 || got[0]["code"] != "1" || got[1]["code"] != "2" {
		t.Fatalf("%v", got)
	}
	want := map[string]any{"channel": "email", "to": "a@example.org", "national_id": "899700000017", "subject": "S",
		"text": "Code 2", "code": "2", "at": "1970-01-01T00:00:01Z"}
	for name, value := range want {
		if got[1][name] != value || len(got[1]) != len(want) {
			t.Errorf("%s is %v", name, got[1][name])
		}
	}
	for i := range 1500 {
		l := first
		l.ID = "x" + strings.Repeat("x", i)
		box.Send(t.Context(), l)
	}
	if list := box.List(); len(list) != 1000 || list[999].ID != "x"+strings.Repeat("x", 1499) {
		t.Errorf("%d letters", len(list))
	}
}
