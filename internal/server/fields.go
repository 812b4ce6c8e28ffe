package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slipway-paas/slipway/internal/platform"
)

// The messages of the contract for what is wrong with a field of any kind.
const (
	isRequired = "This field is required."
	isBlank    = "This field may not be blank."
	isNull     = "This field may not be null."
	isNUL      = "Null characters are not allowed."
	isNoString = "Not a valid string."
)

// fields reads a JSON object field by field and gathers what is wrong with
// them, so that one answer names all. Unknown fields are ignored.
type fields struct {
	raw   map[string]json.RawMessage
	wrong []error
}

func fieldError(field, format string, args ...any) error {
	return platform.Invalid(field, format, args...)
}

// reject notes that a field is wrong. The message is not a format.
func (f *fields) reject(field, message string) {
	f.wrong = append(f.wrong, &platform.FieldError{Field: field, Message: message})
}

// check notes err when there is one.
func (f *fields) check(err error) {
	if err != nil {
		f.wrong = append(f.wrong, err)
	}
}

// err is nil when nothing was rejected.
func (f *fields) err() error { return errors.Join(f.wrong...) }

func (f *fields) has(name string) bool {
	_, ok := f.raw[name]
	return ok
}

// given reports whether the field is there and not null.
func (f *fields) given(name string) bool {
	return f.has(name) && !null(f.raw[name])
}

func null(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

// required reads a text that must be there and not blank, without the white
// space around it.
func (f *fields) required(name string) string {
	text := strings.TrimSpace(f.secret(name))
	if text == "" && !f.rejected(name) {
		f.reject(name, isBlank)
	}
	return text
}

// secret is required for a text that is kept to the letter.
func (f *fields) secret(name string) string {
	if !f.has(name) {
		f.reject(name, isRequired)
		return ""
	}
	text := f.optional(name)
	if text == "" && !f.rejected(name) {
		f.reject(name, isBlank)
	}
	return text
}

// optional reads a text, empty when the field is absent. Null is rejected.
func (f *fields) optional(name string) string {
	if !f.has(name) {
		return ""
	}
	text, message := scalar(f.raw[name])
	if message != "" {
		f.reject(name, message)
	}
	return text
}

// demanded is required in the words of Deis' handlers that check by hand.
func (f *fields) demanded(name string) string {
	text := strings.TrimSpace(f.optional(name))
	if text == "" && !f.rejected(name) {
		f.reject("", name+" is a required field")
	}
	return text
}

// texts reads a list of texts; nil when the field is absent.
func (f *fields) texts(name string) []string {
	if !f.has(name) {
		return nil
	}
	if null(f.raw[name]) {
		f.reject(name, isNull)
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(f.raw[name], &list); err != nil {
		f.reject(name, "Expected a list of items.")
		return nil
	}
	if len(list) == 0 {
		f.reject(name, "This list may not be empty.")
	}
	texts := make([]string, 0, len(list))
	for _, raw := range list {
		text, message := scalar(raw)
		if message != "" {
			f.reject(name, message)
			return nil
		}
		texts = append(texts, strings.TrimSpace(text))
	}
	return texts
}

// short is optional with at most so many characters.
func (f *fields) short(name string, most int) string {
	text := strings.TrimSpace(f.optional(name))
	if utf8.RuneCountInString(text) > most {
		f.reject(name, fmt.Sprintf("Ensure this field has no more than %d characters.", most))
	}
	return text
}

func (f *fields) rejected(name string) bool {
	return slices.ContainsFunc(f.wrong, func(err error) bool {
		var field *platform.FieldError
		return errors.As(err, &field) && field.Field == name
	})
}

// scalar reads a string, or a number as its digits; else it says what is wrong.
func scalar(raw json.RawMessage) (text, message string) {
	raw = bytes.TrimSpace(raw)
	switch raw[0] {
	case 'n':
		return "", isNull
	case '"':
		if err := json.Unmarshal(raw, &text); err != nil || strings.ContainsRune(text, 0) {
			return "", isNUL
		}
		return text, ""
	case '{', '[', 't', 'f':
		return "", isNoString
	}
	return string(raw), ""
}

var (
	trueWords  = []string{"t", "y", "yes", "true", "on", "1"}
	falseWords = []string{"f", "n", "no", "false", "off", "0"}
)

// boolean reads true and false in the many forms Deis took; nil when absent.
func (f *fields) boolean(name string) *bool {
	if !f.has(name) {
		return nil
	}
	if null(f.raw[name]) {
		f.reject(name, isNull)
		return nil
	}
	word := literal(f.raw[name])
	value := slices.Contains(trueWords, strings.ToLower(word))
	if !value && !slices.Contains(falseWords, strings.ToLower(word)) {
		f.reject(name, fmt.Sprintf("%q is not a valid boolean.", clip(word)))
		return nil
	}
	return &value
}

// literal is a scalar's text, or the JSON of what is none.
func literal(raw json.RawMessage) string {
	text, message := scalar(raw)
	if message != "" {
		return string(bytes.TrimSpace(raw))
	}
	return text
}

// optionalObject is object for a field that may be null.
func (f *fields) optionalObject(name string) (map[string]json.RawMessage, bool) {
	if !f.given(name) {
		return nil, false
	}
	return f.object(name)
}

// object reads a field that is an object, also one encoded as a string;
// false when it is absent or wrong.
func (f *fields) object(name string) (map[string]json.RawMessage, bool) {
	if !f.has(name) {
		return nil, false
	}
	raw := f.raw[name]
	var encoded string
	if json.Unmarshal(raw, &encoded) == nil && encoded != "" {
		raw = json.RawMessage(encoded)
		if err := wellFormed(raw); err != nil {
			f.reject(name, "JSON parse error - "+err.Error())
			return nil, false
		}
	}
	if null(raw) {
		f.reject(name, isNull)
		return nil, false
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		f.reject(name, "Expected an object of names and values.")
		return nil, false
	}
	return object, true
}
