package controller_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

func edgePatch(t *testing.T, text string) platform.EdgePatch {
	t.Helper()
	patch, err := platform.ParseEdgePatch([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return patch
}

func TestAnEdgeIsPatchedAtTheRoutersBeforeTheAnswerAndInTheAuditTrail(t *testing.T) {
	p := open(t, controller.Options{})
	bob := p.user("bob")
	p.app(bob, "blog")
	answered := must(p.PatchEdge(t.Context(), bob, "blog", edgePatch(t,
		`{"timeouts":{"answer":"30s"},"auth":{"users":{"eve":"correct horse"}},"pages":{"404":"<p>gone"},"deny":["10.0.0.1/8"],"max_body":"1M"}`)))(t)
	routed := p.fleet.Route("blog").Edge
	if routed.Timeouts.Answer != 30*time.Second || !slices.Equal(routed.Deny, []string{"10.0.0.0/8"}) || !platform.VerifyPassword(routed.Auth.Users["eve"], "correct horse") {
		t.Errorf("the route has %+v", routed)
	}
	if shown := must(p.Edge(t.Context(), bob, "blog"))(t); shown.Auth.Users["eve"] != platform.Masked || !platform.Same(shown, answered) {
		t.Errorf("answered %+v, shown %+v", answered, shown)
	}
	_, err := p.PatchEdge(t.Context(), bob, "blog", edgePatch(t, `{"max_body":"1024K","auth":{"users":{"eve":"********"}}}`))
	says(t, err, platform.ErrConflict, "bob changed nothing")
	_, err = p.PatchEdge(t.Context(), bob, "blog", edgePatch(t, `{"proxy":9}`))
	says(t, err, platform.ErrInvalid, "proxy: 9 is not between 0 and 2.")
	must(p.PatchEdge(t.Context(), bob, "blog", edgePatch(t, `{"timeouts":null,"auth":null}`)))(t)
	if routed := p.fleet.Route("blog").Edge; routed.Auth != nil || routed.Timeouts.Answer != 0 || routed.MaxBody != 1<<20 {
		t.Errorf("the route has %+v", routed)
	}
	if err := p.ResetEdge(t.Context(), bob, "blog"); err != nil {
		t.Fatal(err)
	}
	if routed := p.fleet.Route("blog").Edge; !platform.Same(routed, platform.Edge{}) {
		t.Errorf("the route has %+v", routed)
	}
	says(t, p.ResetEdge(t.Context(), bob, "blog"), platform.ErrConflict, "bob changed nothing")
	events := slices.DeleteFunc(p.eventsOf("blog"), func(line string) bool { return !strings.HasPrefix(line, "edge.") })
	want := []string{
		`edge.changed bob auth=eve deny=["10.0.0.0/8"] max_body=1M pages=404 timeouts={"answer":"30s"}`,
		"edge.changed bob auth= timeouts=", "edge.changed bob deny= max_body= pages=",
	}
	if !slices.Equal(events, want) {
		t.Errorf("the audit trail has\n%s\nwant\n%s", strings.Join(events, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatRoutersCouldNotHaveIsNotWritten(t *testing.T) {
	p := open(t, controller.Options{CheckRoute: func(r platform.Route) error {
		if slices.Contains(r.Hosts, "bad.example.com") || slices.Contains(r.Edge.Deny, "10.9.0.0/16") || len(r.Paths) > 0 {
			return errors.New("no router knows it")
		}
		return nil
	}})
	bob := p.user("bob")
	p.app(bob, "blog")
	_, err := p.PatchEdge(t.Context(), bob, "blog", edgePatch(t, `{"deny":["10.9.0.0/16"]}`))
	says(t, err, platform.ErrInvalid, "(edge): routers cannot have that: no router knows it")
	_, err = p.AddDomain(t.Context(), bob, "blog", "bad.example.com")
	says(t, err, platform.ErrInvalid, "(edge): routers cannot have that: no router knows it")
	_, err = p.SetService(t.Context(), bob, "blog", "api", "/api")
	says(t, err, platform.ErrInvalid, "(edge): routers cannot have that: no router knows it")
	if shown := must(p.Edge(t.Context(), bob, "blog"))(t); !platform.Same(shown, platform.Edge{}) {
		t.Errorf("what was refused is there: %+v", shown)
	}
	must(p.AddDomain(t.Context(), bob, "blog", "good.example.com"))(t)
	if routed := p.fleet.Route("blog"); len(routed.Hosts) != 2 || len(routed.Paths) > 0 || len(routed.Edge.Deny) > 0 {
		t.Errorf("the route is %+v", routed)
	}
}

func TestTheOperatorsEdgeIsBelowATeamsAndFollowsARename(t *testing.T) {
	no := false
	p := open(t, controller.Options{
		Edge: platform.Edge{MaxBody: 5 << 20, Compress: []string{"gzip"}}, HTTPSOnly: true,
		Whitelist: []string{"192.0.2.0/24"}, DefaultApp: "lobby",
	})
	bob := p.user("bob")
	p.app(bob, "blog")
	must(p.PatchEdge(t.Context(), bob, "blog", edgePatch(t, `{"max_body":"1M","compress":["identity"]}`)))(t)
	must(p.AddWhitelist(t.Context(), bob, "blog", []string{"10.0.0.0/8"}))(t)
	route := p.fleet.Route("blog")
	if route.Edge.MaxBody != 1<<20 || route.Edge.Compress != nil || !route.HTTPSOnly || !slices.Equal(route.Allow, []string{"192.0.2.0/24", "10.0.0.0/8"}) || slices.Contains(route.Hosts, "*") {
		t.Errorf("the route is %+v", route)
	}
	must(p.SetTLS(t.Context(), bob, "blog", no))(t)
	const words = "id: lobby gets the requests for hosts that no app has; an administrator may give this id."
	if _, err := p.Rename(t.Context(), bob, "blog", "lobby"); err == nil || err.Error() != words {
		t.Errorf("bob renames his app to the default one: %v", err)
	}
	if _, err := p.CreateApp(t.Context(), bob, "lobby"); err == nil || err.Error() != words {
		t.Errorf("bob makes the default app: %v", err)
	}
	root := p.user("root")
	root.Admin = true
	must(p.Rename(t.Context(), root, "blog", "lobby"))(t)
	must(p.PatchEdge(t.Context(), bob, "lobby", edgePatch(t, `{"max_body":null}`)))(t)
	if route := p.fleet.Route("lobby"); route.Edge.MaxBody != 5<<20 || route.Edge.Compress != nil || route.HTTPSOnly || !slices.Contains(route.Hosts, "*") {
		t.Errorf("renamed, the route is %+v", route)
	}
}

func TestAViewerReadsAnEdgeAndChangesNone(t *testing.T) {
	p := open(t, controller.Options{WhitelistYields: true, Whitelist: []string{"192.0.2.0/24"}})
	bob, eve := p.user("bob"), p.user("eve")
	p.app(bob, "blog")
	if err := p.Grant(t.Context(), bob, "blog", "eve", platform.RoleViewer); err != nil {
		t.Fatal(err)
	}
	must(p.AddWhitelist(t.Context(), bob, "blog", []string{"10.0.0.0/8"}))(t)
	if allow := p.fleet.Route("blog").Allow; !slices.Equal(allow, []string{"10.0.0.0/8"}) {
		t.Errorf("a whitelist of its own is extended: %v", allow)
	}
	must(p.Edge(t.Context(), eve, "blog"))(t)
	if _, err := p.PatchEdge(t.Context(), eve, "blog", edgePatch(t, `{"max_body":"1M"}`)); err == nil {
		t.Error("a viewer may change it")
	}
	if err := p.ResetEdge(t.Context(), eve, "blog"); err == nil {
		t.Error("a viewer may take it away")
	}
}
