package access_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
)

// scrape is what Prometheus reads, by line.
func scrape(t *testing.T, e *access.Exporter) map[string]bool {
	t.Helper()
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text, _ := io.ReadAll(w.Body)
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, text)
	}
	lines := map[string]bool{}
	for line := range strings.SplitSeq(string(text), "\n") {
		lines[line] = true
	}
	return lines
}

func nothing() access.Snapshot { return access.Snapshot{} }

func TestWhatCameOfRequestsIsExported(t *testing.T) {
	m := access.NewMetrics()
	s := m.Series("blog", "web", 0, nil)
	s.End(0, &access.Observation{Status: 200, Took: 30 * time.Millisecond, In: 5, Out: 100})
	s.End(0, &access.Observation{Status: 204, Took: 3 * time.Millisecond})
	s.End(0, &access.Observation{Status: 503, Took: time.Second, Failed: true})
	s.End(0, &access.Observation{Status: 101, Took: time.Hour, Upgraded: true})
	for range 3 {
		m.Open(true).Close()
	}
	m.Handshakes.Done(tls.VersionTLS13)
	m.Handshakes.Failed.Add(2)
	m.Refused("HTTP/2.0", 431)
	m.Refused("HTTP/2.0", 431)
	m.Connected(2*time.Millisecond, nil)
	m.Connected(0, errors.New("refused"))
	e := access.NewExporter(m, nil, func() access.Snapshot {
		return access.Snapshot{
			Pools:    []access.Pool{{App: "blog", Process: "web", Open: 4, Sound: 2, Out: 1, Retries: 6, Ejections: 1}},
			Shed:     []access.Shed{{App: "blog", Class: "bulk", Reason: "level", Requests: 9}},
			Waiting:  []access.Waiting{{App: "blog", Requests: 8}},
			Cutovers: []access.Cutover{{App: "blog", To: 7, Requests: 11, Failed: 1}},
		}
	})
	got := scrape(t, e)
	for _, want := range []string{
		`slipway_requests_total{app="blog",class="2xx",process="web"} 2`,
		`slipway_requests_total{app="blog",class="1xx",process="web"} 1`,
		`slipway_requests_failed_total{app="blog",process="web"} 1`,
		`slipway_request_duration_seconds_bucket{app="blog",class="2xx",process="web",le="0.005"} 1`,
		`slipway_request_duration_seconds_bucket{app="blog",class="2xx",process="web",le="0.05"} 2`,
		`slipway_request_duration_seconds_sum{app="blog",class="2xx",process="web"} 0.033`,
		`slipway_request_bytes_total{app="blog",process="web"} 5`,
		`slipway_response_bytes_total{app="blog",process="web"} 100`,
		`slipway_requests_in_flight{app="blog",process="web"} 4`,
		`slipway_instances{app="blog",health="out",process="web"} 1`,
		`slipway_retries_total{app="blog",process="web"} 6`,
		`slipway_ejections_total{app="blog",process="web"} 1`,
		`slipway_shed_total{app="blog",class="bulk",reason="level"} 9`,
		`slipway_requests_waiting{app="blog"} 8`,
		`slipway_cutover_requests{app="blog",release="v7"} 11`,
		`slipway_connections_total{door="https"} 3`,
		`slipway_tls_handshakes_total{version="1.3"} 1`,
		`slipway_tls_handshakes_failed_total 2`,
		`slipway_requests_refused_total{protocol="HTTP/2.0",status="431"} 2`,
		`slipway_upstream_connect_seconds_bucket{le="0.0025"} 1`,
		`slipway_upstream_connects_failed_total 1`,
	} {
		if !got[want] {
			t.Errorf("missing: %s", want)
		}
	}
	for line := range got {
		if strings.Contains(line, "request_duration") && strings.Contains(line, `"1xx"`) {
			t.Errorf("the hour of a WebSocket is a duration: %s", line)
		}
	}
}

func TestWhatLeftIsExportedNoMore(t *testing.T) {
	m := access.NewMetrics()
	for _, process := range []string{"web", "api"} {
		m.Series("blog", process, 0, nil).End(0, &access.Observation{Status: 200})
	}
	left := m.Series("shop", "web", 0, nil)
	if m.Series("shop", "web", 0, nil) != left {
		t.Error("a change of the route begins to count anew")
	}
	m.Keep("blog", "web")
	m.Keep("shop")
	left.End(0, &access.Observation{Status: 200}) // a request that was under way
	for line := range scrape(t, access.NewExporter(m, nil, nothing)) {
		if strings.Contains(line, "shop") || strings.Contains(line, `process="api"`) {
			t.Errorf("still there: %s", line)
		}
	}
}

func TestCountsOfManyAtOnceAreWhole(t *testing.T) {
	m := access.NewMetrics()
	s := m.Series("blog", "web", 0, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5000 {
				s.End(time.Second, &access.Observation{Status: 200, Took: time.Millisecond, Out: 1})
			}
		})
	}
	all.Wait()
	got := scrape(t, access.NewExporter(m, nil, nothing))
	if !got[`slipway_requests_total{app="blog",class="2xx",process="web"} 40000`] || !got[`slipway_response_bytes_total{app="blog",process="web"} 40000`] {
		t.Error("some are missing")
	}
	if live := m.Live("blog", 1500*time.Millisecond)[0]; live.Ten.Requests != 40000 {
		t.Errorf("live counts %d", live.Ten.Requests)
	}
}

func TestTheLastSecondsAreKnownByRateConcurrencyAndQuantiles(t *testing.T) {
	m := access.NewMetrics()
	s := m.Series("blog", "web", 0, nil)
	// 100 a second, each 100 ms but one of fifty a second: 11.8 at a time.
	for i := range 12_000 {
		took := 100 * time.Millisecond
		if i%50 == 0 {
			took = time.Second
		}
		s.End(time.Duration(i)*10*time.Millisecond, &access.Observation{Status: 200, Took: took, Failed: i%100 == 0})
	}
	live := m.Live("blog", 120*time.Second)[0]
	for name, w := range map[string]access.Window{"second": live.Second, "ten": live.Ten, "minute": live.Minute} {
		if math.Abs(w.PerSecond-100) > 2 || math.Abs(w.Concurrency-11.8) > 0.3 {
			t.Errorf("%s: %.1f a second, %.1f at a time", name, w.PerSecond, w.Concurrency)
		}
		if near(w.P50, 100*time.Millisecond) || near(w.P95, 100*time.Millisecond) || near(w.P99, time.Second) || w.Failed*100 != w.Requests {
			t.Errorf("%s: %+v", name, w)
		}
	}
	if quiet := m.Live("blog", 122*time.Second)[0]; quiet.Second.Requests != 0 || quiet.Ten.Requests == 0 {
		t.Errorf("after two silent seconds: %+v", quiet.Second)
	}
	if quiet := m.Live("blog", 5*time.Minute)[0]; quiet.Minute.Requests != 0 {
		t.Errorf("after minutes: %+v", quiet.Minute)
	}
}

// near reports whether got is off by more than the sketch's width.
func near(got, want time.Duration) bool {
	return math.Abs(float64(got-want)) > 0.25*float64(want)
}

func TestAnAppThatIsYoungHasItsRateFromItsBeginning(t *testing.T) {
	m := access.NewMetrics()
	s := m.Series("blog", "web", 1000*time.Second, nil)
	for i := range 200 {
		s.End(1000*time.Second+time.Duration(i)*10*time.Millisecond, &access.Observation{Status: 200})
	}
	if got := m.Live("blog", 1002*time.Second)[0].Minute.PerSecond; math.Abs(got-100) > 1 {
		t.Errorf("%.1f a second", got)
	}
}

func TestProcessTypesAreToldApart(t *testing.T) {
	m := access.NewMetrics()
	for _, process := range []string{"web", "api", "admin"} {
		m.Series("blog", process, 0, nil).End(0, &access.Observation{Status: 200})
	}
	m.Series("shop", "web", 0, nil)
	var names []string
	for _, l := range m.Live("blog", time.Second) {
		names = append(names, l.App+"/"+l.Process+fmt.Sprint(l.Minute.Requests))
	}
	if got := strings.Join(names, " "); got != "blog/admin1 blog/api1 blog/web1" {
		t.Errorf("got %s", got)
	}
}

func BenchmarkEnd(b *testing.B) {
	s := access.NewMetrics().Series("blog", "web", 0, nil)
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for k := range b.N {
			s.End(time.Duration(k)*time.Microsecond, &access.Observation{Status: 200, Took: 3 * time.Millisecond, Out: 1024})
		}
	})
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				s.End(time.Second, &access.Observation{Status: 200, Took: 3 * time.Millisecond, Out: 1024})
			}
		})
	})
}
