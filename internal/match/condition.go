package match

import (
	"errors"
	"fmt"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/platform"
)

// MaxConditions bounds one list of conditions.
const MaxConditions = 16

// Conditions are met by requests that meet each of them. Immutable; nil is met
// by none, so that a list that was left out never catches everything.
type Conditions []condition

type condition struct {
	cookie bool
	name   string // of a header in lower case
	value  string
	any    bool
}

// CompileConditions reads what a team wrote. Of a list with a wrong one nothing
// can be used: what it was to exclude would be let in.
func CompileConditions(wish []platform.Condition) (Conditions, error) {
	if len(wish) > MaxConditions {
		return nil, fmt.Errorf("there are more than %d conditions", MaxConditions)
	}
	var all Conditions
	for _, w := range wish {
		c := condition{cookie: w.Cookie != "", name: w.Cookie + w.Header, value: w.Value, any: w.Value == "*"}
		switch {
		case w.Cookie != "" && w.Header != "":
			return nil, errors.New("a condition has a header and a cookie")
		case !h1.IsToken([]byte(c.name)):
			return nil, fmt.Errorf("%.80q is no name of a header or cookie", c.name)
		}
		if !c.cookie {
			c.name = lower(c.name)
		}
		all = append(all, c)
	}
	return all, nil
}

// Met reports whether a request with these fields meets all conditions. Of a
// header that stands more than once, any value does; of a cookie the first.
func (all Conditions) Met(fields []h1.Field) bool {
	for i := range all {
		if !all[i].met(fields) {
			return false
		}
	}
	return len(all) > 0
}

func (c *condition) met(fields []h1.Field) bool {
	if c.cookie {
		value, there := Cookie(fields, c.name)
		return there && (c.any || string(value) == c.value)
	}
	for i := range fields {
		f := &fields[i]
		if h1.Is(f.Name, c.name) && (c.any || string(f.Value) == c.value) {
			return true
		}
	}
	return false
}

// Cookie is the value of the first cookie of that name, without the quotes that
// may stand around it, and whether there is one (RFC 6265, 4.2; in HTTP/2 the
// pairs may come in fields of their own: RFC 9113, 8.2.3). It is part of the
// field.
func Cookie(fields []h1.Field, name string) (value []byte, there bool) {
	for i := range fields {
		if !h1.Is(fields[i].Name, "cookie") {
			continue
		}
		if value, there = cookieIn(fields[i].Value, name); there {
			return value, true
		}
	}
	return nil, false
}

func cookieIn(text []byte, name string) (value []byte, there bool) {
	for len(text) > 0 {
		pair := text
		text = nil
		for i, b := range pair {
			if b == ';' {
				pair, text = pair[:i], pair[i+1:]
				break
			}
		}
		pair = h1.Trim(pair)
		if len(pair) > len(name) && pair[len(name)] == '=' && string(pair[:len(name)]) == name {
			return unquoted(h1.Trim(pair[len(name)+1:])), true
		}
	}
	return nil, false
}

func unquoted(value []byte) []byte {
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		return value[1 : n-1]
	}
	return value
}

func lower(text string) string {
	b := []byte(text)
	for i := range b {
		b[i] = h1.Lower(b[i])
	}
	return string(b)
}
