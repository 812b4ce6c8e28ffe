package router

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// What one app's patterns may cost. A regular expression (RE2) takes time in
// proportion to the path and to its own size, so both have a bound: together
// they keep the slowest match at about ten milliseconds of one core.
const (
	maxPatterns      = 200
	maxPatternLength = 1024 // bytes
	maxWeight        = 500  // instructions of all regular expressions of an app
	maxMatched       = 2048 // bytes of a path that regular expressions are asked about
)

// paths say which process type serves which path. Immutable; nil is the main
// one for all.
//
// Patterns are matched against the path as a server reads it, not as it was
// written: percent signs decoded once, "//" taken as "/", "." and ".." resolved,
// the query not looked at. So /%6eotify and //notify are /notify. The app gets
// the path as it was written and may read it in another way than this; where
// dots make that a difference between two process types, the request has no
// honest meaning and is refused.
type paths struct {
	wish  []platform.PathRoute // as told
	rules []pathRule           // the first that matches wins
	heavy bool                 // some rule is a regular expression
	wrong []string             // what of wish was left out, and why
}

type pathRule struct {
	process string
	match   func(asked string) bool
}

// pathsAfter are the paths of a wish; when it is the one that old came from,
// old, so that nothing is compiled twice. A pattern that cannot be used is
// left out and named in wrong.
func pathsAfter(old *paths, wish []platform.PathRoute) *paths {
	if len(wish) == 0 {
		return nil
	}
	if old != nil && slices.EqualFunc(old.wish, wish, samePaths) {
		return old
	}
	p := &paths{wish: slices.Clone(wish)}
	left := maxWeight
	for _, service := range wish {
		for _, pattern := range service.Patterns {
			if err := p.add(mainAs(service.Process), pattern, &left); err != nil {
				p.wrong = append(p.wrong, fmt.Sprintf("path %.80q of %s is not led there: %v", pattern, service.Process, err))
			}
		}
	}
	return p
}

func samePaths(a, b platform.PathRoute) bool {
	return a.Process == b.Process && slices.Equal(a.Patterns, b.Patterns)
}

// add appends a rule; left is the weight that regular expressions may still have.
func (p *paths) add(process, pattern string, left *int) error {
	pattern = strings.TrimSpace(pattern)
	if len(p.rules) == maxPatterns {
		return fmt.Errorf("an app may have %d paths", maxPatterns)
	}
	if len(pattern) > maxPatternLength {
		return fmt.Errorf("it is longer than %d bytes", maxPatternLength)
	}
	match, weight, err := compilePattern(pattern, *left)
	if err != nil {
		return err
	}
	*left -= weight
	p.heavy = p.heavy || weight > 0
	p.rules = append(p.rules, pathRule{process, match})
	return nil
}

// compilePattern reads a pattern in the form of an nginx location: "/prefix",
// "^~ /prefix", "= /exact", "~ regex" and "~* regex" for any case. The space
// may be left out. A regular expression matches anywhere unless it says ^ or $.
func compilePattern(pattern string, maxWeight int) (match func(string) bool, weight int, err error) {
	form := ""
	for _, known := range []string{"^~", "~*", "~", "="} {
		if strings.HasPrefix(pattern, known) {
			form = known
			break
		}
	}
	text := strings.TrimSpace(pattern[len(form):])
	switch {
	case form == "~*":
		return compileRegexp("(?i)", text, maxWeight)
	case form == "~":
		return compileRegexp("", text, maxWeight)
	case !strings.HasPrefix(text, "/"):
		return nil, 0, errors.New("it begins with none of /, =, ~ and ~*")
	case form == "=":
		return func(asked string) bool { return asked == text }, 0, nil
	}
	return func(asked string) bool { return strings.HasPrefix(asked, text) }, 0, nil
}

func compileRegexp(flags, text string, maxWeight int) (match func(string) bool, weight int, err error) {
	tree, err := syntax.Parse(text, syntax.Perl) // by itself: a flag before must not complete it
	if err != nil {
		return nil, 0, err
	}
	weight = weigh(tree)
	if weight > maxWeight {
		return nil, 0, errors.New("with it, the regular expressions of this app are too large to be matched quickly")
	}
	re, err := regexp.Compile(flags + text)
	if err != nil {
		return nil, 0, err
	}
	return re.MatchString, weight, nil
}

// weigh is about how many instructions a regular expression compiles to, at
// least 1, without compiling it: x{1000} of a long x would be a million.
func weigh(re *syntax.Regexp) int {
	weight := 1
	switch {
	case re.Op == syntax.OpLiteral:
		weight = len(re.Rune)
	case re.Op == syntax.OpCharClass && len(re.Rune) > 8:
		weight = 3 // is searched for
	case re.Op == syntax.OpConcat:
		weight = 0
	case re.Op == syntax.OpAlternate:
		weight = len(re.Sub)
	}
	for _, sub := range re.Sub {
		weight = min(weight+weigh(sub), maxWeight+1)
	}
	if re.Op == syntax.OpRepeat {
		weight *= max(re.Min+1, re.Max, 1)
	}
	return min(max(weight, 1), maxWeight+1)
}

// process is the process type that serves a decoded path, "" for the main one.
func (p *paths) process(asWritten string) (string, refusal) {
	if p == nil || len(p.rules) == 0 {
		return "", admitted
	}
	if p.heavy && len(asWritten) > maxMatched {
		return "", tooLong
	}
	clean, dots := cleanPath(asWritten)
	process := p.first(clean)
	if dots && p.first(asWritten) != process {
		return "", ambiguous
	}
	return process, admitted
}

func (p *paths) first(asked string) string {
	for _, rule := range p.rules {
		if rule.match(asked) {
			return rule.process
		}
	}
	return ""
}

// cleanPath is a decoded path with each "//" made "/", and dot segments
// resolved, which dots reports. It ends with "/" when it names a folder.
func cleanPath(p string) (clean string, dots bool) {
	dots = strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..") || strings.Contains(p, "/./") || strings.Contains(p, "/../")
	if !dots && !strings.Contains(p, "//") {
		return p, false
	}
	clean = path.Clean(p)
	folder := strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..")
	if folder && clean != "/" {
		clean += "/"
	}
	return clean, dots
}

// mainAs is "" for the process types that serve what no path is for.
func mainAs(process string) string {
	if platform.Routable(process) {
		return ""
	}
	return process
}
