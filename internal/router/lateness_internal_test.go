package router

import (
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/slipway-paas/slipway/internal/overload"
)

// Of ten that never pause each has the only processor for ten milliseconds, so
// what is ready waits for a tenth of a second.
func TestARouterWhoseProcessorIsTakenIsLate(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r := New(slog.New(slog.DiscardHandler), Options{})
	defer r.Close()
	for range fewOpen {
		r.open.enter()
	}
	var over atomic.Bool
	for range 10 {
		go func() { // ends with over
			for !over.Load() {
			}
		}()
	}
	for r.lateness() <= overload.DefaultLag {
		runtime.Gosched()
	}
	over.Store(true)
	for lag := r.lateness(); lag == overload.Unknown || lag > overload.DefaultLag; lag = r.lateness() {
		runtime.Gosched()
	}
	r.open.leave()
	if lag := r.lateness(); lag != 0 {
		t.Errorf("with less to do than makes a router late it is late by %v", lag)
	}
}
