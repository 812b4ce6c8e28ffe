package node_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAnEjectedInstanceStaysSoAcrossAnUpgrade(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 2)
	w.mustGet("blog", "/bad") // one of them
	failing := func(requests int) (failed int) {
		for range requests {
			if status, _ := w.get("blog", "/"); status != http.StatusOK {
				failed++
			}
		}
		return failed
	}
	begun := time.Now()
	for failed := 0; failed < 5; {
		failed += failing(1)
	}
	w.node()
	if failed := failing(40); failed > 1+ejections(begun) {
		t.Errorf("%d of 40 requests went to the instance that was ejected", failed)
	}
}

// ejections is how many can have been over since then: after each, one request
// finds out. The first is the shortest.
func ejections(since time.Time) int { return int(time.Since(since) / (5 * time.Second)) }

func TestACutoverLosesNoCountOverUpgrades(t *testing.T) {
	w := newWorld(t)
	w.node()
	one := platform.Group{Release: 1, Process: "web", Quantity: 1, Spec: w.spec("one", "exec ./server")}
	two := platform.Group{Release: 2, Process: "web", Quantity: 1, Spec: w.spec("two", "exec ./server")}
	w.apply("blog", one)
	w.route("blog", 1, w.up("blog", 1, 1))
	w.apply("blog", one, two)
	w.cutover++
	version, err := w.fleet.SetRoute("blog", &platform.Route{
		App: "blog", Hosts: []string{"blog.localhost"}, Release: 2, Cutover: w.cutover,
		Shift:    &platform.Shift{Step: 1, From: 1, Weight: platform.Whole},
		Backends: []platform.Backend{{Instance: w.up("blog", 2, 1)[0].ID}, {Instance: w.up("blog", 1, 1)[0].ID, Release: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.acked(version)
	stop := w.load("blog", 1)
	slow, g := w.line(), w.gate()
	for range 2 {
		slow.ask("blog", g.path()) // it ends in the node before
		under := w.arrived(g)
		w.node()
		open(under)
		slow.answer()
	}
	sent, failed := stop()
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %.20q", len(failed), sent, failed)
	}
	want := int64(sent) + 2
	w.heard(fmt.Sprintf("the count of %d requests", want), func() bool {
		c, _ := w.fleet.Cutover("blog", w.cutover)
		return c.Requests == want && c.ToRequests == want && c.New.Requests == want
	})
}
