package access

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Snapshot is what others count, at the time of asking.
type Snapshot struct {
	Pools    []Pool
	Shed     []Shed
	Would    []Shed // have been turned away, had control been on
	Gates    []Gate
	Waiting  []Waiting
	Cutovers []Cutover
}

// Pool is the instances of one process type.
type Pool struct {
	App, Process           string
	Open                   int // requests under way
	Sound, Out, HalfOpen   int // instances
	Ejections, Quarantines int64
	Retries, Hedges        int64
	Exhausted              int64 // repetitions that the budget forbade
}

// Shed is how many requests were turned away for a reason.
type Shed struct {
	App, Class, Reason string
	Requests           int64
}

// Waiting is how many requests wait for an instance of an app.
type Waiting struct {
	App      string
	Requests int
}

// Cutover is the count of an app's last one.
type Cutover struct {
	App              string
	To               int
	Requests, Failed int64
	Draining         int
}

// Exporter answers Prometheus.
type Exporter struct {
	metrics *Metrics
	log     *Log // nil: there is none
	look    func() Snapshot
	handler http.Handler
}

// NewExporter shows metrics, a log's counts (nil: none), what look says, and
// the process itself.
func NewExporter(metrics *Metrics, log *Log, look func() Snapshot) *Exporter {
	e := &Exporter{metrics: metrics, log: log, look: look}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(e, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	e.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2, Timeout: 10 * time.Second})
	return e
}

// ServeHTTP writes all of it in the format that the client asks for.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.handler.ServeHTTP(w, r) }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("slipway_"+name, help, labels, nil)
}

// The metrics. docs/metrics.md says what each is for.
var (
	requestsDesc = desc("requests_total", "Requests that ended, by status class; upgraded connections are 1xx.", "app", "process", "class")
	tookDesc     = desc("request_duration_seconds", "From a request's head to the end of its answer; without upgraded connections.", "app", "process", "class")
	failedDesc   = desc("requests_failed_total", "Requests that ended with 5xx or were broken off by the app.", "app", "process")
	inDesc       = desc("request_bytes_total", "Bytes of the bodies of requests.", "app", "process")
	outDesc      = desc("response_bytes_total", "Bytes of the bodies of answers.", "app", "process")

	openDesc        = desc("requests_in_flight", "Requests under way to instances, upgraded connections included.", "app", "process")
	instancesDesc   = desc("instances", "Instances that are routed to, by what their requests have found.", "app", "process", "health")
	ejectionsDesc   = desc("ejections_total", "Instances passed over because they failed.", "app", "process")
	quarantinesDesc = desc("quarantines_total", "Instances passed over for a second because they refused a connection.", "app", "process")
	retriesDesc     = desc("retries_total", "Requests that were sent to another instance, or again.", "app", "process")
	hedgesDesc      = desc("hedges_total", "Requests that a second instance was asked for as well.", "app", "process")
	exhaustedDesc   = desc("retry_budget_exhausted_total", "Repetitions that the budget was too small for.", "app", "process")

	shedDesc     = desc("shed_total", "Requests turned away to keep an app or the router from overload.", "app", "class", "reason")
	waitingDesc  = desc("requests_waiting", "Requests that wait for an instance to come up.", "app")
	cutoverDesc  = desc("cutover_requests", "Requests counted across the app's last cutover.", "app", "release")
	cutFailDesc  = desc("cutover_failed", "Those of them that failed.", "app", "release")
	drainingDesc = desc("cutover_draining", "Requests still open to the release before.", "app", "release")

	connDesc      = desc("connections_total", "Connections of clients.", "door")
	connOpenDesc  = desc("connections_open", "Connections of clients that are open.", "door")
	crowdedDesc   = desc("connections_crowded_total", "Connections closed because there were too many from their address.")
	handshakeDesc = desc("tls_handshakes_total", "TLS handshakes that succeeded.", "version")
	handFailDesc  = desc("tls_handshakes_failed_total", "TLS handshakes that did not.")
	refusedDesc   = desc("requests_refused_total", "Requests refused for their heads, before they were any app's.", "protocol", "status")
	connectDesc   = desc("upstream_connect_seconds", "Time until a connection to an instance came about.")
	connFailDesc  = desc("upstream_connects_failed_total", "Connections to instances that did not come about.")
	linesDesc     = desc("access_log_lines_total", "Lines written to the access log.")
	droppedDesc   = desc("access_log_dropped_total", "Lines of the access log that found no room.")
)

// Describe says nothing: what there is depends on the apps. Collect is checked
// against nothing then.
func (e *Exporter) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (e *Exporter) Collect(to chan<- prometheus.Metric) {
	own, others := e.metrics.exported()
	for _, s := range own {
		var t totals
		s.sum(&t)
		t.collect(to, s.app, s.process)
	}
	if others != nil {
		others.collect(to, Others, "")
	}
	snapshot := e.look()
	snapshot.collect(to)
	e.metrics.collect(to)
	if e.log != nil {
		written, dropped := e.log.Counts()
		counter(to, linesDesc, float64(written))
		counter(to, droppedDesc, float64(dropped))
	}
}

func counter(to chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
}

func gauge(to chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (t *totals) collect(to chan<- prometheus.Metric, app, process string) {
	for c := range classes {
		if t.requests[c] == 0 {
			continue
		}
		class := strconv.Itoa(c+1) + "xx"
		counter(to, requestsDesc, float64(t.requests[c]), app, process, class)
		if n, sum, buckets := t.took[c].cumulative(); n > 0 {
			to <- prometheus.MustNewConstHistogram(tookDesc, n, sum, buckets, app, process, class)
		}
	}
	counter(to, failedDesc, float64(t.failed), app, process)
	counter(to, inDesc, float64(t.in), app, process)
	counter(to, outDesc, float64(t.out), app, process)
}

func (s *Snapshot) collect(to chan<- prometheus.Metric) {
	for _, p := range s.Pools {
		gauge(to, openDesc, float64(p.Open), p.App, p.Process)
		gauge(to, instancesDesc, float64(p.Sound), p.App, p.Process, "sound")
		gauge(to, instancesDesc, float64(p.Out), p.App, p.Process, "out")
		gauge(to, instancesDesc, float64(p.HalfOpen), p.App, p.Process, "half-open")
		counter(to, ejectionsDesc, float64(p.Ejections), p.App, p.Process)
		counter(to, quarantinesDesc, float64(p.Quarantines), p.App, p.Process)
		counter(to, retriesDesc, float64(p.Retries), p.App, p.Process)
		counter(to, hedgesDesc, float64(p.Hedges), p.App, p.Process)
		counter(to, exhaustedDesc, float64(p.Exhausted), p.App, p.Process)
	}
	for _, c := range s.Shed {
		counter(to, shedDesc, float64(c.Requests), c.App, c.Class, c.Reason)
	}
	for _, c := range s.Would {
		counter(to, wouldDesc, float64(c.Requests), c.App, c.Class, c.Reason)
	}
	for i := range s.Gates {
		s.Gates[i].collect(to)
	}
	for _, w := range s.Waiting {
		gauge(to, waitingDesc, float64(w.Requests), w.App)
	}
	for _, c := range s.Cutovers {
		release := "v" + strconv.Itoa(c.To)
		gauge(to, cutoverDesc, float64(c.Requests), c.App, release)
		gauge(to, cutFailDesc, float64(c.Failed), c.App, release)
		gauge(to, drainingDesc, float64(c.Draining), c.App, release)
	}
}

func (m *Metrics) collect(to chan<- prometheus.Metric) {
	for i, name := range [doors]string{"http", "https", "tcp"} {
		counter(to, connDesc, float64(m.Doors[i].opened.Load()), name)
		gauge(to, connOpenDesc, float64(m.Doors[i].open.Load()), name)
	}
	counter(to, crowdedDesc, float64(m.Crowded.Load()))
	counter(to, handshakeDesc, float64(m.Handshakes.done[0].Load()), "1.2")
	counter(to, handshakeDesc, float64(m.Handshakes.done[1].Load()), "1.3")
	counter(to, handFailDesc, float64(m.Handshakes.Failed.Load()))
	m.refused.mu.Lock()
	for of, n := range m.refused.by {
		counter(to, refusedDesc, float64(n), of.proto, strconv.Itoa(of.status))
	}
	m.refused.mu.Unlock()
	m.connects.mu.Lock()
	took, failed := m.connects.took, m.connects.failed
	m.connects.mu.Unlock()
	n, sum, buckets := took.cumulative()
	to <- prometheus.MustNewConstHistogram(connectDesc, n, sum, buckets)
	counter(to, connFailDesc, float64(failed))
}
