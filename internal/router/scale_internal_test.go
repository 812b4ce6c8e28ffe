package router

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func benchRoute(i, release int) *platform.Route {
	name := fmt.Sprintf("app-%d", i)
	return &platform.Route{
		App: name, Hosts: []string{name + ".test"}, Release: release, Cutover: int64(release),
		Backends: []platform.Backend{{Instance: fmt.Sprintf("%s-%d", name, release), Address: "127.0.0.1:1"}},
	}
}

// BenchmarkSetRoute is the cost of one shift, of one app that goes and comes,
// of a report of the counts, and of one request's look-up, among many.
func BenchmarkSetRoute(b *testing.B) {
	for _, apps := range []int{10, 1_000, 100_000} {
		r := New(slog.New(slog.DiscardHandler), Options{})
		for i := range apps {
			r.SetRoute(fmt.Sprintf("app-%d", i), benchRoute(i, 1))
		}
		for _, a := range r.young { // a minute later
			a.young = false
		}
		r.young = nil
		b.Run(fmt.Sprintf("shift/%d", apps), func(b *testing.B) {
			b.ReportAllocs()
			for n := 2; b.Loop(); n++ {
				r.SetRoute("app-5", benchRoute(5, n))
			}
		})
		b.Run(fmt.Sprintf("new/%d", apps), func(b *testing.B) {
			for b.Loop() {
				r.SetRoute("app-5", nil)
				r.SetRoute("app-5", benchRoute(5, 1))
			}
		})
		b.Run(fmt.Sprintf("count/%d", apps), func(b *testing.B) {
			for b.Loop() {
				r.Cutovers()
			}
		})
		b.Run(fmt.Sprintf("find/%d", apps), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r.find("app-7.test") == nil {
					b.Fatal("not found")
				}
			}
		})
		r.Close()
	}
}
