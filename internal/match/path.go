package match

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// MaxPath bounds the paths that regular expressions are asked about, in bytes.
// With platform's bounds of the expressions it keeps the slowest match at about
// ten milliseconds of one core.
const MaxPath = 2048

// Path is a pattern of paths. The zero value matches all. Immutable.
type Path struct {
	text  string
	exact bool
	re    *regexp.Regexp // instead of text
}

// CompilePath reads a pattern in the form of an nginx location: "/prefix",
// "^~ /prefix", "= /exact", "~ regex" and "~* regex" for any case. The space
// may be left out. A regular expression matches anywhere unless it says ^ or $.
// left is the weight that the app's regular expressions may still have (see
// platform.PathWeight), and becomes what is left then.
func CompilePath(pattern string, left *int) (Path, error) {
	pattern = strings.TrimSpace(pattern)
	if len(pattern) > platform.MaxPath {
		return Path{}, fmt.Errorf("it is longer than %d bytes", platform.MaxPath)
	}
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
		return compileRegexp("(?i)", text, left)
	case form == "~":
		return compileRegexp("", text, left)
	case !strings.HasPrefix(text, "/"):
		return Path{}, errors.New("it begins with none of /, =, ~ and ~*")
	}
	return Path{text: text, exact: form == "="}, nil
}

func compileRegexp(flags, text string, left *int) (Path, error) {
	weight, err := platform.PathWeight(text) // by itself: a flag before must not complete it
	if err != nil {
		return Path{}, err
	}
	if weight > *left {
		return Path{}, errors.New("with it, the regular expressions of this app are too large to be matched quickly")
	}
	re, err := regexp.Compile(flags + text)
	if err != nil {
		return Path{}, err
	}
	*left -= weight
	return Path{re: re}, nil
}

// Matches reports whether a clean path (see CleanPath) is one of the pattern's.
// A Heavy pattern matches no path longer than MaxPath.
func (p *Path) Matches(asked string) bool {
	switch {
	case p.re != nil:
		return len(asked) <= MaxPath && p.re.MatchString(asked)
	case p.exact:
		return asked == p.text
	}
	return strings.HasPrefix(asked, p.text)
}

// Heavy reports whether the pattern is a regular expression.
func (p *Path) Heavy() bool { return p.re != nil }

// All reports whether the pattern matches all paths, since none was given.
func (p *Path) All() bool { return p.re == nil && p.text == "" }

// CleanPath is a decoded path with each "//" made "/", and dot segments
// resolved, which dots reports. It ends with "/" when it names a folder.
func CleanPath(p string) (clean string, dots bool) {
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
