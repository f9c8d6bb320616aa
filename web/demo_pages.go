package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"vigie/message"
)

// Demo is the start page of a demonstration: it leads a newcomer through a
// first sign-in. Everything on it is fictitious, and it shows what nobody
// should see; it is for loopback only.
type Demo struct {
	App, Mailbox string // origins
	Services     []DemoService
	People       []DemoPerson
}

// Others are the people one may be later.
func (d Demo) Others() []DemoPerson { return d.People[min(1, len(d.People)):] }

// DemoService is one of the demonstration's services.
type DemoService struct{ Name, URL string }

// DemoPerson is one of the demonstration's professionals.
type DemoPerson struct{ NationalID, Name, Mobile, Email string }

// ServeHTTP answers GET with the page.
func (d Demo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	showDemo(w, r, "demo_start", d)
}

// First is the person whom the page proposes to be.
func (d Demo) First() DemoPerson {
	if len(d.People) == 0 {
		return DemoPerson{}
	}
	return d.People[0]
}

// MailboxPage serves what a demonstration's telephone network and mail server
// have delivered: GET / for people, GET /mailbox.json for programs. Start is
// the address of the page that leads through the demonstration.
func MailboxPage(m *message.Mailbox, start string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/static/", Assets())
	mux.Handle("GET /mailbox.json", m)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		page := mailboxPage{Start: start}
		for _, l := range m.List() {
			page.Letters = append(page.Letters, letter{Received: l, Time: l.At.Local().Format(time.TimeOnly)})
		}
		slices.Reverse(page.Letters) // newest first
		showDemo(w, r, "demo_mailbox", page)
	})
	return secure(mux)
}

// mailboxPage is what templates/demo_mailbox.html shows.
type mailboxPage struct {
	Start   string
	Letters []letter
}

type letter struct {
	message.Received
	Time string
}

// SMS tells the two kinds of letters apart.
func (l letter) SMS() bool { return l.Channel == message.SMS }

// Lines are the paragraphs of the text.
func (l letter) Lines() []string {
	return slices.DeleteFunc(strings.Split(l.Text, "\n"), func(s string) bool { return strings.TrimSpace(s) == "" })
}

func showDemo(w http.ResponseWriter, r *http.Request, name string, page any) {
	if err := render(w, r, http.StatusOK, name, page); err != nil {
		lineOf(r).err = err
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	}
}

// Asset returns a file of static/, such as the logo of a demonstration's service.
func Asset(name string) ([]byte, error) {
	a, err := loadedAssets()
	if err != nil {
		return nil, err
	}
	if a.files[name] == nil {
		return nil, fmt.Errorf("no asset %q", name)
	}
	return a.files[name].body, nil
}
