package node_test

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/node"
	"github.com/slipway-paas/slipway/internal/platform"
)

// problem waits until the node says something that has all of the words, or
// with none until it says nothing of its table.
func (w *world) problem(words ...string) {
	w.Helper()
	var info node.Info
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var err error
		if info, err = node.Status(w.Context(), w.path("node/node.sock")); err != nil {
			w.Fatal(err)
		}
		said := strings.Join(info.Problems, "\n")
		fits := len(words) > 0 || !strings.Contains(said, "was refused")
		for _, word := range words {
			fits = fits && strings.Contains(said, word)
		}
		if fits {
			return
		}
	}
	w.Fatalf("the node says %q, want %q", info.Problems, words)
}

func TestWhatIsBadOfATableIsRefusedAndHoldsUpNobodyElse(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	w.deploy("shop", 1, w.spec("v1", "exec ./server"), 1)
	w.cutover++
	good := w.fleet.Route("shop")
	bad := *good
	bad.Cutover, bad.Hosts = w.cutover, []string{"shop.localhost", "store.localhost"}
	bad.Edge.Balance.Sticky = "moon"
	version, err := w.fleet.SetRoute("shop", &bad)
	if err != nil {
		t.Fatal(err)
	}
	w.acked(version) // what else it says is so
	if why := w.fleet.Refused("shop", version); !strings.Contains(why, "balance.sticky") {
		t.Errorf("it is said to be refused for %q", why)
	}
	w.said("shop", func(line string) bool {
		return strings.Contains(line, "refused") && strings.Contains(line, "balance.sticky")
	})
	refused := func() {
		t.Helper()
		w.problem("refused", "app shop", "balance.sticky")
		status, err := node.EdgeStatus(t.Context(), w.path("node/node.sock"), "shop")
		if err != nil || !strings.Contains(status.Refused, "balance.sticky") {
			t.Errorf("its status is %q, %v", status.Refused, err)
		}
		if status, err := node.EdgeStatus(t.Context(), w.path("node/node.sock"), "blog"); err != nil || status.Refused != "" {
			t.Errorf("another's is %q, %v", status.Refused, err)
		}
		w.says("shop", "v1")
		if status, _ := w.get("store", "/"); status != http.StatusNotFound {
			t.Errorf("its new host answers %d", status)
		}
	}
	refused()
	w.deploy("blog", 2, w.spec("v2", "exec ./server"), 1) // nobody waits for it
	if body := w.mustGet("blog", "/"); !strings.HasPrefix(body, "v2 ") {
		t.Errorf("another app answered %q", body)
	}
	// A release that takes its instances away leaves those that its routes lead to.
	w.apply("shop", platform.Group{Release: 2, Process: "web", Quantity: 1, Spec: w.spec("v2", "exec ./server")})
	next := w.up("shop", 2, 1)
	refused()
	w.node() // which reads what was kept, and is told again
	refused()
	w.deploy("wiki", 1, w.spec("v1", "exec ./server"), 1)

	mended := bad
	mended.Edge.Balance.Sticky, mended.Release, mended.Backends = "cookie", 2, []platform.Backend{{Instance: next[0].ID}}
	if version, err = w.fleet.SetRoute("shop", &mended); err != nil {
		t.Fatal(err)
	}
	w.acked(version)
	w.problem()
	if why := w.fleet.Refused("shop", 0); why != "" {
		t.Errorf("it is still refused: %s", why)
	}
	for _, host := range []string{"shop", "store"} {
		if body := w.mustGet(host, "/"); !strings.HasPrefix(body, "v2 ") {
			t.Errorf("%s answered %q", host, body)
		}
	}
	w.said("shop", func(line string) bool { return strings.Contains(line, "again as they shall be") })
	w.await("shop", "the old instance to go", func(all []platform.Instance) []platform.Instance {
		if len(all) == 1 {
			return all
		}
		return nil
	})
}

func TestAnAppThatIsScaledToNothingIsNotKeptByARefusedRoute(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.deploy("shop", 1, w.spec("v1", "exec ./server"), 1)
	bad := *w.fleet.Route("shop")
	bad.Backends, bad.Edge.Balance.Sticky = nil, "moon"
	version, err := w.fleet.SetRoute("shop", &bad)
	if err != nil {
		t.Fatal(err)
	}
	w.acked(version)
	w.apply("shop")
	w.await("shop", "its instance to go", func(all []platform.Instance) []platform.Instance {
		if len(all) == 0 {
			return []platform.Instance{}
		}
		return nil
	})
}

func TestABadCertificateIsRefusedAlone(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	all := w.shows("one", "two")
	good, other := *all["upload/one"], *all["upload/two"]
	all["upload/one"].Key = other.Key
	w.certify(all)
	w.problem("refused", "upload/one", "certificate")
	w.proves(map[string]bool{"one": true, "two": true})
	w.deploy("blog", 2, w.spec("v2", "exec ./server"), 1)
	w.certify(map[string]*platform.EdgeCertificate{"upload/one": &good})
	w.problem()
}

// garbled changes what the control plane says of its state, while it wants to.
func (w *world) garbled(change func(string) string) (restore func()) {
	plain := w.server.Handler
	var on atomic.Bool
	on.Store(true)
	_ = w.server.Close()
	_ = os.Remove(w.path("c.sock"))
	ln, err := net.Listen("unix", w.path("c.sock"))
	if err != nil {
		w.Fatal(err)
	}
	w.server = &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !on.Load() || !strings.HasSuffix(r.URL.Path, "/state") {
			plain.ServeHTTP(rw, r)
			return
		}
		said := httptest.NewRecorder()
		plain.ServeHTTP(said, r)
		maps.Copy(rw.Header(), said.Header())
		rw.WriteHeader(said.Code)
		_, _ = io.WriteString(rw, change(said.Body.String()))
	})}
	go w.server.Serve(ln)
	return func() { on.Store(false) }
}

func TestAnAppOfANewerFormatOrOfNoneIsRefusedAlone(t *testing.T) {
	for name, c := range map[string]struct {
		change func(string) string
		want   string
	}{
		"newer":     {func(s string) string { return strings.ReplaceAll(s, `{"app":"blog",`, `{"app":"blog","format":2,`) }, "format 2"},
		"of a kind": {func(s string) string { return strings.ReplaceAll(s, `"release":2`, `"release":"two"`) }, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.node()
			w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
			w.deploy("wiki", 1, w.spec("v1", "exec ./server"), 1)
			up := w.up("blog", 1, 1)
			restore := w.garbled(c.change)
			route := &platform.Route{App: "blog", Hosts: []string{"blog.localhost", "news.localhost"}, Release: 2, Backends: []platform.Backend{{Instance: up[0].ID}}}
			version, err := w.fleet.SetRoute("blog", route)
			if err != nil {
				t.Fatal(err)
			}
			w.acked(version)
			w.problem("refused", "blog", c.want)
			if status, _ := w.get("news", "/"); status != http.StatusNotFound {
				t.Errorf("the new host answers %d", status)
			}
			if w.mustGet("blog", "/"); !strings.Contains(w.fleet.Refused("blog", version), c.want) {
				t.Errorf("it is said to be refused for %q", w.fleet.Refused("blog", version))
			}
			w.deploy("wiki", 3, w.spec("v3", "exec ./server"), 1)
			restore()
			w.node() // of a version that knows of it, say
			w.serves("news")
			w.problem()
		})
	}
}

func TestAStateOfANewerFormatOrOfNoneIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(string) string
		want   string
	}{
		"newer":     {func(s string) string { return strings.Replace(s, `"format":1`, `"format":2`, 1) }, "format 2"},
		"no JSON":   {func(s string) string { return strings.Replace(s, `{`, `{{`, 1) }, "cannot be read"},
		"of a kind": {func(s string) string { return strings.Replace(s, `"version":`, `"version":"two","was":`, 1) }, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.node()
			w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
			up := w.up("blog", 1, 1)
			restore := w.garbled(c.change)
			route := &platform.Route{App: "blog", Hosts: []string{"blog.localhost", "news.localhost"}, Release: 2, Backends: []platform.Backend{{Instance: up[0].ID}}}
			version, err := w.fleet.SetRoute("blog", route)
			if err != nil {
				t.Fatal(err)
			}
			w.problem("refused", c.want)
			w.says("blog", "v1")
			if status, _ := w.get("news", "/"); status != http.StatusNotFound {
				t.Errorf("the new host answers %d", status)
			}
			restore()
			w.acked(version)
			w.problem()
			w.says("news", "v1")
		})
	}
}
