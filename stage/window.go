package stage

import "maps"

// Window opens another window of the same browser, on the same page, with the
// same cookies and keys. Each window is for one goroutine; several may act at the
// same time.
func (b *Browser) Window() *Browser {
	w := *b
	w.keys = maps.Clone(b.keys)
	return &w
}
