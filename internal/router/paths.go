package router

import (
	"fmt"
	"slices"

	"github.com/slipway-paas/slipway/internal/match"
	"github.com/slipway-paas/slipway/internal/platform"
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
	match   match.Path
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
	if len(p.rules) == platform.MaxPaths {
		return fmt.Errorf("an app may have %d paths", platform.MaxPaths)
	}
	compiled, err := match.CompilePath(pattern, left)
	if err != nil {
		return err
	}
	p.heavy = p.heavy || compiled.Heavy()
	p.rules = append(p.rules, pathRule{process, compiled})
	return nil
}

// process is the process type that serves a decoded path, "" for the main one.
func (p *paths) process(asWritten string) (string, refusal) {
	if p == nil || len(p.rules) == 0 {
		return "", admitted
	}
	if p.heavy && len(asWritten) > match.MaxPath {
		return "", tooLong
	}
	clean, dots := match.CleanPath(asWritten)
	process := p.first(clean)
	if dots && p.first(asWritten) != process {
		return "", ambiguous
	}
	return process, admitted
}

func (p *paths) first(asked string) string {
	for _, rule := range p.rules {
		if rule.match.Matches(asked) {
			return rule.process
		}
	}
	return ""
}

// mainAs is "" for the process types that serve what no path is for.
func mainAs(process string) string {
	if platform.Routable(process) {
		return ""
	}
	return process
}
