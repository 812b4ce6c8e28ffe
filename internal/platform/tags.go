package platform

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var tagPart = regexp.MustCompile(`^([a-zA-Z0-9][-._a-zA-Z0-9]{0,61})?[a-zA-Z0-9]$`)

// ValidTag checks one label that a node must carry: a key with or without a
// prefix, such as environ or example.com/environ, and a value that may be empty.
func ValidTag(key, value string) error {
	prefix, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		name = key
	}
	switch {
	case prefixed && len(prefix) > 253:
		return Invalid("tags", "Tag key prefixes must 253 characters or less.")
	case prefixed && slices.ContainsFunc(strings.Split(prefix, "."), func(part string) bool { return !tagPart.MatchString(part) }):
		return Invalid("tags", "Tag key prefixes must be DNS subdomains.")
	case !tagPart.MatchString(name):
		return Invalid("tags", `Tag keys must be alphanumeric or "-_.", and 1-63 characters.`)
	case value != "" && !tagPart.MatchString(value):
		return Invalid("tags", `Tag values must be alphanumeric or "-_.", and 1-63 characters.`)
	}
	return nil
}

// TagText renders {"environ":"dev","disk":"ssd"} as "disk=ssd, environ=dev".
func TagText(tags map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		parts = append(parts, fmt.Sprintf("%s=%s", key, tags[key]))
	}
	return strings.Join(parts, ", ")
}

// MaxHook bounds the command line of a lifecycle hook, in bytes.
const MaxHook = 4 << 10

// ValidHook checks a lifecycle hook of a process type; field is
// lifecycle_post_start or lifecycle_pre_stop.
func ValidHook(field, process, command string) error {
	switch {
	case !ValidProcessType(process):
		return Invalid(field, "Process types can only contain lowercase alphanumeric characters")
	case strings.TrimSpace(command) == "":
		return Invalid(field, "The command of %s may not be blank.", process)
	case len(command) > MaxHook:
		return Invalid(field, "The command of %s is longer than %d bytes.", process, MaxHook)
	case strings.ContainsRune(command, 0):
		return Invalid(field, "The command of %s contains a NUL byte.", process)
	}
	return nil
}

// ValidRegistryKey checks a key of a private registry's credentials.
func ValidRegistryKey(key, value string) error {
	switch {
	case !configKey.MatchString(key) || len(key) > 256:
		return Invalid("registry", "Config keys must start with a letter or underscore and only contain [A-z0-9_]")
	case len(value) > MaxHook || strings.ContainsRune(value, 0):
		return Invalid("registry", "%s is longer than %d bytes or contains a NUL byte", key, MaxHook)
	}
	return nil
}
