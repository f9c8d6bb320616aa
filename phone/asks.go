package phone

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"vigie/audit"
	"vigie/directory"
	"vigie/store"
)

// Who may have two codes sent, and how often.
const (
	asksPerSource = 20 // an hour
	pairsPerHour  = 1  // for one professional, without the letter's button
	pairsPerDay   = 3
	unusedPairs   = 3 // in a week: from then on one a week, until one is used
	week          = 7 * 24 * time.Hour
	pairMemory    = 60 * 24 * time.Hour
	buttonsPerDay = 10 // pairs sent by the letters' buttons
	buttonLife    = 7 * 24 * time.Hour
	NoAsks        = 30 * 24 * time.Hour // for which asks of others are stopped by the other button
	afterDisabled = 7 * 24 * time.Hour  // for which no codes leave
	nightFrom     = 21                  // o'clock
	nightTo       = 7
	askLife       = 10 * time.Minute // for which an ask waits for its decision, if the server was down
	longestAsked  = 320              // bytes of each thing typed
)

// AskCodes stores an ask as it was typed. That is all: who it is about is looked
// up later ([Activation.DecideAsks]), so the answer tells nothing, by its words
// or its time. busy is set when too many asks came from this source; nothing was
// stored then, and it says when to come again.
func AskCodes(ctx context.Context, tx *store.Tx, ask Ask) (busy time.Time, err error) {
	source := sourceOf(ask.Address)
	var n int
	var oldest int64
	err = tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(MIN(asked), 0) FROM asks WHERE source = $1 AND asked > $2`,
		source, store.Millis(tx.Now.Add(-time.Hour))).Scan(&n, &oldest)
	if err != nil {
		return time.Time{}, fmt.Errorf("counting the asks of a source: %w", err)
	}
	if n >= asksPerSource {
		return store.FromMillis(oldest).Add(time.Hour), nil
	}
	return time.Time{}, storeAsk(ctx, tx, ask, source, false)
}

func storeAsk(ctx context.Context, tx *store.Tx, ask Ask, source string, button bool) error {
	_, err := tx.Exec(ctx, `INSERT INTO asks (id, national_id, mobile, email, button, source, address, agent, asked, decided, outcome)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, '')`,
		rand.Text(), clip(ask.NationalID), clip(ask.Mobile), clip(ask.Email), button, source, clip(ask.Address), clip(ask.Agent), store.Millis(tx.Now))
	if err != nil {
		return fmt.Errorf("storing an ask for codes: %w", err)
	}
	return nil
}

// RunAsks decides asks until ctx ends, once a second, and once a minute does what
// time asks for ([Tidy], [MasterRotated]). It may run on any number of nodes.
func (a *Activation) RunAsks(ctx context.Context, db *store.DB, log *slog.Logger) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var tidied time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		_, err := a.DecideAsks(ctx, db)
		if now := db.Now(); err == nil && now.Sub(tidied) >= time.Minute {
			tidied = now
			err = errors.Join(Tidy(ctx, db), MasterRotated(ctx, db, a.Keys))
		}
		if err != nil && ctx.Err() == nil {
			log.Error("asks for activation codes wait", "err", err)
		}
	}
}

// DecideAsks decides the asks that wait, each once, and has codes sent where
// they are due. It returns how many it decided.
func (a *Activation) DecideAsks(ctx context.Context, db *store.DB) (int, error) {
	var waiting []string
	err := db.Read(ctx, func(tx *store.Tx) (err error) {
		waiting, err = waitingAsks(ctx, tx)
		return err
	})
	if err != nil {
		return 0, err
	}
	var failed []error // one ask that cannot be decided must not hold up the others
	for _, id := range waiting {
		if err := db.Write(ctx, func(tx *store.Tx) error { return a.decide(ctx, tx, id) }); err != nil {
			failed = append(failed, fmt.Errorf("deciding ask %s: %w", id, err))
		}
	}
	return len(waiting) - len(failed), errors.Join(failed...)
}

func waitingAsks(ctx context.Context, tx *store.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT id FROM asks WHERE decided = 0 ORDER BY asked, id LIMIT 100`)
	if err != nil {
		return nil, fmt.Errorf("looking for asks: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("looking for asks: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// waitingAsk is a row of asks.
type waitingAsk struct {
	Ask
	button bool
	asked  time.Time
}

// decide takes one ask, unless another node was faster.
func (a *Activation) decide(ctx context.Context, tx *store.Tx, id string) error {
	var w waitingAsk
	var asked int64
	err := tx.QueryRow(ctx, `SELECT national_id, mobile, email, button, address, agent, asked FROM asks WHERE id = $1 AND decided = 0`, id).
		Scan(&w.NationalID, &w.Mobile, &w.Email, &w.button, &w.Address, &w.Agent, &asked)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	w.asked = store.FromMillis(asked)
	outcome, err := a.judgeAsk(ctx, tx, w)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE asks SET decided = $1, outcome = $2 WHERE id = $3`, store.Millis(tx.Now), outcome, id)
	return err
}

// judgeAsk sends two codes, or says why not.
func (a *Activation) judgeAsk(ctx context.Context, tx *store.Tx, w waitingAsk) (outcome string, err error) {
	if tx.Now.Sub(w.asked) > askLife {
		return "too late", nil
	}
	id, err := a.IDs.Parse(w.NationalID)
	if err != nil {
		return "no national id", nil
	}
	p, ok, err := directory.Find(ctx, tx, id)
	if err != nil || !ok {
		return "not in the register", err
	}
	mobile, email, err := directory.UsableContacts(ctx, tx, id)
	if err != nil || mobile == "" || email == "" {
		return "no usable contact points", err
	}
	if !w.button && !sameContacts(w.Ask, mobile, email) {
		return "other contact points", nil
	}
	if a.night(tx.Now) {
		return "at night", nil
	}
	allowed, err := allowance(ctx, tx, id)
	if err != nil {
		return "", err
	}
	if !allowed {
		if outcome, err := forbidden(ctx, tx, id, w.button); err != nil || outcome != "" {
			return outcome, err
		}
	}
	if outcome, err := overQuota(ctx, tx, id, w.button, allowed); err != nil || outcome != "" {
		return outcome, err
	}
	return "sent", a.send(ctx, tx, p, mobile, email, w)
}

// sameContacts compares what was typed with the directory's contact points,
// which it holds in the one form that the parsers make.
func sameContacts(ask Ask, mobile, email string) bool {
	typedMobile, err := directory.ParseMobile(ask.Mobile)
	if err != nil || typedMobile != mobile {
		return false
	}
	typedEmail, err := directory.ParseEmail(ask.Email)
	return err == nil && typedEmail == email
}

func (a *Activation) zone() *time.Location {
	if a.Zone == nil {
		return time.UTC
	}
	return a.Zone
}

func (a *Activation) night(now time.Time) bool {
	hour := now.In(a.zone()).Hour()
	return !a.AnyHour && (hour >= nightFrom || hour < nightTo)
}

// forbidden says which of the rules keeps codes from leaving that the support
// line may lift; "" when none does.
func forbidden(ctx context.Context, tx *store.Tx, id directory.ID, button bool) (string, error) {
	phones, err := Of(ctx, tx, id)
	if err != nil {
		return "", err
	}
	for _, p := range phones {
		if p.Usable(tx.Now) {
			return "there is a phone", nil
		}
		if stopped := p.stopped(); !stopped.IsZero() && tx.Now.Sub(stopped) < afterDisabled {
			return "a phone was disabled", nil
		}
	}
	if button {
		return "", nil
	}
	var until int64
	err = tx.QueryRow(ctx, `SELECT until FROM no_asks WHERE professional = $1`, string(id)).Scan(&until)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	if tx.Now.Before(store.FromMillis(until)) {
		return "asks are stopped", nil
	}
	return "", nil
}

// stopped is when the phone was disabled by misses, by an operator or by itself;
// zero when it never was.
func (p Phone) stopped() time.Time {
	switch {
	case !p.Disabled.IsZero():
		return p.Disabled
	case p.Misses >= missesDisable:
		return p.Missed
	}
	return p.Slept
}

// overQuota says whether enough pairs were sent. Pairs that the letter's button
// asked for are counted apart: whoever reads the mailbox is never refused because
// of others.
func overQuota(ctx context.Context, tx *store.Tx, id directory.ID, button, allowed bool) (string, error) {
	sent, err := pairsSent(ctx, tx, id, button)
	if err != nil {
		return "", err
	}
	within := func(d time.Duration) int {
		return len(sent) - len(slices.DeleteFunc(slices.Clone(sent), func(at time.Time) bool { return tx.Now.Sub(at) < d }))
	}
	switch {
	case button && within(24*time.Hour) >= buttonsPerDay:
		return "enough by button today", nil
	case button:
		return "", nil
	case within(time.Hour) >= pairsPerHour:
		return "enough this hour", nil
	case within(24*time.Hour) >= pairsPerDay:
		return "enough today", nil
	case !allowed && within(week) > 0:
		return weekly(ctx, tx, id)
	}
	return "", nil
}

// weekly says whether the quota is one a week: when three pairs in a row, within
// a week, were not used. sent within the last week there is one already.
func weekly(ctx context.Context, tx *store.Tx, id directory.ID) (string, error) {
	var lastUsed int64
	err := tx.QueryRow(ctx, `SELECT COALESCE(MAX(sent), 0) FROM pairs WHERE professional = $1 AND used > 0`, string(id)).Scan(&lastUsed)
	if err != nil {
		return "", err
	}
	sent, err := pairsSent(ctx, tx, id, false)
	if err != nil {
		return "", err
	}
	sent = slices.DeleteFunc(sent, func(at time.Time) bool { return store.Millis(at) <= lastUsed })
	for i := 0; i+unusedPairs <= len(sent); i++ { // newest first
		if sent[i].Sub(sent[i+unusedPairs-1]) < week {
			return "one a week", nil
		}
	}
	return "", nil
}

// pairsSent returns when pairs were sent, newest first.
func pairsSent(ctx context.Context, tx *store.Tx, id directory.ID, button bool) ([]time.Time, error) {
	rows, err := tx.Query(ctx, `SELECT sent FROM pairs WHERE professional = $1 AND button = $2 AND sent > $3 ORDER BY sent DESC`,
		string(id), button, store.Millis(tx.Now.Add(-pairMemory)))
	if err != nil {
		return nil, fmt.Errorf("counting pairs: %w", err)
	}
	defer rows.Close()
	var all []time.Time
	for rows.Next() {
		var at int64
		if err := rows.Scan(&at); err != nil {
			return nil, fmt.Errorf("counting pairs: %w", err)
		}
		all = append(all, store.FromMillis(at))
	}
	return all, rows.Err()
}

// send draws two codes and writes the letters.
func (a *Activation) send(ctx context.Context, tx *store.Tx, p directory.Professional, mobile, email string, w waitingAsk) error {
	sms, mail, token := drawCode(), drawCode(), rand.Text()
	_, err := tx.Exec(ctx, `INSERT INTO pairs (id, professional, hash, button, sent, expires, used, token, pressed) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, 0)`,
		rand.Text(), string(p.ID), a.hashPair(p.ID, sms, mail), w.button, store.Millis(tx.Now), store.Millis(tx.Now.Add(PairLife)), hash("token", token))
	if err != nil {
		return fmt.Errorf("storing a pair of codes: %w", err)
	}
	if err := a.tellCodes(ctx, tx, p.ID, mobile, email, sms, mail, token, w); err != nil {
		return err
	}
	return audit.Record(ctx, tx, audit.Event{Kind: KindCodesSent, Actor: "system", Professional: string(p.ID), Address: w.Address, Agent: w.Agent})
}

// drawCode draws eight digits. (The remainder prefers some codes to others by
// less than one in 10¹¹.)
func drawCode() string {
	b := make([]byte, 8)
	rand.Read(b) // never fails (Go 1.24)
	return fmt.Sprintf("%08d", binary.BigEndian.Uint64(b)%1_0000_0000)
}

// A ButtonPage is what the page behind a letter's link says.
type ButtonPage struct {
	Sent    time.Time // the letter
	CanSend bool      // the next pair was not asked for yet
	Stopped time.Time // until when asks of others are stopped; zero: they are not
}

// Button reads what the page of this token says. Reading does nothing: programs
// that look into mail follow links. The error is [ErrToken].
func (a *Activation) Button(ctx context.Context, tx *store.Tx, token string) (ButtonPage, error) {
	b, _, err := button(ctx, tx, token)
	return b, err
}

func button(ctx context.Context, tx *store.Tx, token string) (ButtonPage, directory.ID, error) {
	var id string
	var sent, pressed, until int64
	err := tx.QueryRow(ctx, `SELECT p.professional, p.sent, p.pressed, COALESCE(n.until, 0)
		FROM pairs p LEFT JOIN no_asks n ON n.professional = p.professional WHERE p.token = $1 AND p.sent > $2`,
		hash("token", token), store.Millis(tx.Now.Add(-buttonLife))).Scan(&id, &sent, &pressed, &until)
	if errors.Is(err, sql.ErrNoRows) {
		return ButtonPage{}, "", ErrToken
	}
	if err != nil {
		return ButtonPage{}, "", fmt.Errorf("reading a letter's token: %w", err)
	}
	b := ButtonPage{Sent: store.FromMillis(sent), CanSend: pressed == 0}
	if stopped := store.FromMillis(until); tx.Now.Before(stopped) {
		b.Stopped = stopped
	}
	return b, directory.ID(id), nil
}

// SendNext is the button "send the next pair now". It works once for each letter:
// the next one has a button of its own. The error is [ErrToken].
func (a *Activation) SendNext(ctx context.Context, tx *store.Tx, token, address, agent string) error {
	_, id, err := button(ctx, tx, token)
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE pairs SET pressed = $1 WHERE token = $2 AND pressed = 0`, store.Millis(tx.Now), hash("token", token))
	if err != nil {
		return fmt.Errorf("pressing a letter's button: %w", err)
	}
	if n == 0 {
		return nil
	}
	return storeAsk(ctx, tx, Ask{NationalID: string(id), Address: address, Agent: agent}, "", true)
}

// StopAsks is the button "no asks by others for 30 days". The error is
// [ErrToken].
func (a *Activation) StopAsks(ctx context.Context, tx *store.Tx, token, address, agent string) error {
	_, id, err := button(ctx, tx, token)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO no_asks (professional, until) VALUES ($1, $2) ON CONFLICT (professional) DO UPDATE SET until = $2`,
		string(id), store.Millis(tx.Now.Add(NoAsks)))
	if err != nil {
		return fmt.Errorf("stopping asks: %w", err)
	}
	return audit.Record(ctx, tx, audit.Event{Kind: KindStopped, Actor: "professional", Professional: string(id), Address: address, Agent: agent})
}

// tidyBatch is how many rows one transaction removes, so that no sign-in waits
// long for it.
const tidyBatch = 1000

// dead says which rows no rule asks for any more: those whose column is older
// than age.
var dead = []struct {
	table, key, column, where string
	age                       time.Duration
}{
	{"phone_calls", "hash", "dies", "", 0},
	{"epochs", "epoch", "drawn", "", epochLife},
	{"asks", "id", "asked", "decided > 0 AND ", time.Hour},
	{"tries", "id", "at", "", time.Hour},
	{"evaluations", "id", "at", "", sumWindow},
	{"pairs", "id", "sent", "", pairMemory},
	{"tickets", "id", "opened", "", 24 * time.Hour},
	{"no_asks", "professional", "until", "", 0},
	{"allowances", "id", "ends", "", week},
}

// Tidy removes rows that no rule asks for any more, and disables phones whose
// last miss nothing can take back.
func Tidy(ctx context.Context, db *store.DB) error {
	if err := settleAll(ctx, db); err != nil {
		return err
	}
	for _, d := range dead {
		query := fmt.Sprintf(`DELETE FROM %[1]s WHERE %[2]s IN (SELECT %[2]s FROM %[1]s WHERE %[4]s%[3]s <= $1 ORDER BY %[3]s LIMIT $2)`,
			d.table, d.key, d.column, d.where)
		for n := int64(tidyBatch); n == tidyBatch; {
			err := db.Write(ctx, func(tx *store.Tx) (err error) {
				n, err = tx.Exec(ctx, query, store.Millis(tx.Now.Add(-d.age)), tidyBatch)
				return err
			})
			if err != nil {
				return fmt.Errorf("removing old rows of %s: %w", d.table, err)
			}
		}
	}
	return nil
}

// settleAll disables the phones that are due.
func settleAll(ctx context.Context, db *store.DB) error {
	var due []string
	err := db.Read(ctx, func(tx *store.Tx) (err error) {
		due, err = dueToDisable(ctx, tx)
		return err
	})
	if err != nil || len(due) == 0 {
		return err
	}
	return db.Write(ctx, func(tx *store.Tx) error {
		for _, id := range due {
			p, _, err := Find(ctx, tx, id)
			if err != nil {
				return err
			}
			if _, err := settle(ctx, tx, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// toDisable finds phones by the index phones_due, whose condition it repeats:
// misses is missesDisable.
const toDisable = `SELECT id FROM phones WHERE misses >= 8 AND disabled = 0 AND removed = 0`

func dueToDisable(ctx context.Context, tx *store.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, toDisable)
	if err != nil {
		return nil, fmt.Errorf("looking for phones to disable: %w", err)
	}
	defer rows.Close()
	var due []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("looking for phones to disable: %w", err)
		}
		due = append(due, id)
	}
	return due, rows.Err()
}
