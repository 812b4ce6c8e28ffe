package router

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// claims lead names to whoever claims them. Of several who claim one name the
// last to begin holds it, and when that one gives it up the one before holds it
// again: so a name that moves is at no moment nobody's, whoever is told first.
//
// Looking up takes no lock, and a change costs the same among ten names and
// among a million. Changes must not run at the same time.
type claims[T comparable] struct {
	held   sync.Map       // name: T; a wildcard as what follows its "*"
	wild   atomic.Int64   // how many wildcards are held
	rivals map[string][]T // those who wait for a name, the last to begin last
}

// lookup finds the holder of a normal host, that of the exact name first, then
// that of the longest wildcard. It reports false when there is none.
func (c *claims[T]) lookup(host string) (T, bool) {
	if holder, ok := c.at(host); ok || c.wild.Load() == 0 {
		return holder, ok
	}
	for dot := strings.IndexByte(host, '.'); dot > 0; {
		if holder, ok := c.at(host[dot:]); ok {
			return holder, true
		}
		next := strings.IndexByte(host[dot+1:], '.')
		if next < 0 {
			break
		}
		dot += 1 + next
	}
	var none T
	return none, false
}

// at is who holds the name of a key, and whether anybody does.
func (c *claims[T]) at(key string) (holder T, ok bool) {
	if held, found := c.held.Load(key); found {
		return held.(T), true
	}
	return holder, false
}

// take lets who claim a normal pattern, and returns who held it until then.
// To claim again changes nothing: who waits for a name goes on waiting.
func (c *claims[T]) take(pattern string, who T) (was T, moved bool) {
	key := keyOf(pattern)
	held, ok := c.held.Load(key)
	switch {
	case !ok:
		if key != pattern {
			c.wild.Add(1)
		}
	case held.(T) == who || slices.Contains(c.rivals[key], who):
		return was, false
	default:
		was, moved = held.(T), true
		if c.rivals == nil {
			c.rivals = map[string][]T{}
		}
		c.rivals[key] = append(c.rivals[key], was)
	}
	c.held.Store(key, who)
	return was, moved
}

// leave ends that who claims a normal pattern. One who does not is no error.
func (c *claims[T]) leave(pattern string, who T) {
	key := keyOf(pattern)
	waiting := c.rivals[key]
	if held, ok := c.held.Load(key); !ok || held.(T) != who {
		waiting = slices.DeleteFunc(waiting, func(w T) bool { return w == who })
	} else if last := len(waiting) - 1; last >= 0 {
		c.held.Store(key, waiting[last])
		waiting = waiting[:last]
	} else {
		c.held.Delete(key)
		if key != pattern {
			c.wild.Add(-1)
		}
	}
	if len(waiting) == 0 {
		delete(c.rivals, key)
	} else {
		c.rivals[key] = waiting
	}
}

// keyOf is a pattern without the "*": no host begins with a dot.
func keyOf(pattern string) string { return strings.TrimPrefix(pattern, "*") }
