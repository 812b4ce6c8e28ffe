package platform

import "time"

// EdgeStatus is what a router counts of one app.
type EdgeStatus struct {
	// Refused says why the app is served as it was before the last change of it;
	// empty: it is served as it shall be.
	Refused   string        `json:"refused,omitempty"`
	Processes []EdgeProcess `json:"processes,omitempty"`
	// Gates are before the process types where overload control is not off.
	Gates []EdgeGate `json:"gates,omitempty"`
	// Waiting requests have no instance yet.
	Waiting int `json:"waiting,omitempty"`
	// Shed is what was turned away since the router began, Would what would have
	// been if the app were not merely observed.
	Shed  []EdgeShed `json:"shed,omitempty"`
	Would []EdgeShed `json:"would,omitempty"`
}

// EdgeProcess is a process type that requests are led to.
type EdgeProcess struct {
	Process string `json:"process"`
	Open    int    `json:"open"` // requests under way
	// The windows are of about so much time before now.
	Second EdgeWindow `json:"second"`
	Ten    EdgeWindow `json:"ten"`
	Minute EdgeWindow `json:"minute"`
	// Instances by what their requests have found, and what came of it since the
	// router began.
	Sound       int   `json:"sound"`
	Out         int   `json:"out"`
	HalfOpen    int   `json:"half_open"`
	Ejections   int64 `json:"ejections"`
	Quarantines int64 `json:"quarantines"`
	Retries     int64 `json:"retries"`
	Hedges      int64 `json:"hedges"`
	Exhausted   int64 `json:"exhausted"`
}

// EdgeWindow is what ended within some time.
type EdgeWindow struct {
	Requests  int64         `json:"requests"`
	Failed    int64         `json:"failed"`
	PerSecond float64       `json:"per_second"`
	P50       time.Duration `json:"p50"`
	P95       time.Duration `json:"p95"`
	P99       time.Duration `json:"p99"`
}

// EdgeGate is the admission to the instances of a process type.
type EdgeGate struct {
	Process  string `json:"process"`
	Mode     string `json:"mode"`
	Limit    int    `json:"limit"` // requests at a time; 0: not known yet
	InFlight int    `json:"in_flight"`
	Queued   int    `json:"queued"`
	// Level is the lowest that is admitted, of 0 to 511, 128 to a class; 511: all are.
	Level int `json:"level"`
	// WaitP99 is what one in a hundred waited, since somebody asked.
	WaitP99 time.Duration `json:"wait_p99"`
}

// EdgeShed is how many requests of a class were turned away for a reason.
type EdgeShed struct {
	Class    string `json:"class"`
	Reason   string `json:"reason"`
	Requests int64  `json:"requests"`
}
