package directory

import "time"

// SortIn has an import sort in this much memory, in bytes.
func SortIn(o ImportOptions, memory int) ImportOptions {
	o.memory = memory
	return o
}

// Beating sets how often an import shows that it lives.
func Beating(o ImportOptions, every time.Duration) ImportOptions {
	o.beat = every
	return o
}
