package api

// EdgeStatus is what the edge does for an app at the moment, and what it turned
// away since its node began.
type EdgeStatus struct {
	Refused   string        `json:"refused,omitempty" doc:"Why the app is served as it was before the last change of it."`
	Processes []EdgeProcess `json:"processes" doc:"The process types that requests are led to."`
	Waiting   int           `json:"waiting" doc:"Requests that have no instance yet."`

	Gates []EdgeGate `json:"gates" doc:"Before the instances of each process type; none where overload control is off."`
	Shed  []EdgeShed `json:"shed" doc:"Requests that were turned away."`
	Would []EdgeShed `json:"would" doc:"Requests of an observed app that would have been."`
}

// EdgeProcess is a process type that requests are led to. What it counts is
// since the node began.
type EdgeProcess struct {
	Process     string     `json:"process"`
	Open        int        `json:"open" doc:"Requests under way."`
	Second      EdgeWindow `json:"second" doc:"Of about the last second."`
	Ten         EdgeWindow `json:"ten" doc:"Of about the last ten seconds."`
	Minute      EdgeWindow `json:"minute" doc:"Of about the last minute."`
	Sound       int        `json:"sound" doc:"Instances that serve."`
	Out         int        `json:"out" doc:"Instances that are passed over because they failed."`
	HalfOpen    int        `json:"half_open" doc:"Instances that one request tries again."`
	Ejections   int64      `json:"ejections"`
	Quarantines int64      `json:"quarantines" doc:"Instances passed over for a second: they refused a connection."`
	Retries     int64      `json:"retries"`
	Hedges      int64      `json:"hedges"`
	Exhausted   int64      `json:"exhausted" doc:"Repetitions that the budget was too small for."`
}

// EdgeWindow is what ended within some time.
type EdgeWindow struct {
	Requests  int64   `json:"requests"`
	Failed    int64   `json:"failed"`
	PerSecond float64 `json:"per_second"`
	P50MS     float64 `json:"p50_ms"`
	P95MS     float64 `json:"p95_ms"`
	P99MS     float64 `json:"p99_ms"`
}

// EdgeGate is the overload control of one process type.
type EdgeGate struct {
	Process  string  `json:"process"`
	Mode     string  `json:"mode" enum:"off,observe,on"`
	Limit    int     `json:"limit" doc:"Requests that the instances which are up serve at a time, told or found out."`
	InFlight int     `json:"in_flight" doc:"Requests that are served now."`
	Queued   int     `json:"queued" doc:"Requests that wait."`
	Level    int     `json:"level" doc:"The lowest priority that is admitted: 511 is all, 128 to a class."`
	Admits   string  `json:"admits" doc:"The same in words: all, or the least class and how many in a hundred of its users."`
	WaitP99  float64 `json:"wait_p99" doc:"Seconds that one in a hundred waited, since somebody looked."`
}

// EdgeShed is a count of requests.
type EdgeShed struct {
	Class    string `json:"class"`
	Reason   string `json:"reason" doc:"level, app, full, evicted, late: overload; rate, concurrency: a rate limit; router: the router's own load."`
	Requests int64  `json:"requests"`
}
