package node_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestABadReleaseIsLedBackWithoutTheControlPlaneAndStaysSo(t *testing.T) {
	w := newWorld(t)
	first := w.node()
	one := platform.Group{Release: 1, Process: "web", Quantity: 1, Spec: w.spec("one", "exec ./server")}
	two := platform.Group{Release: 2, Process: "web", Quantity: 1, Spec: w.spec("two", "exec ./server")}
	w.apply("blog", one)
	w.route("blog", 1, w.up("blog", 1, 1))
	w.apply("blog", one, two)
	w.cutover++
	route := &platform.Route{
		App: "blog", Hosts: []string{"blog.localhost"}, Release: 2, Cutover: w.cutover,
		Shift: &platform.Shift{
			Step: 1, From: 1, Weight: platform.Whole,
			Budget: &platform.Budget{Failures: 0.05, Least: 3, Latency: time.Second, Judged: 20},
		},
		Backends: []platform.Backend{{Instance: w.up("blog", 2, 1)[0].ID}, {Instance: w.up("blog", 1, 1)[0].ID, Release: 1}},
	}
	version, err := w.fleet.SetRoute("blog", route)
	if err != nil {
		t.Fatal(err)
	}
	w.acked(version)
	if got := w.mustGet("blog", "/"); !strings.HasPrefix(got, "two ") {
		t.Fatalf("it answered %q", got)
	}

	w.crash()
	w.mustGet("blog", "/bad")
	deadline := time.Now().Add(patience)
	for status, body := 0, ""; status != http.StatusOK || !strings.HasPrefix(body, "one "); {
		if time.Now().After(deadline) {
			t.Fatalf("it is not led back: %d %s", status, body)
		}
		status, body = w.get("blog", "/")
	}
	w.holds(w.path("node/apps/blog.json"), `"undone"`)
	first.kill()
	w.node()
	if got := w.mustGet("blog", "/"); !strings.HasPrefix(got, "one ") {
		t.Errorf("after the node's restart it answered %q", got)
	}

	w.begin()
	var told platform.CutoverReport
	w.heard("why it was led back", func() bool {
		told, _ = w.fleet.Cutover("blog", w.cutover)
		return told.Undone.Why != ""
	})
	if !strings.Contains(told.Undone.Why, "requests failed on v2") || told.Undone.Step != 1 || time.Since(told.Undone.At) > time.Hour {
		t.Errorf("it was told %+v", told.Undone)
	}
	// Its own word, once more, does not bring the release back.
	route.Shift.Step = 2
	if version, err = w.fleet.SetRoute("blog", route); err != nil {
		t.Fatal(err)
	}
	w.acked(version)
	if got := w.mustGet("blog", "/"); !strings.HasPrefix(got, "one ") {
		t.Errorf("the next step is answered by %q", got)
	}
}
