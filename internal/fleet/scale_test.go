package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/fleet"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

// wish is what a controller says of one app, made anew as a controller does.
func wish(n int) (app string, specs []platform.InstanceSpec, route *platform.Route) {
	app = fmt.Sprintf("app-%d", n)
	env := make(map[string]string)
	for v := range 12 {
		env[fmt.Sprintf("SETTING_%d", v)] = strings.Repeat("x", 40)
	}
	id := app + "-web-0123456789-abcde"
	specs = []platform.InstanceSpec{{ID: id, App: app, Process: "web", Release: 3, Spec: platform.Spec{
		Image: app + "@sha256:" + strings.Repeat("0", 64), Args: []string{"exec server"}, Env: env, Port: true,
		Readiness: &platform.Probe{HTTPGet: &platform.HTTPGet{Path: "/"}},
	}}}
	return app, specs, &platform.Route{
		App: app, Hosts: []string{app + ".example.com"}, Release: 3, Cutover: 3,
		Backends: []platform.Backend{{Instance: id}},
	}
}

func pass(t testing.TB, f *fleet.Fleet, apps int) {
	t.Helper()
	for n := range apps {
		app, specs, route := wish(n)
		_, err := f.SetInstances(app, specs)
		if err == nil {
			_, err = f.SetRoute(app, route)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func openSealed(t testing.TB, dir string, ring *secret.Ring) *fleet.Fleet {
	t.Helper()
	f, err := fleet.Open(slog.New(slog.DiscardHandler), fleet.Options{Dir: dir, Logs: new(shelf), Keys: ring})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAPassWithoutAChangeWritesNothingAndTellsNobody(t *testing.T) {
	dir, ring := t.TempDir(), secret.New()
	f := openSealed(t, dir, ring)
	pass(t, f, 3)
	f.Close()
	f = openSealed(t, dir, ring) // what was read back is the same
	defer f.Close()
	before := files(t, dir)
	version, err := f.SetRoute("app-2", f.Route("app-2"))
	if err != nil {
		t.Fatal(err)
	}
	pass(t, f, 3)
	if after := files(t, dir); !slices.Equal(before, after) {
		t.Errorf("files were %v and are %v", before, after)
	}
	n := &node{desk: &desk{T: t, Fleet: f, handler: f.Handler()}, id: "one"}
	n.hear()
	if n.since != version {
		t.Errorf("the version became %d, it was %d", n.since, version)
	}
}

// files are the inodes of all files: one that was put is another.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		all = append(all, fmt.Sprintf("%s %+v", path, info.Sys()))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// hear is news that are there for sure, however long they take to be said.
func (n *node) hear() platform.NodeState {
	n.Helper()
	answer := n.ask(http.MethodGet, fmt.Sprintf("state?node=%s&since=%d", n.id, n.since), nil)
	var state platform.NodeState
	if err := json.Unmarshal(answer.Body.Bytes(), &state); err != nil {
		n.Fatal(err)
	}
	n.since, n.epoch = state.Version, answer.Header().Get("Slipway-Epoch")
	return state
}

func TestANodeHearsOfManyAppsOnlyWhatChanged(t *testing.T) {
	f := openSealed(t, t.TempDir(), nil)
	defer f.Close()
	n := &node{desk: &desk{T: t, Fleet: f, handler: f.Handler()}, id: "one"}
	const many = 300 // the list of changes is put in order several times on the way
	pass(t, f, many)
	if got := n.hear(); len(got.Apps) != many {
		t.Fatalf("at first it heard of %d apps", len(got.Apps))
	}
	behind := *n
	for round := range 5 {
		for app := range many / 2 {
			name, _, route := wish(app)
			route.Cutover = int64(10 + round)
			if _, err := f.SetRoute(name, route); err != nil {
				t.Fatal(err)
			}
		}
		if got := n.hear(); got.Full || len(got.Apps) != many/2 {
			t.Fatalf("in round %d it heard %d apps, full: %t", round, len(got.Apps), got.Full)
		}
	}
	if _, err := f.Remove("app-0"); err != nil {
		t.Fatal(err)
	}
	got := behind.hear()
	if len(got.Apps) != many/2-1 || !slices.Equal(got.Removed, []string{"app-0"}) || got.Apps[0].Route.Cutover != 14 {
		t.Errorf("a node that was away heard of %d apps, %v", len(got.Apps), got.Removed)
	}
}

// BenchmarkTenThousandApps is what a controller's passes cost, and a change.
func BenchmarkTenThousandApps(b *testing.B) {
	const many = 10_000
	ring := secret.New()
	b.Run("first pass", func(b *testing.B) {
		var before, after runtime.MemStats
		for b.Loop() {
			runtime.GC()
			runtime.ReadMemStats(&before)
			f := openSealed(b, b.TempDir(), ring)
			pass(b, f, many)
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/many, "heap-B/app")
			f.Close()
		}
	})
	dir := b.TempDir()
	f := openSealed(b, dir, ring)
	defer f.Close()
	pass(b, f, many)
	b.Run("pass without a change", func(b *testing.B) {
		for b.Loop() {
			pass(b, f, many)
		}
	})
	b.Run("change heard by a node", func(b *testing.B) { benchmarkNews(b, f) })
	b.Run("open", func(b *testing.B) {
		f.Close()
		for b.Loop() {
			openSealed(b, dir, ring).Close()
		}
	})
}

func benchmarkNews(b *testing.B, f *fleet.Fleet) {
	handler := f.Handler()
	ask := func(since int64, epoch string) *httptest.ResponseRecorder {
		request := httptest.NewRequestWithContext(context.Background(), http.MethodGet, fmt.Sprintf("/node/v1/state?node=one&since=%d", since), nil)
		request.Header.Set("Slipway-Epoch", epoch)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		return answer
	}
	epoch := ask(0, "").Header().Get("Slipway-Epoch")
	_, _, route := wish(7)
	for n := int64(100); b.Loop(); n++ {
		route := *route
		route.Cutover = n
		version, err := f.SetRoute("app-7", &route)
		if err != nil {
			b.Fatal(err)
		}
		heard, err := io.Copy(io.Discard, ask(version-1, epoch).Body)
		if err != nil || heard > 4096 {
			b.Fatalf("it heard %d bytes, %v", heard, err)
		}
	}
}
