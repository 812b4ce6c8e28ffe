package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep a body nests. Deis' deepest has seven levels.
const maxDepth = 64

// wellFormed refuses what parsers read in different ways, so that what is
// checked is what is meant, here and wherever it goes: keys that come twice,
// halves of surrogate pairs, numbers no float can hold, and texts deep enough
// to exhaust somebody's stack. data may be any bytes.
func wellFormed(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("this is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return err
	}
	if loneSurrogate(data) {
		return errors.New("half a surrogate pair is no character")
	}
	return checkTokens(data)
}

// checkTokens walks valid JSON.
func checkTokens(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var open []level
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil //nolint:nilerr // the end: the syntax was checked before
		}
		if err := checkToken(token, open); err != nil {
			return err
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{keys: map[string]bool{}})
		case json.Delim('['):
			open = append(open, level{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
			flip(open)
		default:
			flip(open)
		}
		if len(open) > maxDepth {
			return fmt.Errorf("nested more than %d levels deep", maxDepth)
		}
	}
}

// level is an object that is open, or a list, which has no keys. In an object
// every other token on its level is a value.
type level struct {
	keys  map[string]bool
	value bool
}

// flip notes that a token, or all of a value, of the innermost level was read.
func flip(open []level) {
	if len(open) > 0 {
		open[len(open)-1].value = !open[len(open)-1].value
	}
}

func checkToken(token json.Token, open []level) error {
	switch t := token.(type) {
	case json.Number:
		if _, err := strconv.ParseFloat(t.String(), 64); err != nil {
			return fmt.Errorf("the number %s is too large", clip(t.String()))
		}
	case string:
		if len(open) == 0 || open[len(open)-1].keys == nil || open[len(open)-1].value {
			return nil
		}
		keys := open[len(open)-1].keys
		if keys[t] {
			return fmt.Errorf("the key %q comes twice", clip(t))
		}
		keys[t] = true
	}
	return nil
}

// loneSurrogate looks through the escapes of valid JSON, which has backslashes
// in strings only.
func loneSurrogate(data []byte) bool {
	for i := 0; i+1 < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		unit := escaped(data[i:])
		switch {
		case unit < 0:
			i++
		case !utf16.IsSurrogate(unit):
			i += 5
		case utf16.DecodeRune(unit, escaped(data[i+6:])) == utf8.RuneError:
			return true
		default:
			i += 11
		}
	}
	return false
}

// escaped is the unit of a \uXXXX at the start of text, or -1.
func escaped(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(unit)
}
