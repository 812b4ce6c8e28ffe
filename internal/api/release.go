package api

// Release is a build and a config under a version; all but its outcome is
// immutable.
type Release struct {
	UUID    string  `json:"uuid"`
	App     string  `json:"app"`
	Owner   string  `json:"owner"`
	Created Time    `json:"created" format:"date-time"`
	Updated Time    `json:"updated" format:"date-time"`
	Version int     `json:"version"`
	Summary string  `json:"summary"`
	Failed  bool    `json:"failed"`
	Config  string  `json:"config" doc:"UUID of the config."`
	Build   *string `json:"build" doc:"UUID of the build; null before the first deploy."`

	// Slipway's own.
	State     string   `json:"state" enum:"pending,running,deploying,succeeded,failed"`
	Exception string   `json:"exception" doc:"Why it failed."`
	Receipt   *Receipt `json:"receipt,omitempty" doc:"What the cutover cost; absent without one."`
}

// Receipt counts every request across a cutover.
type Receipt struct {
	From          int     `json:"from" doc:"Version before; 0 for a first deploy."`
	To            int     `json:"to"`
	Requests      int64   `json:"requests"`
	Failed        int64   `json:"failed"`
	P99BeforeMS   float64 `json:"p99_before_ms" doc:"Of the old release, in the minute before; 0 when unknown."`
	P99AfterMS    float64 `json:"p99_after_ms"`
	Held          int64   `json:"held,omitempty" doc:"Requests that waited for the new instance, which could not begin beside the old one."`
	HeldLongestMS float64 `json:"held_longest_ms,omitempty" doc:"How long one waited."`
	LedMS         float64 `json:"led_ms,omitempty" doc:"From the shift until every router led by it."`
	TookMS        int64   `json:"took_ms" doc:"From the shift to the last drained connection."`
	Undone        bool    `json:"undone"`
	Reason        string  `json:"reason" doc:"Why it was undone."`

	Unjudged string        `json:"unjudged,omitempty" doc:"What there were too few requests for to judge it, in words."`
	Strategy string        `json:"strategy,omitempty" doc:"How the requests were led over; absent: at once."`
	Steps    []CutoverStep `json:"steps,omitempty" doc:"What both releases had while they served side by side."`
}

// Rollback is the body of POST /v2/apps/<id>/releases/rollback/; without a
// version it goes to the release before the current.
type Rollback struct {
	Version int `json:"version,omitempty"`
}

// RolledBack answers a Rollback with the version of the new release.
type RolledBack struct {
	Version int `json:"version"`
}
