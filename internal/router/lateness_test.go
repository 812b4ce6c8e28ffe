package router_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/router"
)

// Ten things stand in line, each of which takes ten milliseconds of the loop.
func TestARouterWhoseLoopIsFullTurnsRequestsAwayUntilItIsNot(t *testing.T) {
	// It looks every 10 ms how late it is, and nothing tells it.
	e := serve(t, router.Options{Loops: 1, HeaderTimeout: time.Minute, Quiet: 40 * time.Millisecond})
	letGo := e.hold(256) // or it would not be its own load that makes it late
	rt := route("shop", 1, backend(t, says("fine")))
	rt.Edge = classed()
	e.SetRoute("shop", rt)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 30}}
	t.Cleanup(client.CloseIdleConnections)
	var refused atomic.Bool
	var all sync.WaitGroup
	end := e.Fill(10, 10*time.Millisecond)
	for range 30 {
		all.Go(func() {
			for !refused.Load() {
				if e.askClass(client, "shop", "background") != http.StatusOK {
					refused.Store(true)
				}
			}
		})
	}
	all.Wait()
	end()
	letGo()
	for e.Sheds() {
		e.askClass(client, "shop", "background")
	}
	if status := e.askClass(client, "shop", "background"); status != http.StatusOK {
		t.Errorf("a request when the router is in time: %d", status)
	}
	shed := e.Snapshot().Shed
	for _, s := range shed {
		if s.App != "shop" || s.Class != "background" || s.Reason != "router" {
			t.Errorf("counted: %+v", s)
		}
	}
	if len(shed) == 0 {
		t.Error("who was turned away was not for the router's sake")
	}
}

// hold has as many requests under way until the function it returns is called.
func (e *edge) hold(n int) (letGo func()) {
	begun, end := make(chan struct{}, n), make(chan struct{})
	e.SetRoute("slow", route("slow", 1, backend(e.t, func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-end
	})))
	client := &http.Client{Transport: &http.Transport{}}
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if status := e.askClass(client, "slow", "normal"); status != http.StatusOK {
				e.t.Errorf("a request that is held: %d", status)
			}
		})
	}
	for range n {
		<-begun
	}
	return func() {
		close(end)
		all.Wait()
		client.CloseIdleConnections()
	}
}
