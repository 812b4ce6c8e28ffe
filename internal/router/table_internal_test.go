package router

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestTheLastToClaimANameHoldsIt compares claims with a list of who began when.
func TestTheLastToClaimANameHoldsIt(t *testing.T) {
	names := []string{"a.test", "*.a.test", "b.a.test", "*.test", "c.b.a.test"}
	rapid.Check(t, func(t *rapid.T) {
		var table claims[*app]
		apps := []*app{{name: "one"}, {name: "two"}, {name: "three"}}
		began := map[string][]*app{}
		for range rapid.IntRange(1, 40).Draw(t, "changes") {
			name := rapid.SampledFrom(names).Draw(t, "name")
			who := rapid.SampledFrom(apps).Draw(t, "app")
			if rapid.Bool().Draw(t, "take") {
				table.take(name, who)
				if !slices.Contains(began[name], who) {
					began[name] = append(began[name], who)
				}
			} else {
				table.leave(name, who)
				began[name] = slices.DeleteFunc(began[name], func(a *app) bool { return a == who })
			}
			for host, chain := range map[string][]string{
				"a.test": {"a.test", "*.test"}, "b.a.test": {"b.a.test", "*.a.test", "*.test"}, "test": {},
				"c.b.a.test": {"c.b.a.test", "*.a.test", "*.test"}, "x.test": {"*.test"},
			} {
				var want *app
				for _, pattern := range slices.Backward(chain) {
					if n := len(began[pattern]); n > 0 {
						want = began[pattern][n-1]
					}
				}
				if got, ok := table.lookup(host); got != want || ok != (want != nil) {
					t.Fatalf("%s leads to %v, want %v", host, got, want)
				}
			}
		}
		for name, all := range began {
			for _, who := range slices.Clone(all) {
				table.leave(name, who)
			}
		}
		if len(table.rivals) != 0 || table.wild.Load() != 0 {
			t.Fatalf("left behind: %v, %d wildcards", table.rivals, table.wild.Load())
		}
	})
}
