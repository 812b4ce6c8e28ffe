package registry

import (
	"context"
	"hash/maphash"
	"sync"
)

// stripes are locks by name. Who holds several shared may hold the same one
// twice, so that where that happens the exclusive side only ever tries: a
// waiting writer between the two would block both.
type stripes struct {
	seed  maphash.Seed
	once  sync.Once
	locks [1024]sync.RWMutex
}

func (s *stripes) of(name string) *sync.RWMutex {
	s.once.Do(func() { s.seed = maphash.MakeSeed() })
	return &s.locks[maphash.String(s.seed, name)%uint64(len(s.locks))]
}

// share holds the names' locks shared until unlock.
func (s *stripes) share(names ...string) (unlock func()) {
	for _, name := range names {
		s.of(name).RLock()
	}
	return func() {
		for _, name := range names {
			s.of(name).RUnlock()
		}
	}
}

// try runs f while nobody shares the name, or reports false.
func (s *stripes) try(name string, f func() error) (bool, error) {
	lock := s.of(name)
	if !lock.TryLock() {
		return false, nil
	}
	defer lock.Unlock()
	return true, f()
}

// uploads are those that a request works on now. Distribution keeps the state
// of a hash beside the data: two writers at once could end in a blob that is
// not what its digest says.
type uploads struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when it is free
}

// take reports false when somebody else has the upload.
func (u *uploads) take(id string) (release func(), ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.held[id] != nil {
		return nil, false
	}
	if u.held == nil {
		u.held = make(map[string]chan struct{})
	}
	free := make(chan struct{})
	u.held[id] = free
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.held, id)
		close(free)
	}, true
}

// await is take by somebody who has the time: a writer that was cut off is only
// noticed a moment later.
func (u *uploads) await(ctx context.Context, id string) (release func(), ok bool) {
	for {
		if release, ok := u.take(id); ok {
			return release, true
		}
		u.mu.Lock()
		free := u.held[id]
		u.mu.Unlock()
		if free == nil {
			continue
		}
		select {
		case <-free:
		case <-ctx.Done():
			return nil, false
		}
	}
}
