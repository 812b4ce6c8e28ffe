package server

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	longTagPrefix = "Tag key prefixes must 253 characters or less."
	badTagPrefix  = "Tag key prefixes must be DNS subdomains."
	badTagKey     = `Tag keys must be alphanumeric or "-_.", and 1-63 characters.`
	badTagValue   = `Tag values must be alphanumeric or "-_.", and 1-63 characters.`
	maxTagPrefix  = 253
	// maxHook bounds the command line of a lifecycle hook, in bytes.
	maxHook = 16 << 10
)

// tagWord is the form of a label's name and value, as in Kubernetes.
var tagWord = regexp.MustCompile(`^(?:[a-zA-Z\d][-.\w]{0,61})?[a-zA-Z\d]$`)

// checkTag holds the rules of [prefix/]name and a value, which may be empty.
func checkTag(key, value string) string {
	prefix, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		prefix, name = "", key
	}
	switch {
	case len(prefix) > maxTagPrefix:
		return longTagPrefix
	case prefixed && slices.ContainsFunc(strings.Split(prefix, "."), func(part string) bool { return !tagWord.MatchString(part) }):
		return badTagPrefix
	case !tagWord.MatchString(name):
		return badTagKey
	case value != "" && !tagWord.MatchString(value):
		return badTagValue
	}
	return ""
}

// checkRegistry holds keys to the form of a config key: known are username,
// password and hostname.
func checkRegistry(key, value string) string {
	if err := platform.ValidConfigVar(strings.ToLower(key), value); err != nil {
		return messageOf(err)
	}
	return ""
}

func checkHook(process, command string) string {
	switch {
	case strings.TrimSpace(command) == "":
		return checkProcess(process, fieldError("", emptyCommand))
	case len(command) > maxHook:
		return checkProcess(process, fieldError("", "A command is at most %d bytes", maxHook))
	}
	return checkProcess(process, nil)
}

// lowered is the patch with its keys in lower case, in which they are kept.
func (f *fields) lowered(name string, patch map[string]*string) map[string]*string {
	out := make(map[string]*string, len(patch))
	for _, key := range slices.Sorted(maps.Keys(patch)) {
		if _, twice := out[strings.ToLower(key)]; twice {
			f.reject(name, fmt.Sprintf("%s comes twice", clip(key)))
		}
		out[strings.ToLower(key)] = patch[key]
	}
	return out
}

// maxKey bounds a key that has no form of its own, in characters.
const maxKey = 253

// checkKey says why a key that may be anything is none.
func checkKey(key string) string {
	switch {
	case key == "":
		return isBlank
	case strings.ContainsRune(key, 0):
		return isNUL
	case utf8.RuneCountInString(key) > maxKey:
		return fmt.Sprintf("Ensure this field has no more than %d characters.", maxKey)
	}
	return ""
}
