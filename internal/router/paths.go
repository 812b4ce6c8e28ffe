package router

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// maxMatched bounds the paths that regular expressions are asked about, in
// bytes. With platform's bounds of the expressions it keeps the slowest match
// at about ten milliseconds of one core.
const maxMatched = 2048

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
	left := platform.MaxPathWeight
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
	if len(p.rules) == platform.MaxPaths {
		return fmt.Errorf("an app may have %d paths", platform.MaxPaths)
	}
	if len(pattern) > platform.MaxPath {
		return fmt.Errorf("it is longer than %d bytes", platform.MaxPath)
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
	weight, err = platform.PathWeight(text) // by itself: a flag before must not complete it
	if err != nil {
		return nil, 0, err
	}
	if weight > maxWeight {
		return nil, 0, errors.New("with it, the regular expressions of this app are too large to be matched quickly")
	}
	re, err := regexp.Compile(flags + text)
	if err != nil {
		return nil, 0, err
	}
	return re.MatchString, weight, nil
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
