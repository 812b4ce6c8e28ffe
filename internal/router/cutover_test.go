package router_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// shift is a route that makes a release current by a numbered cutover.
func shift(number int64, release int, addresses ...string) *platform.Route {
	rt := route("blog", release, addresses...)
	rt.Cutover = number
	return rt
}

// counting is a router whose answers are counted when get returns.
func counting(t *testing.T) *edge {
	ended := make(chan struct{}, 100)
	e := serve(t, router.Options{Access: func(router.Access) { ended <- struct{}{} }})
	e.ended = ended
	return e
}

func (e *edge) cutover() platform.CutoverReport {
	e.t.Helper()
	c, ok := e.Cutover("blog")
	if !ok {
		e.t.Fatal("no cutover was counted")
	}
	return c
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(code) }
}

func TestACutoverIsCountedFromTheShiftUntilItsEnd(t *testing.T) {
	e := counting(t)
	good, bad := backend(t, says("ok")), backend(t, status(500))
	e.SetRoute("blog", shift(1, 1, good))
	for range 10 {
		e.get("blog.test")
	}
	if c := e.cutover(); c.From != 0 || c.To != 1 || c.Requests != 10 || c.Failed != 0 {
		t.Errorf("first: %+v", c)
	}
	e.SetRoute("blog", shift(2, 2, bad))
	for range 3 {
		e.get("blog.test")
	}
	c := e.cutover()
	if c.App != "blog" || c.Cutover != 2 || c.From != 1 || c.To != 2 || c.Requests != 3 || c.Failed != 3 ||
		c.ToRequests != 3 || c.ToFailed != 3 || c.BeforeRequests != 10 || c.BeforeFailed != 0 ||
		c.P99Before <= 0 || c.P99After <= 0 || c.Started.IsZero() {
		t.Errorf("second: %+v", c)
	}
	e.EndCutover("blog", 1) // not the running one
	e.get("blog.test")
	if c := e.cutover(); c.Requests != 4 {
		t.Errorf("%d requests, want 4", c.Requests)
	}
	e.EndCutover("blog", 2)
	e.get("blog.test")
	if c := e.cutover(); c.Requests != 4 {
		t.Errorf("%d requests after the end, want 4", c.Requests)
	}
	e.SetRoute("blog", shift(3, 1, good)) // and back
	if c := e.cutover(); c.From != 2 || c.To != 1 || c.BeforeRequests != 5 || c.BeforeFailed != 5 {
		t.Errorf("third: %+v", c)
	}
	if all := e.Cutovers(); len(all) != 1 || all[0].Cutover != 3 {
		t.Errorf("all: %+v", all)
	}
}

func TestTheSameCutoverIsCountedOnce(t *testing.T) {
	e := counting(t)
	addr := backend(t, says("ok"))
	e.SetRoute("blog", shift(5, 2, addr))
	e.get("blog.test")
	e.SetRoute("blog", shift(5, 2, addr, backend(t, says("ok")))) // scaled
	e.SetAll(platform.EdgeState{}, []platform.Route{*shift(5, 2, addr)})
	e.get("blog.test")
	if c := e.cutover(); c.Requests != 2 || c.ToRequests != 2 {
		t.Errorf("got %+v", c)
	}
}

func TestWhatIsOpenToTheOldReleaseIsCountedAsDraining(t *testing.T) {
	e := counting(t)
	addr := backend(t, tunnel(func(_ net.Conn, rw *bufio.ReadWriter) { _, _ = rw.ReadByte() }))
	e.SetRoute("blog", shift(1, 1, addr))
	conn, _ := e.openTunnel("blog.test")
	e.SetRoute("blog", shift(2, 2, backend(t, says("ok"))))
	if c := e.cutover(); c.Draining != 1 {
		t.Errorf("draining %d, want 1", c.Draining)
	}
	conn.Close()
	if err := e.Drain(t.Context(), "at-"+addr, 0); err != nil {
		t.Fatal(err)
	}
	if c := e.cutover(); c.Draining != 0 {
		t.Errorf("draining %d, want 0", c.Draining)
	}
}

func TestARequestOfTheOldReleaseThatFailsAcrossTheShiftCounts(t *testing.T) {
	e := counting(t)
	arrived, die := make(chan struct{}), make(chan struct{})
	e.SetRoute("blog", shift(1, 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		close(arrived)
		<-die
		panic(http.ErrAbortHandler)
	})))
	broken := make(chan error)
	req := e.request("GET", "blog.test", "/", nil)
	go func() {
		res, err := client(t).Do(req)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		broken <- err
	}()
	<-arrived
	e.SetRoute("blog", shift(2, 2, backend(t, says("ok"))))
	close(die)
	if err := <-broken; err == nil {
		t.Error("the client did not notice")
	}
	e.Close() // the count is written after the client's connection ended
	if c := e.cutover(); c.Requests != 1 || c.Failed != 1 || c.ToRequests != 0 {
		t.Errorf("got %+v", c)
	}
}

func TestMaintenanceAndMistakenClientsAreNoFailures(t *testing.T) {
	e := counting(t)
	rt := shift(1, 1, backend(t, status(404)))
	e.SetRoute("blog", rt)
	e.get("blog.test").want(t, 404, "")
	rt.Maintenance = true
	e.SetRoute("blog", rt)
	e.get("blog.test").want(t, 503, "maintenance")
	if c := e.cutover(); c.Requests != 1 || c.Failed != 0 {
		t.Errorf("got %+v", c)
	}
}

func TestAnswersOfTheRouterForAReleaseWithNothingUpAreFailures(t *testing.T) {
	e := counting(t)
	e.SetRoute("blog", shift(1, 1))
	e.get("blog.test").want(t, 503, "")
	if c := e.cutover(); c.Requests != 1 || c.Failed != 1 || c.ToFailed != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestTrafficSaysWhatAnAppHadLately(t *testing.T) {
	e := counting(t)
	if got := e.Traffic("blog"); got != (router.Traffic{}) {
		t.Errorf("an unknown app had %+v", got)
	}
	e.SetRoute("blog", route("blog", 1, backend(t, status(500))))
	e.get("blog.test")
	got := e.Traffic("blog")
	if got.LastMinute != 1 || got.Failed != 1 || got.Open != 0 || time.Since(got.Last) > time.Minute || got.Last.IsZero() {
		t.Errorf("got %+v", got)
	}
}

func TestP99OfACutoverIsWhatRequestsTook(t *testing.T) {
	e := counting(t)
	const pause = 40 * time.Millisecond
	e.SetRoute("blog", shift(1, 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/slow") {
			time.Sleep(pause) // the app's work
		}
	})))
	longest := time.Duration(0)
	for range 5 {
		began := time.Now()
		e.do(e.request("GET", "blog.test", "/slow", nil))
		longest = max(longest, time.Since(began))
	}
	if c := e.cutover(); c.P99After < pause*9/10 || c.P99After > longest*5/4 { // its buckets are an eighth wide
		t.Errorf("p99 %v, want from %v to %v", c.P99After, pause, longest)
	}
}
