package router

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/platform"
)

// placed is an app of so many instances.
func placed(tb testing.TB, n int) (*Router, *app) {
	tb.Helper()
	r := New(slog.New(slog.DiscardHandler), Options{})
	rt := platform.Route{App: "blog", Hosts: []string{"blog.test"}, Release: 1}
	for i := range n {
		id := string(rune('a'+i%26)) + string(rune('a'+i/26))
		rt.Backends = append(rt.Backends, platform.Backend{Instance: id})
		r.SetInstance(id, "127.0.0.1:1", true)
	}
	r.SetRoute("blog", &rt)
	return r, r.apps["blog"]
}

func TestAnInstanceIsChosenWithoutAllocating(t *testing.T) {
	r, a := placed(t, 10)
	v := visit{client: "10.0.0.1", router: r, app: a}
	if n := testing.AllocsPerRun(1000, func() { choose(r, a, &v) }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func choose(r *Router, a *app, v *visit) {
	_, at, _ := a.acquire(r.now(), nil, nil, v)
	at.inst.door.leave()
	at.entry.Undo()
}

func BenchmarkAcquire(b *testing.B) {
	r, a := placed(b, 10)
	v := visit{client: "10.0.0.1", router: r, app: a}
	b.ReportAllocs()
	for b.Loop() {
		choose(r, a, &v)
	}
}

func TestNoClientHasAnInstanceThoughtBad(t *testing.T) {
	for _, err := range []error{errGone, errClient, errSlow, errTooLarge} {
		if got := resultOf(fmt.Errorf("%w: more", err)); got != balance.Unknown {
			t.Errorf("%v: %v", err, got)
		}
	}
}
