package buildpack

import (
	"regexp"
	"strings"
)

// ignore are the patterns of a tree's .slugignore: what does not go into the
// slug. A pattern with a leading slash holds at the root only, one with a
// trailing slash for directories only; * and ? stay within a name, ** does not.
type ignore []pattern

type pattern struct {
	expression *regexp.Regexp
	dirOnly    bool
}

func readIgnore(tree string) (ignore, error) {
	text, err := readSmall(tree, ".slugignore")
	if err != nil {
		return nil, err
	}
	var patterns ignore
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if p, ok := compile(line); ok {
			patterns = append(patterns, p)
		}
	}
	return patterns, nil
}

func compile(line string) (pattern, bool) {
	rest, rooted := strings.CutPrefix(line, "/")
	rest, dirOnly := strings.CutSuffix(rest, "/")
	rest = strings.TrimPrefix(rest, "./")
	expression := `^(.*/)?`
	if rooted {
		expression = `^`
	}
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case strings.HasPrefix(rest[i:], "**/"):
			expression += `(.*/)?`
			i += 2
		case strings.HasPrefix(rest[i:], "**"):
			expression += `.*`
			i++
		case c == '*':
			expression += `[^/]*`
		case c == '?':
			expression += `[^/]`
		default:
			expression += regexp.QuoteMeta(string(c))
		}
	}
	compiled, err := regexp.Compile(expression + `$`)
	return pattern{compiled, dirOnly}, err == nil && rest != ""
}

func (ig ignore) matches(path string, dir bool) bool {
	for _, p := range ig {
		if (dir || !p.dirOnly) && p.expression.MatchString(path) {
			return true
		}
	}
	return false
}
