package router_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/router"
)

func TestARouterWithLittleToDoLeavesProcessorsIdle(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) }) // once the router has ended
	e := serve(t, router.Options{Loops: 1, Processors: 4})
	e.SetRoute("blog", route("blog", 1, backend(t, says("v1"))))
	for runtime.GOMAXPROCS(0) != 2 {
		e.get("blog.test")
		time.Sleep(5 * time.Millisecond) // that is little
	}
	for runtime.GOMAXPROCS(0) != 5 { // nobody asks for anything
		time.Sleep(5 * time.Millisecond)
	}
	if got := e.get("blog.test"); got.body != "v1" {
		t.Errorf("got %q", got.body)
	}
}
