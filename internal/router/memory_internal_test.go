//go:build !race

// The race detector needs memory of its own.

package router

import (
	"fmt"
	"log/slog"
	"runtime"
	"testing"
)

// heap is what is in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestARouteThatNobodyAskedForIsSmall(t *testing.T) {
	const routes = 20_000
	for _, c := range []struct {
		cutover int64
		most    int64 // bytes of each, its names included
	}{{0, 1050}, {1, 1420}} {
		r := New(slog.New(slog.DiscardHandler), Options{})
		before := heap()
		for i := range routes {
			wish := benchRoute(i, 1)
			wish.Cutover = c.cutover
			r.SetRoute(fmt.Sprintf("app-%d", i), wish)
		}
		if each := (heap() - before) / routes; each > c.most {
			t.Errorf("with cutover %d a route takes %d bytes, more than %d", c.cutover, each, c.most)
		} else {
			t.Logf("with cutover %d: %d bytes", c.cutover, each)
		}
		r.Close()
	}
}
