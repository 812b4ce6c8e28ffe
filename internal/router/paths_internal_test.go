package router

import (
	"path"
	"regexp/syntax"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestACleanPathHasNoDotsAndStaysAFolder(t *testing.T) {
	part := rapid.SampledFrom([]string{"/", "//", ".", "..", "a", "b.", "..."})
	rapid.Check(t, func(t *rapid.T) {
		p := "/" + strings.Join(rapid.SliceOfN(part, 0, 12).Draw(t, "parts"), "")
		clean, dots := cleanPath(p)
		bare := clean
		if bare != "/" {
			bare = strings.TrimSuffix(bare, "/")
		}
		if path.Clean(p) != bare {
			t.Fatalf("%s became %s", p, clean)
		}
		again, more := cleanPath(clean)
		if again != clean || more {
			t.Fatalf("%s became %s became %s", p, clean, again)
		}
		if strings.HasSuffix(p, "/") && !strings.HasSuffix(clean, "/") {
			t.Fatalf("folder %s became %s", p, clean)
		}
		segments := strings.Split(p, "/")
		has := false
		for _, s := range segments {
			has = has || s == "." || s == ".."
		}
		if dots != has {
			t.Fatalf("%s: dots %v", p, dots)
		}
	})
}

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
		asked := "/" + strings.Repeat("x", maxMatched-1)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.process(asked)
			}
		})
	}
}

func TestAnExpressionWeighsAboutWhatItCompilesTo(t *testing.T) {
	for _, text := range []string{
		"x", "^/users/[0-9]+/hook$", "a|b|cd|e.*f", "(x?){50}y", "((ab){2,5}c){1,7}", "(?i)straße\\pL{3,}", "", "a{0}", "(a|b*){3}",
	} {
		tree, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := syntax.Compile(tree.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		if is, said := len(compiled.Inst), weigh(tree); said < is/2-2 || said > 2*is {
			t.Errorf("%s weighs %d, compiles to %d", text, said, is)
		}
	}
	tree, err := syntax.Parse("((x{1000}y)z)"+strings.Repeat("(x{900}y{900})", 60), syntax.Perl)
	if err != nil {
		t.Fatal(err)
	}
	if weigh(tree) <= maxWeight {
		t.Error("a huge one is light")
	}
}

func manyExpressions() (patterns []string) {
	for range maxWeight / 3 {
		patterns = append(patterns, "~ x+y")
	}
	return patterns
}
