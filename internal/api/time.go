package api

import (
	"fmt"
	"time"
)

// Time is a moment as the wire writes it: UTC, whole seconds, a trailing Z.
type Time struct{ time.Time }

// TimeLayout is the layout of every timestamp.
const TimeLayout = "2006-01-02T15:04:05Z"

// At is t as a Time.
func At(t time.Time) Time { return Time{t} }

// MarshalText writes TimeLayout.
func (t Time) MarshalText() ([]byte, error) {
	return []byte(t.UTC().Format(TimeLayout)), nil
}

// UnmarshalText reads RFC 3339, which TimeLayout is a form of. Empty is zero.
func (t *Time) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		t.Time = time.Time{}
		return nil
	}
	parsed, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("time %q: %w", text, err)
	}
	t.Time = parsed.UTC()
	return nil
}

// MarshalJSON writes the text in quotes. It hides time.Time's own.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Format(TimeLayout) + `"`), nil
}

// UnmarshalJSON reads a quoted text, or null as zero.
func (t *Time) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		t.Time = time.Time{}
		return nil
	}
	if len(data) < 2 || data[0] != '"' || data[len(data)-1] != '"' {
		return fmt.Errorf("time %s: not a string", data)
	}
	return t.UnmarshalText(data[1 : len(data)-1])
}
