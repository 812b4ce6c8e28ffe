package api

// EdgeStatus is what the edge does for an app at the moment, and what it turned
// away since its node began.
type EdgeStatus struct {
	Gates []EdgeGate `json:"gates" doc:"Before the instances of each process type; none where overload control is off."`
	Shed  []EdgeShed `json:"shed" doc:"Requests that were turned away."`
	Would []EdgeShed `json:"would" doc:"Requests of an observed app that would have been."`
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
