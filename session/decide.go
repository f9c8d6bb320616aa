package session

import "time"

// Decision is how a browser that is signed in comes into a service.
type Decision string

// The decisions.
const (
	// Silent: nobody is asked anything, once the browser's lasting key has
	// signed for it. Without that signature it is Approve.
	Silent Decision = "silent"
	// Continue: a page says who is signed in and asks whether to go on.
	Continue Decision = "continue"
	// Approve: a request of its own.
	Approve Decision = "approve"
)

// Decide says how service comes into s at now; joined says whether it joined s
// before. A session that is still provisional serves only the services that
// were approved in it. On a browser that is not personal nothing passes
// silently, and every further service costs an approval.
func Decide(s Session, joined bool, service string, now time.Time) Decision {
	approved := joined || service == s.FirstService
	switch {
	case !s.opens(now):
		return Approve
	case now.Before(s.ProvisionalUntil) && !approved:
		return Approve
	case s.Kind == Mine:
		return Silent
	case approved:
		return Continue
	}
	return Approve
}
