package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// dotenv writes variables, one a line and sorted, so that a shell and
// parseDotenv read back the same values. A value that is more than plain
// characters stands in single quotes.
func dotenv(values map[string]string) string {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&text, "%s=%s\n", key, quote(values[key]))
	}
	return text.String()
}

// quote makes text one word of a POSIX shell (2.2.2).
func quote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=@%+,", r)
	}
	if text != "" && strings.TrimLeftFunc(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// parseDotenv reads KEY=value lines: comments, "export", single quotes
// (literal, over several lines if need be, '\” for a quote), double quotes
// (with \n \t \r \" \\ \$) and plain values up to " #".
func parseDotenv(text string) (map[string]*string, error) {
	values := map[string]*string{}
	for line := 1; text != ""; {
		before := text
		head, _, _ := strings.Cut(text, "\n")
		trimmed := strings.TrimSpace(head)
		if trimmed == "" || trimmed[0] == '#' {
			text = after(text, len(head))
			line++
			continue
		}
		key, _, ok := strings.Cut(head, "=")
		name := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(key), "export "))
		if !ok {
			return nil, platform.Invalid("", "line %d: %q sets nothing: write KEY=value", line, trimmed)
		}
		value, rest, err := parseValue(text[len(key)+1:])
		if err == nil {
			err = platform.ValidConfigVar(name, value)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		values[name] = &value
		text = rest
		line += strings.Count(before[:len(before)-len(rest)], "\n")
	}
	if len(values) == 0 {
		return nil, platform.Invalid("", "there is no KEY=value in it")
	}
	return values, nil
}

func after(text string, n int) string { return strings.TrimPrefix(text[n:], "\n") }

// parseValue reads one value and returns what follows its line.
func parseValue(text string) (value, rest string, err error) {
	var out strings.Builder
	text = strings.TrimLeft(text, " \t")
	for quoted := false; ; quoted = true {
		switch {
		case strings.HasPrefix(text, "'"):
			inside, tail, ok := strings.Cut(text[1:], "'")
			if !ok {
				return "", "", platform.Invalid("", "a ' is never closed")
			}
			out.WriteString(inside)
			text = tail
		case strings.HasPrefix(text, `"`):
			n, err := doubleQuoted(&out, text[1:])
			if err != nil {
				return "", "", err
			}
			text = text[1+n:]
		case strings.HasPrefix(text, `\'`):
			out.WriteByte('\'')
			text = text[2:]
		default:
			head, _, _ := strings.Cut(text, "\n")
			tail := head
			if quoted && (tail == "" || strings.ContainsAny(tail[:1], " \t\r")) {
				return out.String(), after(text, len(head)), nil
			}
			if i := strings.Index(tail, " #"); i >= 0 {
				tail = tail[:i]
			}
			return out.String() + strings.TrimSpace(tail), after(text, len(head)), nil
		}
	}
}

// doubleQuoted reads up to the closing quote and returns how much that was.
func doubleQuoted(out *strings.Builder, text string) (int, error) {
	escapes := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r'}
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case b == '"':
			return i + 1, nil
		case b == '\\' && i+1 < len(text):
			i++
			if to, ok := escapes[text[i]]; ok {
				out.WriteByte(to)
			} else {
				out.WriteByte(text[i])
			}
		default:
			out.WriteByte(b)
		}
	}
	return 0, platform.Invalid("", `a " is never closed`)
}
