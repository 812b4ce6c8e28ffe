package auth

import (
	"sync"
	"time"
)

const (
	useGrain   = 10 * time.Minute // how old the noted use of a token may be
	useTimeout = 10 * time.Second
	maxNoting  = 4 // at once; more are left for the next request
)

// uses writes beside the requests when tokens were used, one write a token at
// a time.
type uses struct {
	mu     sync.Mutex
	noting map[string]struct{} // by digest
	closed bool
	all    sync.WaitGroup
}

func newUses() *uses { return &uses{noting: make(map[string]struct{})} }

// note runs write and returns at once. While the token is being written, or too
// many others are, it does nothing.
func (u *uses) note(hash string, write func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, under := u.noting[hash]; under || u.closed || len(u.noting) >= maxNoting {
		return
	}
	u.noting[hash] = struct{}{}
	u.all.Go(func() {
		write()
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.noting, hash)
	})
}

func (u *uses) close() {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.all.Wait()
}
