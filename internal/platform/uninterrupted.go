package platform

import (
	"errors"
	"syscall"
)

// mostAsked bounds how often Uninterrupted asks.
const mostAsked = 1000

// Uninterrupted asks again while it is told of an interruption (EINTR): so the
// kernel says that what it lists changed meanwhile, and that the list lacks some.
func Uninterrupted[T any](ask func() (T, error)) (all T, err error) {
	for range mostAsked {
		if all, err = ask(); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	return all, err
}
