package rules

import (
	"bytes"

	"github.com/slipway-paas/slipway/internal/h1"
)

// readTrace judges the trace that a request brings (W3C Trace Context, Level
// 2). A sound one goes on as it came: the router records no span, and a parent
// that nobody recorded would break the trace in two.
func (t *Told) readTrace(fields []h1.Field) {
	parents, states := 0, 0
	t.state = true
	for i := range fields {
		f := &fields[i]
		switch {
		case h1.Is(f.Name, "traceparent"):
			parents++
			t.trace = broken
			if parents == 1 && Traceparent(f.Value) {
				t.trace = sound
			}
		case h1.Is(f.Name, "tracestate"):
			members, ok := tracestate(f.Value)
			states += members
			t.state = t.state && ok
		}
	}
	// 3.3: without a traceparent it means nothing, and 3.3.1.5: 32 members.
	t.state = t.state && t.trace == sound && states <= 32
}

// Traceparent reports whether a value names a trace and a parent: 3.2.
func Traceparent(v []byte) bool {
	if len(v) < 55 || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return false
	}
	if !hexadecimal(v[:2]) || !hexadecimal(v[3:35]) || !hexadecimal(v[36:52]) || !hexadecimal(v[53:55]) {
		return false
	}
	switch version := string(v[:2]); {
	case version == "ff": // 3.2.2.1
		return false
	case version == "00" && len(v) != 55:
		return false
	case len(v) > 55 && v[55] != '-': // 4.3: what a later version adds
		return false
	}
	return !zeroes(v[3:35]) && !zeroes(v[36:52])
}

// hexadecimal is HEXDIGLC: 3.2.1.
func hexadecimal(text []byte) bool {
	for _, b := range text {
		if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return false
		}
	}
	return true
}

func zeroes(text []byte) bool {
	for _, b := range text {
		if b != '0' {
			return false
		}
	}
	return true
}

// tracestate counts the members of a list, and reports whether all are well
// formed: 3.3.1. Empty ones are allowed and count for nothing.
func tracestate(list []byte) (members int, ok bool) {
	for rest, more := list, true; more; {
		var member []byte
		member, rest, more = bytes.Cut(rest, []byte{','})
		member = bytes.Trim(member, " \t")
		if len(member) == 0 {
			continue
		}
		if members++; members > 32 {
			return members, false
		}
		key, value, found := bytes.Cut(member, []byte{'='})
		if !found || !stateKey(key) || !stateValue(value) {
			return members, false
		}
	}
	return members, true
}

// stateKey is 3.3.1.3.1.
func stateKey(key []byte) bool {
	if len(key) == 0 || len(key) > 256 {
		return false
	}
	for i, b := range key {
		switch {
		case b >= 'a' && b <= 'z', b >= '0' && b <= '9':
		case i > 0 && (b == '_' || b == '-' || b == '*' || b == '/' || b == '@'):
		default:
			return false
		}
	}
	return true
}

// stateValue is 3.3.1.3.2.
func stateValue(value []byte) bool {
	if len(value) == 0 || len(value) > 256 {
		return false
	}
	for _, b := range value {
		if b < ' ' || b > '~' || b == ',' || b == '=' {
			return false
		}
	}
	return value[len(value)-1] != ' '
}
