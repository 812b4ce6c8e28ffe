package platform_test

import (
	"regexp/syntax"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAnExpressionWeighsAboutWhatItCompilesTo(t *testing.T) {
	for _, text := range []string{
		"x", "^/users/[0-9]+/hook$", "a|b|cd|e.*f", "(x?){50}y", "((ab){2,5}c){1,7}", "(?i)straße\\pL{3,}", "", "a{0}", "(a|b*){3}",
	} {
		tree, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		said, err := platform.PathWeight(text)
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := syntax.Compile(tree.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		if is := len(compiled.Inst); said < is/2-2 || said > 2*is {
			t.Errorf("%s weighs %d, compiles to %d", text, said, is)
		}
	}
	if huge, err := platform.PathWeight("((x{1000}y)z)" + strings.Repeat("(x{900}y{900})", 60)); err != nil || huge <= platform.MaxPathWeight {
		t.Errorf("a huge one weighs %d, %v", huge, err)
	}
}
