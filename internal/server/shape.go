package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// reader reads one value into where it belongs, or says why it is none.
type reader func(json.RawMessage) (reason string)

// properties reads an object of known keys, to the letter of each. A key whose
// value is null counts as absent.
func properties(raw json.RawMessage, known map[string]reader, required ...string) (reason string) {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) != nil || object == nil {
		return literalOf(raw) + " is not of type 'object'"
	}
	maps.DeleteFunc(object, func(_ string, value json.RawMessage) bool { return null(value) })
	for _, name := range required {
		if _, ok := object[name]; !ok {
			return fmt.Sprintf("'%s' is a required property", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		read, ok := known[name]
		if !ok {
			return fmt.Sprintf("'%s' is not a known property", clip(name))
		}
		if reason := read(object[name]); reason != "" {
			return reason
		}
	}
	return ""
}

func integer(to *int) reader {
	return func(raw json.RawMessage) string {
		n, err := strconv.ParseInt(string(bytes.TrimSpace(raw)), 10, 32)
		if err != nil {
			return literalOf(raw) + " is not of type 'integer'"
		}
		*to = int(n)
		return ""
	}
}

func word(to *string) reader {
	return func(raw json.RawMessage) string {
		if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, to) != nil {
			return literalOf(raw) + " is not of type 'string'"
		}
		if strings.ContainsRune(*to, 0) {
			return "a string holds a NUL byte"
		}
		return ""
	}
}

// each reads a list, item by item.
func each(read reader) reader {
	return func(raw json.RawMessage) string {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil {
			return literalOf(raw) + " is not of type 'array'"
		}
		for _, item := range list {
			if reason := read(item); reason != "" {
				return reason
			}
		}
		return ""
	}
}

// unfit is how Deis worded a value its schema refuses.
func unfit(raw json.RawMessage, reason string) string {
	return fmt.Sprintf("could not validate %s: %s", literalOf(raw), reason)
}

// literalOf is valid JSON in the words of Deis' own language, cut where it is
// long: {'min': 1, 'on': True}.
func literalOf(raw json.RawMessage) string {
	var out strings.Builder
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	writeLiteral(&out, decoder)
	return clip(out.String())
}

// writeLiteral writes the decoder's next value, and nothing more where clip
// cuts anyway.
func writeLiteral(out *strings.Builder, decoder *json.Decoder) {
	token, err := decoder.Token()
	if err != nil || out.Len() > 2*maxClip {
		return
	}
	switch t := token.(type) {
	case json.Delim:
		writeItems(out, decoder, t == '{')
	case string:
		out.WriteString(quoted(t))
	case bool:
		out.WriteString(map[bool]string{true: "True", false: "False"}[t])
	case json.Number:
		out.WriteString(t.String())
	default:
		out.WriteString("None")
	}
}

func writeItems(out *strings.Builder, decoder *json.Decoder, object bool) {
	brackets := "[]"
	if object {
		brackets = "{}"
	}
	out.WriteByte(brackets[0])
	for n := 0; decoder.More() && out.Len() <= 2*maxClip; n++ {
		if n > 0 {
			out.WriteString(", ")
		}
		if object {
			writeLiteral(out, decoder)
			out.WriteString(": ")
		}
		writeLiteral(out, decoder)
	}
	_, _ = decoder.Token() // the closing one
	out.WriteByte(brackets[1])
}

func quoted(text string) string {
	text = strconv.Quote(clip(text))
	if strings.Contains(text, "'") {
		return text
	}
	return "'" + strings.ReplaceAll(text[1:len(text)-1], `\"`, `"`) + "'"
}
