package router

import (
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/match"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestTheSamePathsAreCompiledOnce(t *testing.T) {
	wish := func(pattern string) []platform.PathRoute {
		return []platform.PathRoute{{Process: "hooks", Patterns: []string{pattern}}}
	}
	first := pathsAfter(nil, wish("~ ^/x"))
	if pathsAfter(first, wish("~ ^/x")) != first {
		t.Error("they were compiled again")
	}
	if pathsAfter(first, wish("~ ^/y")) == first {
		t.Error("others were taken for the same")
	}
}

// BenchmarkPaths is the worst that an app's own patterns can make a request cost.
func BenchmarkPaths(b *testing.B) {
	for name, patterns := range map[string][]string{
		"usual": {"~ ^/users/[0-9]+/hook", "/notify"},
		"huge":  {"~ (x?){120}y"}, // as heavy as is let in
		"many":  manyExpressions(),
		"wide":  {"~ (\\pL\\w?){70}$"},
	} {
		p := pathsAfter(nil, []platform.PathRoute{{Process: "hooks", Patterns: patterns}})
		if len(p.wrong) > 0 {
			b.Fatal(p.wrong)
		}
		asked := "/" + strings.Repeat("x", match.MaxPath-1)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.process(asked)
			}
		})
	}
}

func manyExpressions() (patterns []string) {
	for range platform.MaxPathWeight / 3 {
		patterns = append(patterns, "~ x+y")
	}
	return patterns
}
