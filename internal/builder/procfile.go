package builder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"gopkg.in/yaml.v3"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Procfile is the file at the root of a tree that says what to run.
const Procfile = "Procfile"

// Bounds of a Procfile.
const (
	MaxProcfile     = 64 << 10 // bytes
	MaxProcessTypes = 100
)

const procfileCure = "Write one `type: command` a line, such as `web: python3 app.py`, commit, and push again."

// ReadProcfile reads the Procfile of the tree at dir, without leaving dir. It
// returns nil when there is none. Its errors are ParseProcfile's.
func ReadProcfile(dir, app string) (map[string]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	// Not blocking: the tree may hold a pipe of that name.
	file, err := root.OpenFile(Procfile, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, malformed(app, "it cannot be read: %v", errors.Unwrap(err))
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, malformed(app, "it is not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(file, MaxProcfile+1))
	if err != nil {
		return nil, err
	}
	return ParseProcfile(app, text)
}

// ParseProcfile reads process types and their commands. Lines of the form
// `type: command` are taken as they stand, so that a command may contain what
// YAML would trip over; everything else must be a YAML map of text to text. An
// error is a *platform.UserError that names the line and the cure.
func ParseProcfile(app string, text []byte) (map[string]string, error) {
	if len(text) > MaxProcfile {
		return nil, malformed(app, "it is larger than %d KiB", MaxProcfile>>10)
	}
	if strings.ContainsRune(string(text), 0) {
		return nil, malformed(app, "it contains a NUL byte")
	}
	content := strings.TrimPrefix(string(text), "\ufeff")
	entries, plain, err := procfileLines(content)
	if err != nil || !plain {
		if types, yamlErr := procfileYAML(content); yamlErr == nil {
			entries = types
		} else if err != nil {
			return nil, malformed(app, "%v", err)
		}
	}
	return checked(app, entries)
}

// entry is one line of a Procfile.
type entry struct {
	process, command string
	line             int
}

var procfileLine = regexp.MustCompile(`^([A-Za-z0-9_.-]+)[ \t]*:(?:[ \t]+(.*))?$`)

// procfileLines reads `type: command` lines. They are plain when no command
// begins like a construct of YAML.
func procfileLines(content string) (entries []entry, plain bool, err error) {
	plain = true
	line := 0
	for text := range strings.Lines(content) {
		line++
		text = strings.TrimRight(text, " \t\r\n")
		if text == "" || text == "---" || strings.HasPrefix(strings.TrimLeft(text, " \t"), "#") {
			continue
		}
		match := procfileLine.FindStringSubmatch(text)
		if match == nil {
			return nil, false, fmt.Errorf("line %d: %s", line, whyNotALine(text))
		}
		command := strings.TrimSpace(match[2])
		if command == "" || strings.ContainsRune("\"'|>&*{[!%@`#", rune(command[0])) {
			plain = false
		}
		entries = append(entries, entry{match[1], command, line})
	}
	return entries, plain, nil
}

func whyNotALine(text string) string {
	switch process, _, colon := strings.Cut(text, ":"); {
	case !colon:
		return fmt.Sprintf("%.60q has no colon after a process type", text)
	case procfileLine.MatchString(process + ": x"):
		return fmt.Sprintf("%.60q needs a space after the colon", text)
	case strings.HasPrefix(text, " "), strings.HasPrefix(text, "\t"):
		return fmt.Sprintf("%.60q is indented", text)
	default:
		return fmt.Sprintf("%.60q is not a process type", process)
	}
}

func procfileYAML(content string) ([]entry, error) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(content), &document); err != nil {
		return nil, err
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	top := document.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: it is no map of process types to commands", top.Line)
	}
	var entries []entry
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		if key.Kind != yaml.ScalarNode || value.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: the command of %s is no text", value.Line, key.Value)
		}
		command := strings.TrimSpace(value.Value)
		if value.Tag == "!!null" {
			command = ""
		}
		entries = append(entries, entry{key.Value, command, key.Line})
	}
	return entries, nil
}

func checked(app string, entries []entry) (map[string]string, error) {
	types := make(map[string]string, len(entries))
	lines := make(map[string]int, len(entries))
	for _, e := range entries {
		switch {
		case !platform.ValidProcessType(e.process):
			return nil, malformed(app, "line %d: process type %q: Process types can only contain lowercase alphanumeric characters and inner hyphens, 63 at most", e.line, e.process)
		case e.command == "":
			return nil, malformed(app, "line %d: Command can't be empty for process type %s", e.line, e.process)
		case lines[e.process] > 0:
			return nil, malformed(app, "line %d: process type %s stands on line %d already", e.line, e.process, lines[e.process])
		}
		types[e.process], lines[e.process] = e.command, e.line
	}
	switch {
	case len(types) == 0:
		return nil, malformed(app, "it declares no process type")
	case len(types) > MaxProcessTypes:
		return nil, malformed(app, "it declares more than %d process types", MaxProcessTypes)
	}
	return types, nil
}

func malformed(app, format string, args ...any) error {
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("procfile %s/%s is malformed (%s)", app, Procfile, fmt.Sprintf(format, args...)),
		Cure:    procfileCure,
	}
}

// TypesText lists process types for the user: "web, worker".
func TypesText(types map[string]string) string {
	return strings.Join(slices.Sorted(maps.Keys(types)), ", ")
}
