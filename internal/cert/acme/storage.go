package acme

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// storage is certmagic's Storage in the platform's database. Values are sealed
// there. Locks are leases: a process that dies with one holds it for as long.
type storage struct {
	log     *slog.Logger
	db      *store.Store
	process string // of all its holders
	holder  string
	lease   time.Duration

	mu   sync.Mutex
	held map[string]context.CancelFunc // ends the prolonging
}

// lockPause is the time between two tries for a lock that another has.
const lockPause = 300 * time.Millisecond

var (
	_ certmagic.Storage   = (*storage)(nil)
	_ certmagic.TryLocker = (*storage)(nil)
)

func newStorage(log *slog.Logger, db *store.Store, process string, lease time.Duration) *storage {
	return &storage{log: log, db: db, process: process, holder: process + "/" + rand.Text(), lease: lease, held: map[string]context.CancelFunc{}}
}

// free gives back what an earlier process of the same name held.
func (s *storage) free(ctx context.Context) error {
	return s.db.Write(ctx, func(tx *store.Tx) error { return tx.UnlockAllACME(s.process) })
}

// Store implements certmagic.Storage, and so do the methods below.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	return s.db.Write(ctx, func(tx *store.Tx) error { return tx.PutACMEFile(key, value) })
}

func (s *storage) Load(ctx context.Context, key string) (value []byte, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) (err error) {
		value, err = tx.ACMEFile(key)
		return err
	})
	return value, missing(key, err)
}

// missing words what is not there as certmagic looks for it.
func missing(key string, err error) error {
	if errors.Is(err, platform.ErrNotFound) {
		return fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	return err
}

func (s *storage) Delete(ctx context.Context, key string) error {
	return s.db.Write(ctx, func(tx *store.Tx) error { return tx.DeleteACMEFiles(key) })
}

func (s *storage) Exists(ctx context.Context, key string) bool {
	files, err := s.files(ctx, key)
	return err == nil && len(files) > 0
}

func (s *storage) files(ctx context.Context, prefix string) (files []store.ACMEFile, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) (err error) {
		files, err = tx.ACMEFiles(strings.Trim(prefix, "/"))
		return err
	})
	return files, err
}

func (s *storage) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	files, err := s.files(ctx, path)
	if err != nil {
		return nil, err
	}
	path = strings.Trim(path, "/")
	var keys []string
	for _, f := range files {
		key := f.Name
		if below := strings.TrimPrefix(strings.TrimPrefix(key, path), "/"); !recursive {
			first, _, _ := strings.Cut(below, "/")
			key = strings.TrimPrefix(path+"/"+first, "/")
		}
		if len(keys) == 0 || keys[len(keys)-1] != key {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return keys, nil
}

func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	files, err := s.files(ctx, key)
	switch {
	case err != nil:
		return certmagic.KeyInfo{}, err
	case len(files) == 0:
		return certmagic.KeyInfo{}, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	case files[0].Name != strings.Trim(key, "/"):
		return certmagic.KeyInfo{Key: key}, nil
	}
	return certmagic.KeyInfo{Key: key, Modified: files[0].Modified, Size: files[0].Size, IsTerminal: true}, nil
}

// Lock blocks until the lock is ours, or ctx ends.
func (s *storage) Lock(ctx context.Context, name string) error {
	for {
		taken, err := s.TryLock(ctx, name)
		if err != nil || taken {
			return err
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TryLock takes the lock and prolongs it until Unlock.
func (s *storage) TryLock(ctx context.Context, name string) (taken bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[name] != nil {
		return false, nil // somebody of this process has it
	}
	err = s.db.Write(ctx, func(tx *store.Tx) (err error) {
		taken, err = tx.LockACME(name, s.holder, s.lease)
		return err
	})
	if err != nil || !taken {
		return false, err
	}
	holding, end := context.WithCancel(context.WithoutCancel(ctx))
	s.held[name] = end
	go s.prolong(holding, name)
	return true, nil
}

func (s *storage) prolong(ctx context.Context, name string) {
	tick := time.NewTicker(s.lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var held bool
		err := s.db.Write(ctx, func(tx *store.Tx) (err error) {
			held, err = tx.ProlongACME(name, s.holder, s.lease)
			return err
		})
		if ctx.Err() == nil && (err != nil || !held) {
			s.log.Warn("a lock of the certificates was not prolonged", "lock", name, "held", held, "err", err)
		}
	}
}

// Unlock gives the lock back, also when ctx has ended.
func (s *storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	end := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if end == nil {
		return fmt.Errorf("lock %s is not held here", name)
	}
	end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.db.Write(ctx, func(tx *store.Tx) error { return tx.UnlockACME(name, s.holder) })
}

// String is what certmagic logs of it.
func (s *storage) String() string { return "the platform's database" }
