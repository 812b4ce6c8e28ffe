package router_test

import (
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

func TestATableIsCheckedBeforeItIsSet(t *testing.T) {
	good := func() platform.Route { return *route("shop", 1, "127.0.0.1:1") }
	for name, c := range map[string]struct {
		change func(*platform.Route)
		want   string
	}{
		"nothing":     {func(*platform.Route) {}, ""},
		"a host":      {func(r *platform.Route) { r.Hosts = append(r.Hosts, "a b") }, `app shop: "a b" is no host name`},
		"a network":   {func(r *platform.Route) { r.Allow = []string{"10.0.0.0/99"} }, `"10.0.0.0/99" is no address`},
		"a rule":      {func(r *platform.Route) { r.Edge.Deny = []string{"nowhere"} }, "nowhere"},
		"a path":      {func(r *platform.Route) { r.Paths = []platform.PathRoute{{Process: "api", Patterns: []string{"~("}}} }, "is not led there"},
		"a strategy":  {func(r *platform.Route) { r.Edge.Balance.Sticky = "moon" }, "balance.sticky"},
		"a profile":   {func(r *platform.Route) { r.Edge.TLS = "ancient" }, "ancient"},
		"a protocol":  {func(r *platform.Route) { r.Edge.Protocol = "gopher" }, "protocol"},
		"authorities": {func(r *platform.Route) { r.Edge.Clients = &platform.ClientCerts{CA: "nobody"} }, "nobody is let in"},
		"a canary": {func(r *platform.Route) {
			r.Shift = &platform.Shift{Canary: []platform.Condition{{Header: "a b", Value: "~("}}}
		}, "canary"},
		"no name": {func(r *platform.Route) { r.App = "" }, "no name"},
	} {
		rt := good()
		c.change(&rt)
		err := router.Check([]platform.Route{*route("blog", 1), rt}, nil)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	cert := selfSigned(t, "blog.test")
	if err := router.Check(nil, []platform.EdgeCertificate{cert}); err != nil {
		t.Error(err)
	}
	cert.Key = selfSigned(t, "blog.test").Key
	if err := router.Check(nil, []platform.EdgeCertificate{cert}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a key of another certificate: %v", err)
	}
}
