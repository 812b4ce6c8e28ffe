package match_test

import (
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-paas/slipway/internal/match"
)

func TestACleanPathHasNoDotsAndStaysAFolder(t *testing.T) {
	part := rapid.SampledFrom([]string{"/", "//", ".", "..", "a", "b.", "..."})
	rapid.Check(t, func(t *rapid.T) {
		p := "/" + strings.Join(rapid.SliceOfN(part, 0, 12).Draw(t, "parts"), "")
		clean, dots := match.CleanPath(p)
		bare := clean
		if bare != "/" {
			bare = strings.TrimSuffix(bare, "/")
		}
		if path.Clean(p) != bare {
			t.Fatalf("%s became %s", p, clean)
		}
		again, more := match.CleanPath(clean)
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
