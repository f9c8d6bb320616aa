package browser

import "strings"

// Agent reads the names of browser and system from a User-Agent header, for
// people to recognise their screen by: "Firefox", "Windows". What it does not
// know is "".
func Agent(header string) (name, system string) {
	return first(header, names), first(header, systems)
}

type word struct{ mark, name string }

// The order matters: most browsers also claim to be the ones below them.
var names = []word{
	{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser", "Samsung Internet"}, {"Vivaldi", "Vivaldi"},
	{"Firefox/", "Firefox"}, {"FxiOS", "Firefox"}, {"CriOS", "Chrome"}, {"Chromium", "Chromium"}, {"HeadlessChrome", "Chrome"},
	{"Chrome/", "Chrome"}, {"Safari/", "Safari"},
}

var systems = []word{
	{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iOS"}, {"iPad", "iPadOS"}, {"CrOS", "ChromeOS"},
	{"Mac OS X", "macOS"}, {"Linux", "Linux"},
}

func first(header string, words []word) string {
	for _, w := range words {
		if strings.Contains(header, w.mark) {
			return w.name
		}
	}
	return ""
}
