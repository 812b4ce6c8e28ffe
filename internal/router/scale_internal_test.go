package router

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

// BenchmarkSetRoute is the cost of one shift, and of one new app, among many.
func BenchmarkSetRoute(b *testing.B) {
	for _, apps := range []int{10, 10_000} {
		r := New(slog.New(slog.DiscardHandler), Options{})
		route := func(i, release int) *platform.Route {
			name := fmt.Sprintf("app-%d", i)
			return &platform.Route{
				App: name, Hosts: []string{name + ".test"}, Release: release,
				Backends: []platform.Backend{{Instance: fmt.Sprintf("%s-%d", name, release), Address: "127.0.0.1:1"}},
			}
		}
		for i := range apps {
			r.SetRoute(fmt.Sprintf("app-%d", i), route(i, 1))
		}
		b.Run(fmt.Sprintf("shift/%d", apps), func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				r.SetRoute("app-5", route(5, n))
			}
		})
		b.Run(fmt.Sprintf("new/%d", apps), func(b *testing.B) {
			for b.Loop() {
				r.SetRoute("app-5", nil)
				r.SetRoute("app-5", route(5, 1))
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
