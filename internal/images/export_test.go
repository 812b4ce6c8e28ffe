package images

import "time"

// Hasty are options with which what failed is tried again at once.
func Hasty(o Options) Options {
	o.pause = time.Millisecond
	return o
}
