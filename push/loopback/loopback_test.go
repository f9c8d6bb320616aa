package loopback

import (
	"strings"
	"testing"
	"time"
)

// The example of RFC 8292 §2.4.
const (
	rfcKey   = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
	rfcToken = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9." +
		"eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0." +
		"i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA"
)

func TestTheExampleOfRFC8292IsAccepted(t *testing.T) {
	header := "vapid t=" + rfcToken + ", k=" + rfcKey
	end := time.Unix(1453523768, 0)
	if err := checkVAPID(header, "https://push.example.net", rfcKey, end.Add(-time.Hour)); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"too late":        checkVAPID(header, "https://push.example.net", rfcKey, end),
		"too early":       checkVAPID(header, "https://push.example.net", rfcKey, end.Add(-25*time.Hour)),
		"other service":   checkVAPID(header, "https://push.example.org", rfcKey, end.Add(-time.Hour)),
		"other sender":    checkVAPID(header, "https://push.example.net", "B"+rfcKey[1:80], end.Add(-time.Hour)),
		"no header":       checkVAPID("", "https://push.example.net", rfcKey, end.Add(-time.Hour)),
		"no signature":    checkVAPID(header[:strings.LastIndex(header, ".")+1]+", k="+rfcKey, "https://push.example.net", rfcKey, end.Add(-time.Hour)),
		"wrong signature": checkVAPID(strings.Replace(header, "i3CYb7t4", "i3CYb7t5", 1), "https://push.example.net", rfcKey, end.Add(-time.Hour)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
