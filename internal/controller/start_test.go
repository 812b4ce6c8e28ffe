package controller_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// idle adds so many apps of ann that serve with one instance each, as rows.
func (p *place) idle(n int) (ids []string) {
	ann := p.user("ann")
	p.write(func(tx *store.Tx) error {
		ids = nil
		for i := range n {
			id := fmt.Sprintf("app-%d", i)
			ids = append(ids, id)
			if err := served(tx, ann.User, id); err != nil {
				return err
			}
		}
		return nil
	})
	return ids
}

// served writes the rows of an app that serves release v1.
func served(tx *store.Tx, owner, id string) error {
	build := platform.Build{UUID: "build of " + id, App: id, Owner: owner, Image: id + "@sha256:0", Procfile: map[string]string{"web": "true"}}
	for _, insert := range []func() error{
		func() error {
			return tx.InsertApp(platform.App{UUID: id, ID: id, Owner: owner, Formation: map[string]int{"web": 1}})
		},
		func() error { return tx.InsertConfig(platform.Config{UUID: "config of " + id, App: id, Owner: owner}) },
		func() error { return tx.InsertBuild(build) },
		func() error {
			_, err := tx.InsertRelease(platform.Release{UUID: "release of " + id, App: id, Owner: owner, Config: "config of " + id, Build: build.UUID, State: platform.ReleaseSucceeded})
			return err
		},
		func() error {
			return tx.PutSettings(platform.Settings{UUID: "settings of " + id, App: id, Owner: owner, Routable: true})
		},
		func() error { return tx.PutTLS(platform.TLS{UUID: "tls of " + id, App: id, Owner: owner}) },
		func() error { return tx.InsertDomain(platform.Domain{Domain: id, App: id, Owner: owner}) },
	} {
		if err := insert(); err != nil {
			return err
		}
	}
	return nil
}

// restart is a start of the control plane over what is there. It returns when
// every app was looked at, and how many lanes it saw at a time for that.
func (p *place) restart() (most int) {
	p.Close()
	p.start()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		lanes, all := p.Looking()
		if most = max(most, lanes); all {
			return most
		}
		<-tick.C
	}
}

func TestTheFirstPassOverManyAppsLooksAtAFewAtATime(t *testing.T) {
	p := open(t, controller.Options{})
	apps := p.idle(300)
	if most := p.restart(); most == 0 || most > 2*controller.FirstLanes { // some have looked and are leaving
		t.Errorf("%d lanes at a time", most)
	}
	for _, app := range apps {
		if specs, _ := p.fleet.Wanted(app); len(specs) != 1 || p.fleet.Route(app) == nil {
			t.Fatalf("%s: %d instances are wanted, the route is %v", app, len(specs), p.fleet.Route(app))
		}
	}
}

func BenchmarkAStartWith10000IdleApps(b *testing.B) {
	p := open(b, controller.Options{})
	p.idle(10_000)
	p.restart() // the one that asks for everything
	for b.Loop() {
		p.restart()
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(memory.Sys)/1e6, "MB-process")
}
