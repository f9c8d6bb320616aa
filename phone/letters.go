package phone

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"vigie/directory"
	"vigie/message"
	"vigie/store"
)

// Letters are in French, with English below: we do not know which one their
// reader prefers. SMS are short and use letters that do not make them longer.

// clip bounds what a stranger typed.
func clip(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), longestAsked)], "")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// from says where an ask came from, in the words of a letter.
func from(w waitingAsk) string {
	if w.Agent == "" {
		return w.Address
	}
	return fmt.Sprintf("%s (%s)", w.Address, w.Agent)
}

func grouped(code string) string { return code[:4] + " " + code[4:] }

func (a *Activation) when(at time.Time) (french, english string) {
	at = at.In(a.zone())
	return at.Format("02/01/2006 à 15:04"), at.Format("2 January 2006 at 15:04")
}

// tellCodes writes the two letters of a pair.
func (a *Activation) tellCodes(ctx context.Context, tx *store.Tx, id directory.ID, mobile, email, sms, mail, token string, w waitingAsk) error {
	fr, en := a.when(w.asked)
	l := message.Letter{Professional: string(id), Kind: "activation.codes", Expires: tx.Now.Add(PairLife)}

	short := l
	short.Channel, short.To, short.Code = message.SMS, mobile, sms
	short.Text = fmt.Sprintf(`Vigie: %s est le code SMS pour activer un téléphone (demandé le %s). Personne de sérieux ne vous le demandera. Pas vous ? Ne le donnez à personne.
%s: SMS code to activate a phone. Nobody serious will ever ask you for it.`, grouped(sms), fr, grouped(sms))

	long := l
	long.Channel, long.To, long.Code = message.Email, email, mail
	long.Subject = "Votre code pour activer un téléphone · Your code to activate a phone"
	long.Text = fmt.Sprintf(`Bonjour,

Quelqu'un demande à activer l'application Vigie sur un téléphone, à votre nom.

    Code reçu par e-mail : %[1]s

Le second code arrive par SMS. Les deux servent ensemble, pendant 10 minutes.

    Demandé le : %[2]s
    Depuis :     %[4]s
    Pour :       activer un téléphone, qui ouvrira vos services à votre place

C'est vous ? Tapez les deux codes dans l'application.
Ce n'est pas vous ? Ne donnez ces codes à personne : rien ne s'ouvrira.
Personne de sérieux ne vous demandera ces codes, ni au téléphone, ni par message.

Cette page vous permet d'envoyer tout de suite deux nouveaux codes, ou de refuser pendant 30 jours les demandes faites par d'autres :
%[5]s

---

Hello,

Somebody asks to activate the Vigie app on a phone, in your name.

    Code sent by e-mail: %[1]s

The second code comes by SMS. They serve together, for 10 minutes.

    Asked on: %[3]s
    From:     %[4]s
    For:      activating a phone, which will open your services for you

Is it you? Type both codes in the app.
Is it not you? Give these codes to nobody: nothing will be opened.
Nobody serious will ask you for these codes, neither on the telephone nor by message.

On this page you can have two new codes sent at once, or refuse what others ask for 30 days:
%[5]s
`, grouped(mail), fr, en, from(w), a.Portal+"/activation/"+token)

	for _, letter := range []message.Letter{short, long} {
		if err := a.Post.Queue(ctx, tx, letter); err != nil {
			return err
		}
	}
	return nil
}

// news is one thing that every known contact point is told.
type news struct {
	kind, subject, french, english string
}

// tellAll writes to every contact point that the directory knows: in force, in
// its waiting period, or replaced within a year. One of them may be all that a
// victim still reads.
func (a *Activation) tellAll(ctx context.Context, tx *store.Tx, id directory.ID, n news) error {
	contacts, err := directory.Contacts(ctx, tx, id)
	if err != nil {
		return err
	}
	told := map[string]bool{}
	for _, c := range contacts {
		if told[c.Value] {
			continue
		}
		told[c.Value] = true
		l := message.Letter{Channel: message.SMS, To: c.Value, Professional: string(id), Kind: n.kind, Text: "Vigie : " + n.french + "\n" + n.english}
		if c.Channel == directory.Email {
			l.Channel, l.Subject = message.Email, n.subject
			l.Text = fmt.Sprintf("Bonjour,\n\n%s\n\n---\n\nHello,\n\n%s\n", n.french, n.english)
		}
		if err := a.Post.Queue(ctx, tx, l); err != nil {
			return err
		}
	}
	return nil
}

func (a *Activation) tellActivated(ctx context.Context, tx *store.Tx, p Phone, address string) error {
	fr, en := a.when(tx.Now)
	return a.tellAll(ctx, tx, p.Professional, news{
		kind: "phone.activated", subject: "Un téléphone a été activé à votre nom · A phone was activated in your name",
		french:  fmt.Sprintf("le téléphone « %s » a été activé à votre nom le %s, depuis %s. Ce n'est pas vous ? Appelez tout de suite votre support.", p.Name, fr, address),
		english: fmt.Sprintf("the phone “%s” was activated in your name on %s, from %s. Was it not you? Call your support line now.", p.Name, en, address),
	})
}

func (a *Activation) tellDisabled(ctx context.Context, tx *store.Tx, p Phone) error {
	fr, en := a.when(tx.Now)
	return a.tellAll(ctx, tx, p.Professional, news{
		kind: "phone.disabled", subject: "Un téléphone a été désactivé · A phone was disabled",
		french:  fmt.Sprintf("votre téléphone « %s » a été désactivé par le support le %s. Il n'ouvre plus rien. Ce n'est pas à votre demande ? Appelez votre support.", p.Name, fr),
		english: fmt.Sprintf("your phone “%s” was disabled by the support line on %s. It opens nothing any more. You did not ask for that? Call your support line.", p.Name, en),
	})
}

func (a *Activation) tellAllowed(ctx context.Context, tx *store.Tx, id directory.ID, starts time.Time) error {
	fr, en := a.when(starts)
	return a.tellAll(ctx, tx, id, news{
		kind: "activation.allowed", subject: "Un nouveau téléphone pourra être activé à votre nom · A new phone may be activated in your name",
		french:  fmt.Sprintf("le support permet d'activer un nouveau téléphone à votre nom, à partir du %s, avec les codes que vous recevrez. Vous ne l'avez pas demandé ? Appelez votre support avant.", fr),
		english: fmt.Sprintf("the support line allows a new phone to be activated in your name, from %s on, with the codes that you will receive. You did not ask for that? Call your support line before.", en),
	})
}
