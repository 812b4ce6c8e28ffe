package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Error is an answer with a status of 400 or above. Its body is one of three:
// {"detail":"…"}, {"field":["…"],…}, or a bare JSON string.
type Error struct {
	Status int
	// Detail is what the server says: the detail, the bare string, or the
	// body as it came when it is none of the three.
	Detail string
	// Fields are messages by the field of the request that caused them.
	Fields map[string][]string
	// RequestID finds the request in the server's log.
	RequestID string
}

// ParseError reads the body of a failed answer. It never fails itself.
func ParseError(status int, body []byte) *Error {
	e := &Error{Status: status}
	var text string
	if json.Unmarshal(body, &text) == nil {
		e.Detail = text
		return e
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		e.Detail = strings.TrimSpace(string(body))
		return e
	}
	for field, raw := range object {
		var one string
		var many []string
		switch {
		case field == "detail" && json.Unmarshal(raw, &one) == nil:
			e.Detail = one
		case json.Unmarshal(raw, &many) == nil:
			e.add(field, many...)
		case json.Unmarshal(raw, &one) == nil:
			e.add(field, one)
		default:
			e.add(field, string(raw))
		}
	}
	return e
}

func (e *Error) add(field string, messages ...string) {
	if e.Fields == nil {
		e.Fields = map[string][]string{}
	}
	e.Fields[field] = append(e.Fields[field], messages...)
}

// Error is the detail and the fields, one a line.
func (e *Error) Error() string {
	var lines []string
	if e.Detail != "" {
		lines = append(lines, e.Detail)
	}
	for _, field := range slices.Sorted(maps.Keys(e.Fields)) {
		text := strings.Join(e.Fields[field], " ")
		if field != "non_field_errors" {
			text = field + ": " + text
		}
		lines = append(lines, text)
	}
	if len(lines) == 0 {
		return fmt.Sprintf("the server answered %d and said no more", e.Status)
	}
	return strings.Join(lines, "\n")
}
