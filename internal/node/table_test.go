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

func TestATableWithABadRowIsRefusedWhole(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	up := w.up("blog", 1, 1)
	shop := &platform.Route{App: "shop", Hosts: []string{"shop.localhost"}, Release: 1, Backends: []platform.Backend{{Instance: up[0].ID}}}
	shop.Edge.Balance.Sticky = "moon"
	if _, err := w.fleet.SetRoute("shop", shop); err != nil {
		t.Fatal(err)
	}
	w.problem("refused", "app shop", "balance.sticky")
	// What is well comes with what is not, and waits for it.
	also := &platform.Route{App: "wiki", Hosts: []string{"wiki.localhost"}, Release: 1, Backends: []platform.Backend{{Instance: up[0].ID}}}
	if _, err := w.fleet.SetRoute("wiki", also); err != nil {
		t.Fatal(err)
	}
	if body := w.mustGet("blog", "/"); !strings.HasPrefix(body, "v1 ") {
		t.Errorf("it answered %q", body)
	}
	for _, app := range []string{"shop", "wiki"} {
		if status, _ := w.get(app, "/"); status != http.StatusNotFound {
			t.Errorf("%s answers %d", app, status)
		}
	}
	// So it is after a successor has begun, which reads what was kept.
	w.node()
	w.problem("refused", "app shop")
	if body := w.mustGet("blog", "/"); !strings.HasPrefix(body, "v1 ") {
		t.Errorf("it answered %q", body)
	}
	shop.Edge.Balance.Sticky = "cookie"
	version, err := w.fleet.SetRoute("shop", shop)
	if err != nil {
		t.Fatal(err)
	}
	w.acked(version)
	w.problem()
	for _, app := range []string{"shop", "wiki"} {
		if body := w.mustGet(app, "/"); !strings.HasPrefix(body, "v1 ") {
			t.Errorf("%s answered %q", app, body)
		}
	}
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

func TestAStateOfANewerFormatOrOfNoneIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(string) string
		want   string
	}{
		"newer":     {func(s string) string { return strings.Replace(s, `"format":1`, `"format":2`, 1) }, "format 2"},
		"no JSON":   {func(s string) string { return strings.Replace(s, `{`, `{{`, 1) }, "cannot be read"},
		"of a kind": {func(s string) string { return strings.Replace(s, `"release":2`, `"release":"two"`, 1) }, "cannot be read"},
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
			if body := w.mustGet("blog", "/"); !strings.HasPrefix(body, "v1 ") {
				t.Errorf("it answered %q", body)
			}
			if status, _ := w.get("news", "/"); status != http.StatusNotFound {
				t.Errorf("the new host answers %d", status)
			}
			restore()
			w.acked(version)
			w.problem()
			if body := w.mustGet("news", "/"); !strings.HasPrefix(body, "v1 ") {
				t.Errorf("it answered %q", body)
			}
		})
	}
}
