package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/slipway-paas/slipway/internal/api"
)

// answer prints v as JSON when asked for, else in words.
func (c *cli) answer(v any, words func()) error {
	if !c.json {
		words()
		return nil
	}
	encoder := json.NewEncoder(c.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// when is a moment as people say it on a terminal, and RFC 3339 elsewhere.
func (c *cli) when(t api.Time) string {
	if t.IsZero() {
		return ""
	}
	if !c.stdout.terminal {
		return t.UTC().Format(time.RFC3339)
	}
	return ago(c.opts.Now().Sub(t.Time))
}

func ago(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 5*time.Second: // also a clock that is ahead
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", d/time.Minute)
	case d < day:
		return fmt.Sprintf("%dh ago", d/time.Hour)
	case d < 60*day:
		return fmt.Sprintf("%dd ago", d/day)
	case d < 730*day:
		return fmt.Sprintf("%d months ago", d/(30*day))
	}
	return fmt.Sprintf("%d years ago", d/(365*day))
}

// more tells that a list was cut.
func (c *cli) more(shown, total int) {
	if shown < total {
		c.stderr.say("%s", c.stderr.paint(faint, fmt.Sprintf("(%d of %d)", shown, total)))
	}
}

// none says that a list is empty, and what would fill it.
func (c *cli) none(format string, args ...any) { c.stderr.say(format, args...) }

// plural is "1 app" or "2 apps".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// sortedKeys are a map's keys in the order people read them.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
