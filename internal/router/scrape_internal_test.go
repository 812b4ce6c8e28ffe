package router

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
)

// scraped is what an exporter writes.
func scraped(t testing.TB, r *Router) string {
	t.Helper()
	w := httptest.NewRecorder()
	w.Code = http.StatusServiceUnavailable
	for w.Code == http.StatusServiceUnavailable { // the machine was too slow for its time limit
		w = httptest.NewRecorder()
		access.NewExporter(r.Metrics(), nil, r.Snapshot).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	}
	text, err := io.ReadAll(w.Body)
	if err != nil || w.Code != 200 {
		t.Fatal(w.Code, err)
	}
	return string(text)
}

// askedFor counts one request of an app, as an exchange does.
func (r *Router) askedFor(name string) {
	a := r.apps[name]
	g := a.route.Load().front
	g.balancer()
	a.bound()
	g.series().End(r.now(), &access.Observation{Status: 200, Took: time.Millisecond})
	a.last.Store(1)
}

func TestAnAppThatNobodyAskedForIsNotInTheMetrics(t *testing.T) {
	r := New(slog.New(slog.DiscardHandler), Options{})
	defer r.Close()
	for i := range 10 {
		r.SetRoute("app-"+strconv.Itoa(i), benchRoute(i, 1))
	}
	r.askedFor("app-7")
	for line := range strings.Lines(scraped(t, r)) {
		if strings.Contains(line, `app="`) && !strings.Contains(line, `app="app-7"`) {
			t.Errorf("nobody asked for it: %s", line)
		}
	}
	if text := scraped(t, r); !strings.Contains(text, `slipway_instances{app="app-7",health="sound",process="web"} 1`) {
		t.Error("what was asked for is not there")
	}
	if live := r.Live("app-7"); len(live) != 1 || live[0].Minute.Requests != 1 {
		t.Errorf("%+v", live)
	}
	r.SetRoute("app-7", nil)
	if text := scraped(t, r); strings.Contains(text, "app-7") {
		t.Error("what left is still there")
	}
}

func TestAScrapeIsBoundedHoweverManyAppsThereAre(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many apps")
	}
	r := New(slog.New(slog.DiscardHandler), Options{})
	defer r.Close()
	const apps = access.MostExported + 500
	for i := range apps {
		r.SetRoute("app-"+strconv.Itoa(i), benchRoute(i, 1))
		r.askedFor("app-" + strconv.Itoa(i))
	}
	others := func(text string) (n int, sum string) {
		_, sum, _ = strings.Cut(text, `slipway_requests_total{app="(others)",class="2xx",process=""} `)
		sum, _, _ = strings.Cut(sum, "\n")
		return strings.Count(text, "\nslipway_requests_total{"), sum
	}
	if n, sum := others(scraped(t, r)); n != access.MostExported+1 || sum != "500" {
		t.Errorf("%d series of requests, the others have %s", n, sum)
	}
	r.SetRoute("app-"+strconv.Itoa(apps-1), nil) // one of the others: their sum may not shrink
	r.SetRoute("app-0", nil)                     // one of its own: who comes next has its place
	r.SetRoute("app-"+strconv.Itoa(apps), benchRoute(apps, 1))
	r.askedFor("app-" + strconv.Itoa(apps))
	text := scraped(t, r)
	if n, sum := others(text); n != access.MostExported+1 || sum != "500" {
		t.Errorf("%d series of requests, the others have %s", n, sum)
	}
	if !strings.Contains(text, `app="app-`+strconv.Itoa(apps)+`"`) {
		t.Error("a place that came free is not given on")
	}
}

// BenchmarkScrape is one reading of the metrics by Prometheus; heap is what it
// takes while it is written.
func BenchmarkScrape(b *testing.B) {
	for _, apps := range []int{1000, 10_000, 100_000} {
		b.Run(strconv.Itoa(apps), func(b *testing.B) {
			r := New(slog.New(slog.DiscardHandler), Options{})
			defer r.Close()
			for i := range apps {
				r.SetRoute("app-"+strconv.Itoa(i), benchRoute(i, 1))
				r.askedFor("app-" + strconv.Itoa(i))
			}
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				size = len(scraped(b, r))
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(size)/1e6, "MB-text")
			b.ReportMetric(float64(m.HeapSys)/1e6, "MB-heap")
		})
	}
}
