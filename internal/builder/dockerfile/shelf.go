package dockerfile

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/builder"
)

// shelf keeps the apps' caches, and all of them together within a bound.
type shelf struct {
	log   *slog.Logger
	dir   string
	bound int64
	mu    sync.Mutex
	taken map[string]bool
}

func (s *shelf) at(app string) string { return filepath.Join(s.dir, app) }

// usedFile says how large a cache was after its last build.
const usedFile = "used"

// take hands an app's cache to one build, empty if that is asked for; the
// build gives it back when nothing of it runs.
func (s *shelf) take(app string, empty bool) (path string, giveBack func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[app] {
		return "", nil, fmt.Errorf("cache of %s: a build has it", app)
	}
	if empty {
		if err := builder.RemoveAll(s.at(app)); err != nil {
			return "", nil, fmt.Errorf("cache of %s: %w", app, err)
		}
	}
	if err := os.MkdirAll(s.at(app), 0o700); err != nil {
		return "", nil, fmt.Errorf("cache of %s: %w", app, err)
	}
	if s.taken == nil {
		s.taken = make(map[string]bool)
	}
	s.taken[app] = true
	return s.at(app), func() { s.giveBack(app) }, nil
}

func (s *shelf) giveBack(app string) {
	used := builder.Usage(s.at(app))
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taken, app)
	if err := os.WriteFile(filepath.Join(s.at(app), usedFile), []byte(strconv.FormatInt(used, 10)), 0o600); err != nil {
		s.log.Warn("size of a build cache was not kept", "app", app, "err", err)
	}
	s.cut()
}

// cut removes caches, the longest unused first, until the rest is in bounds.
func (s *shelf) cut() {
	type cache struct {
		app  string
		used int64
		last time.Time
	}
	var all []cache
	var sum int64
	for _, app := range s.apps() {
		c := cache{app: app}
		path := filepath.Join(s.at(app), usedFile)
		if text, err := os.ReadFile(path); err == nil {
			c.used, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		}
		if info, err := os.Stat(path); err == nil {
			c.last = info.ModTime()
		}
		sum += c.used
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b cache) int { return cmp.Or(a.last.Compare(b.last), cmp.Compare(a.app, b.app)) })
	for _, c := range all[:max(0, len(all)-1)] {
		if sum <= s.bound {
			return
		}
		if s.taken[c.app] {
			continue
		}
		if err := builder.RemoveAll(s.at(c.app)); err != nil {
			s.log.Warn("build cache stayed", "app", c.app, "err", err)
		}
		sum -= c.used
	}
}

// apps lists whose caches there are.
func (s *shelf) apps() []string {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil
	}
	var apps []string
	for _, entry := range entries {
		apps = append(apps, entry.Name())
	}
	return apps
}

// forget removes an app's cache.
func (s *shelf) forget(app string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return builder.RemoveAll(s.at(app))
}
