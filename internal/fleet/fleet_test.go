package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/attach"
	"github.com/slipway-paas/slipway/internal/fleet"
	"github.com/slipway-paas/slipway/internal/leaktest"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// shelf keeps lines in memory.
type shelf struct{ lines []platform.NodeLogLine }

func (s *shelf) AppendNode(lines []platform.NodeLogLine) { s.lines = append(s.lines, lines...) }

func (s *shelf) Cursor(instance string) (offset int64) {
	for _, l := range s.lines {
		if l.Instance == instance {
			offset = max(offset, l.Offset)
		}
	}
	return offset
}

// desk is a fleet and what a test does with it.
type desk struct {
	*testing.T
	*fleet.Fleet
	dir     string
	shelf   *shelf
	handler http.Handler
}

func open(t *testing.T, dir string) *desk {
	t.Helper()
	d := &desk{T: t, dir: dir, shelf: new(shelf)}
	var err error
	d.Fleet, err = fleet.Open(slog.New(slog.DiscardHandler), fleet.Options{Dir: dir, Logs: d.shelf})
	if err != nil {
		t.Fatal(err)
	}
	d.handler = d.Handler()
	return d
}

func newDesk(t *testing.T) *desk {
	d := open(t, filepath.Join(t.TempDir(), "fleet"))
	t.Cleanup(func() { d.Close() })
	return d
}

// node is what a node knows of the fleet.
type node struct {
	*desk
	id    string
	since int64
	epoch string
}

// ask is one request of the node, over at once.
func (n *node) ask(method, path string, body any) *httptest.ResponseRecorder {
	n.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		n.Fatal(err)
	}
	request := httptest.NewRequest(method, "/node/v1/"+path, bytes.NewReader(data))
	request.Header.Set("Slipway-Epoch", n.epoch)
	answer := httptest.NewRecorder()
	n.handler.ServeHTTP(answer, request)
	return answer
}

// news is what the node hears; nil when it would wait.
func (n *node) news() *platform.NodeState {
	n.Helper()
	ctx, leave := context.WithCancel(context.Background())
	leave() // what there is to hear is told before anybody waits
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("/node/v1/state?node=%s&since=%d&certificates=each", n.id, n.since), nil)
	request.Header.Set("Slipway-Epoch", n.epoch)
	answer := httptest.NewRecorder()
	n.handler.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		return nil
	}
	var state platform.NodeState
	if err := json.Unmarshal(answer.Body.Bytes(), &state); err != nil {
		n.Fatal(err)
	}
	n.since, n.epoch = state.Version, answer.Header().Get("Slipway-Epoch")
	return &state
}

func (n *node) report(r platform.NodeReport) int {
	n.Helper()
	r.Node = n.id
	r.Runtime.Name = "process"
	return n.ask(http.MethodPost, "report", r).Code
}

func (d *desk) set(app string, ids ...string) int64 {
	d.Helper()
	var specs []platform.InstanceSpec
	for _, id := range ids {
		specs = append(specs, platform.InstanceSpec{ID: id, App: app, Process: "web", Release: 1})
	}
	version, err := d.SetInstances(app, specs)
	if err != nil {
		d.Fatal(err)
	}
	return version
}

func apps(s *platform.NodeState) (names []string) {
	if s == nil {
		return []string{"nothing"}
	}
	for _, a := range s.Apps {
		names = append(names, fmt.Sprintf("%s:%d", a.App, len(a.Instances)))
	}
	slices.Sort(names)
	for _, id := range s.Removed {
		names = append(names, "-"+id)
	}
	return names
}

func TestANodeHearsEverythingOnceAndThenWhatChanged(t *testing.T) {
	d := newDesk(t)
	n := &node{desk: d, id: "one"}
	if got := n.news(); got != nil {
		t.Errorf("an empty fleet said %+v", got)
	}
	d.set("blog", "blog-web-1")
	d.set("shop", "shop-web-1", "shop-web-2")
	if _, err := d.SetEdge(platform.EdgeState{Domain: "localhost"}); err != nil {
		t.Fatal(err)
	}
	first := n.news()
	if got := apps(first); !slices.Equal(got, []string{"blog:1", "shop:2"}) || !first.Full || first.Edge == nil {
		t.Errorf("first it heard %v: %+v", got, first)
	}
	if got := n.news(); got != nil {
		t.Errorf("then it heard %v", apps(got))
	}
	if before, after := d.set("blog", "blog-web-1"), d.set("blog", "blog-web-1"); before != after {
		t.Errorf("setting the same changed the version from %d to %d", before, after)
	}
	d.set("blog")
	if _, err := d.Remove("shop"); err != nil {
		t.Fatal(err)
	}
	next := n.news()
	if got := apps(next); !slices.Equal(got, []string{"blog:0", "-shop"}) || next.Full || next.Edge != nil {
		t.Errorf("then it heard %v: %+v", got, next)
	}
}

func TestWhatIsWantedSurvivesAndVersionsGrow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fleet")
	d := open(t, dir)
	n := &node{desk: d, id: "one"}
	d.set("blog", "blog-web-1", "blog-web-2")
	d.set("gone", "gone-web-1")
	n.news()
	if _, err := d.SetInstances("blog", []platform.InstanceSpec{{ID: "blog-web-2", App: "blog"}, {ID: "blog-web-3", App: "blog"}}, "blog-web-2"); err != nil {
		t.Fatal(err)
	}
	last, err := d.Remove("gone")
	if err != nil {
		t.Fatal(err)
	}
	// Without Close, as after kill -9.
	again := open(t, dir)
	defer again.Close()
	defer d.Close()
	n.desk = again
	if got := apps(n.news()); !slices.Equal(got, []string{"blog:2", "-gone"}) {
		t.Errorf("after the restart the node heard %v", got)
	}
	specs, doomed := again.Wanted("blog")
	if len(specs) != 2 || !slices.Equal(doomed, []string{"blog-web-2"}) {
		t.Errorf("wanted are %v, doomed %v", specs, doomed)
	}
	if version := again.set("blog"); version <= last {
		t.Errorf("version %d follows %d", version, last)
	}
}

func TestAFleetThatLostItsFilesLetsNodesGoOnUntilItKnowsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, filepath.Join(t.TempDir(), "fleet"))
		defer d.Close()
		n := &node{desk: d, id: "one", since: 500, epoch: "of another life"}
		d.set("blog", "blog-web-1")
		if got := n.news(); got != nil {
			t.Errorf("at once it heard %v", apps(got))
		}
		time.Sleep(31 * time.Second)
		got := n.news()
		if got == nil || !got.Full || got.Version <= 500 {
			t.Errorf("later it heard %+v", got)
		}
		if version := d.set("blog"); version <= n.since {
			t.Errorf("version %d follows %d", version, n.since)
		}
	})
}

func TestAFleetThatLostItsFilesOffersWhatRunsForTheAsking(t *testing.T) {
	d := newDesk(t)
	n := &node{desk: d, id: "one", since: 500, epoch: "of another life"}
	n.report(platform.NodeReport{Full: true, Acked: 500, Instances: []platform.Instance{
		{ID: "blog-web-1", App: "blog", State: platform.InstanceUp, Address: "127.0.0.1:1"},
		{ID: "blog-web-2", App: "blog", State: platform.InstanceUp},
		{ID: "shop-web-1", App: "shop", State: platform.InstanceUp},
	}})
	if got := d.Unclaimed("blog"); len(got) != 2 || got[0].ID != "blog-web-1" || got[1].ID != "blog-web-2" {
		t.Errorf("unclaimed: %+v", got)
	}
	d.set("blog", "blog-web-1")
	if got := d.Instances("blog"); len(got) != 1 || got[0].State != platform.InstanceUp || got[0].Address != "127.0.0.1:1" || got[0].Release != 1 {
		t.Errorf("claimed: %+v", got)
	}
	n.report(platform.NodeReport{Gone: []string{"blog-web-2"}})
	if got := d.Unclaimed("blog"); len(got) != 0 {
		t.Errorf("unclaimed after one was claimed and one went: %+v", got)
	}
}

func TestAnUnreadableFileIsSetAside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fleet")
	d := open(t, dir)
	d.set("blog", "blog-web-1")
	d.set("shop", "shop-web-1")
	d.Close()
	if err := os.WriteFile(filepath.Join(dir, "apps", "blog.json"), []byte{0, 0, 0}, 0o600); err != nil {
		t.Fatal(err)
	}
	d = open(t, dir)
	defer d.Close()
	if specs, _ := d.Wanted("blog"); len(specs) > 0 {
		t.Errorf("wanted are %v", specs)
	}
	n := &node{desk: d, id: "one"}
	if got := n.news(); got == nil || !slices.Equal(apps(got), []string{"shop:1"}) || !slices.Equal(got.Kept, []string{"blog"}) {
		t.Errorf("a node hears %+v", got)
	}
	if got := slices.Sorted(slices.Values(d.Apps())); !slices.Equal(got, []string{"blog", "shop"}) {
		t.Errorf("apps: %v", got) // that of a lost file may be of no app, and has to be looked at
	}
	if _, err := d.Remove("blog"); err != nil {
		t.Fatal(err)
	}
	if got := n.news(); got == nil || !slices.Equal(got.Removed, []string{"blog"}) {
		t.Errorf("then it hears %+v", got)
	}
	if got := d.Apps(); !slices.Equal(got, []string{"shop"}) {
		t.Errorf("apps: %v", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "apps", "blog.json.unreadable")); err != nil {
		t.Error(err)
	}
}

func TestADirectoryOfANewerFleetIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte(`{"format":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := fleet.Open(slog.New(slog.DiscardHandler), fleet.Options{Dir: dir, Logs: new(shelf)})
	if !errors.Is(err, platform.ErrConflict) {
		t.Errorf("Open = %v", err)
	}
}

func TestReportsAreBelievedOnlyAboutWhatWasGiven(t *testing.T) {
	d := newDesk(t)
	n := &node{desk: d, id: "one"}
	d.set("blog", "blog-web-1", "blog-web-2")
	n.news()
	if d.Synced() {
		t.Error("synced before anything was reported")
	}
	if code := n.report(platform.NodeReport{Instances: []platform.Instance{{ID: "blog-web-1", App: "blog"}}}); code != http.StatusConflict {
		t.Errorf("a partial first report was answered with %d", code)
	}
	n.report(platform.NodeReport{Full: true, Instances: []platform.Instance{
		{ID: "blog-web-1", App: "blog", State: platform.InstanceUp, Release: 99, Process: "root", Node: "other"},
		{ID: "blog-web-9", App: "blog", State: platform.InstanceUp},
		{ID: "shop-web-1", App: "shop", State: platform.InstanceUp},
	}})
	if !d.Synced() {
		t.Error("not synced after a full report")
	}
	want := platform.Instance{ID: "blog-web-1", App: "blog", Process: "web", Release: 1, Node: "one", State: platform.InstanceUp}
	if got := d.Instances("blog"); len(got) != 1 || got[0] != want {
		t.Errorf("instances: %+v", got)
	}
	if got := d.Instances("shop"); len(got) != 0 {
		t.Errorf("instances of an unknown app: %+v", got)
	}
	d.set("blog", "blog-web-2")
	n.report(platform.NodeReport{Instances: []platform.Instance{{ID: "blog-web-1", App: "blog", State: platform.InstanceTerminating}}})
	if got := d.Instances("blog"); len(got) != 1 || got[0].State != platform.InstanceTerminating {
		t.Errorf("a leaving instance is seen as %+v", got)
	}
	n.report(platform.NodeReport{Gone: []string{"blog-web-1"}})
	if got := d.Instances("blog"); len(got) != 0 {
		t.Errorf("a gone instance is seen as %+v", got)
	}
}

func TestAckedWaitsForEveryConnectedNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, filepath.Join(t.TempDir(), "fleet"))
		defer d.Close()
		version := d.set("blog", "blog-web-1")
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Acked(short, version); !errors.Is(err, platform.ErrUnavailable) {
			t.Errorf("without a node Acked = %v", err)
		}
		one, two := &node{desk: d, id: "one"}, &node{desk: d, id: "two"}
		one.news()
		two.news()
		done := make(chan error)
		go func() { done <- d.Acked(t.Context(), version) }()
		one.report(platform.NodeReport{Full: true, Acked: version})
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("with one of two Acked = %v", err)
		default:
		}
		two.report(platform.NodeReport{Full: true, Acked: version})
		if err := <-done; err != nil {
			t.Errorf("Acked = %v", err)
		}
	})
}

func TestToldWaitsForNodesThatAreThereAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, filepath.Join(t.TempDir(), "fleet"))
		defer d.Close()
		version := d.set("blog", "blog-web-1")
		if err := d.Told(t.Context(), version); err != nil {
			t.Errorf("without a node Told = %v", err)
		}
		one, two := &node{desk: d, id: "one"}, &node{desk: d, id: "two"}
		one.news()
		done := make(chan error, 1)
		go func() { done <- d.Told(t.Context(), version) }()
		synctest.Wait()
		if len(done) > 0 {
			t.Errorf("before the node has it Told = %v", <-done)
		}
		one.report(platform.NodeReport{Full: true, Acked: version})
		if err := <-done; err != nil {
			t.Errorf("Told = %v", err)
		}
		two.news() // and goes away
		if err := d.Told(t.Context(), version); err != nil {
			t.Errorf("when one went away Told = %v", err)
		}
	})
}

func TestChangesAreMergedAndNotLost(t *testing.T) {
	d := newDesk(t)
	n := &node{desk: d, id: "one"}
	d.set("blog", "blog-web-1")
	n.news()
	n.report(platform.NodeReport{Full: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	one, two := d.Changes(ctx), d.Changes(ctx)
	for _, state := range []platform.InstanceState{platform.InstanceStarting, platform.InstanceUp} {
		n.report(platform.NodeReport{Instances: []platform.Instance{{ID: "blog-web-1", App: "blog", State: state}}})
	}
	for _, changes := range []func(func(string) bool){one, two} {
		for app := range changes {
			if app != "blog" {
				t.Errorf("%q changed", app)
			}
			break
		}
	}
}

func TestCutoversAddUpOverNodes(t *testing.T) {
	d := newDesk(t)
	n := &node{desk: d, id: "one"}
	if _, err := d.SetRoute("blog", &platform.Route{App: "blog", Release: 2, Cutover: 7}); err != nil {
		t.Fatal(err)
	}
	n.news()
	for i, id := range []string{"one", "two"} {
		n.id = id
		n.report(platform.NodeReport{Cutovers: []platform.CutoverReport{
			{App: "blog", Cutover: 7, From: 1, To: 2, Requests: 10, Failed: int64(i), Draining: 1},
			{App: "blog", Cutover: 9, Requests: 1000}, // not commanded
		}})
	}
	got, ok := d.Cutover("blog", 7)
	if !ok || got.Requests != 20 || got.Failed != 1 || got.Draining != 2 {
		t.Errorf("Cutover = %+v, %v", got, ok)
	}
	if _, ok := d.Cutover("blog", 9); ok {
		t.Error("a cutover nobody commanded was counted")
	}
}

func TestLinesOfUnknownAppsAreNotStored(t *testing.T) {
	d := newDesk(t)
	n := &node{desk: d, id: "one"}
	d.set("blog", "blog-web-1")
	line := func(app, instance string, offset int64) platform.NodeLogLine {
		return platform.NodeLogLine{LogLine: platform.LogLine{App: app, Instance: instance, Source: platform.LogApp}, Offset: offset}
	}
	n.ask(http.MethodPost, "logs", platform.NodeLogs{Node: "one", Lines: []platform.NodeLogLine{
		line("blog", "blog-web-1", 12), line("blog", "shop-web-1", 5), line("shop", "shop-web-1", 5),
	}})
	if len(d.shelf.lines) != 1 {
		t.Errorf("stored: %+v", d.shelf.lines)
	}
	if got := n.ask(http.MethodGet, "cursors?instance=blog-web-1&instance=other", nil).Body.String(); strings.TrimSpace(got) != `{"blog-web-1":12,"other":0}` {
		t.Errorf("cursors: %s", got)
	}
}

func TestARunIsGivenToOneNodeWhichDialsBack(t *testing.T) {
	d := newDesk(t)
	server := httptest.NewServer(d.handler)
	defer server.Close()
	n := &node{desk: d, id: "one"}
	n.report(platform.NodeReport{Full: true})
	type outcome struct {
		exit int
		err  error
	}
	ended := make(chan outcome, 1)
	var out bytes.Buffer
	go func() {
		exit, err := d.Fleet.Run(t.Context(), platform.InstanceSpec{ID: "blog-run-abcde", App: "blog"}, platform.IO{Stdout: &out})
		ended <- outcome{exit, err}
	}()
	var orders []platform.RunOrder
	for len(orders) == 0 {
		if state := n.news(); state != nil {
			orders = state.Runs
		}
	}
	if again := n.news(); again != nil && len(again.Runs) > 0 {
		t.Error("the order was given twice")
	}
	conn, _, err := websocket.Dial(t.Context(), server.URL+"/node/v1/attach/"+orders[0].ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = attach.Serve(t.Context(), conn, attach.Open{}, func(_ context.Context, stream platform.IO) (int, error) {
		_, err := io.WriteString(stream.Stdout, orders[0].Spec.ID)
		return 4, err
	})
	if got := <-ended; got.exit != 4 || got.err != nil || out.String() != "blog-run-abcde" {
		t.Errorf("Run = %+v, it said %q", got, out.String())
	}
	if _, answer, err := websocket.Dial(t.Context(), server.URL+"/node/v1/attach/"+orders[0].ID, nil); err == nil || answer.StatusCode != http.StatusNotFound {
		t.Error("a second node could dial back")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestARunWithoutANodeSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, filepath.Join(t.TempDir(), "fleet"))
		defer d.Close()
		if _, err := d.Fleet.Run(t.Context(), platform.InstanceSpec{ID: "blog-run-abcde"}, platform.IO{}); !errors.Is(err, platform.ErrUnavailable) {
			t.Errorf("Run = %v", err)
		}
	})
}
