package platform

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// Bounds of the path patterns of one app: see Service.Pattern. A regular
// expression (RE2) takes time in proportion to the path and to its own size.
const (
	MaxPaths      = 200
	MaxPath       = 1 << 10 // bytes of one pattern
	MaxPathWeight = 500     // of all regular expressions of an app together
)

// PathWeight is about how many instructions a regular expression of a path
// compiles to, at least 1 and little over MaxPathWeight, without compiling it:
// x{1000} of a long x would be a million.
func PathWeight(expression string) (int, error) {
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return 0, err
	}
	return weigh(tree), nil
}

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
		weight = min(weight+weigh(sub), MaxPathWeight+1)
	}
	if re.Op == syntax.OpRepeat {
		weight *= max(re.Min+1, re.Max, 1)
	}
	return min(max(weight, 1), MaxPathWeight+1)
}

// PathPattern is one pattern of a path, in the form of an nginx location.
type PathPattern struct {
	Op     string // "" and "^~" (prefix), "=", "~" or "~*"
	Text   string
	Weight int // of a regular expression
}

// String is the pattern as routers read it: see PathRoute.
func (p PathPattern) String() string { return strings.TrimSpace(p.Op + " " + p.Text) }

// ParsePath reads one pattern. "^/users" without a sign is taken for the
// regular expression that it can only be. One that is too heavy for an app is
// not compiled: its Weight says so.
func ParsePath(text string) (p PathPattern, ok bool) {
	p.Text = text
	for _, op := range []string{"^~", "~*", "~", "="} {
		if rest, ok := strings.CutPrefix(text, op); ok {
			p.Op, p.Text = op, strings.TrimSpace(rest)
			break
		}
	}
	if strings.HasPrefix(text, "^/") {
		p.Op = "~"
	}
	switch {
	case p.Text == "" || len(p.String()) > MaxPath:
		return p, false
	case p.Op != "~" && p.Op != "~*":
		return p, strings.HasPrefix(p.Text, "/")
	}
	var err error
	if p.Weight, err = PathWeight(p.Text); err != nil || p.Weight > MaxPathWeight {
		return p, err == nil
	}
	_, err = regexp.Compile(p.Text)
	return p, err == nil
}
