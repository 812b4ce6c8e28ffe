package api

// Cutover is how an app's requests are led from one release to the next.
// Slipway's own.
type Cutover struct {
	Strategy map[string]string `json:"strategy" doc:"What was said of it, by word: strategy, steps, count, weight, header, cookie, mirror, by, sticky, pause, min-requests, deadline, error-budget, latency-budget, size-budget."`
	UnderWay *CutoverUnderWay  `json:"under_way,omitempty" doc:"The cutover in steps that is under way; absent without one."`
}

// SetCutover is the body of POST /v2/apps/<id>/cutover/: words of a strategy;
// null or an empty one takes a word back.
type SetCutover map[string]*string

// CutoverUnderWay is a cutover in steps as it stands.
type CutoverUnderWay struct {
	Release  int               `json:"release"`
	From     int               `json:"from" doc:"The release that served before, and serves beside it."`
	Strategy map[string]string `json:"strategy" doc:"As it was when the cutover began."`
	Step     int               `json:"step" doc:"From 1; 0 while instances start, and more than there are while the last ones do."`
	Steps    []string          `json:"steps" doc:"What each step is."`
	Waits    string            `json:"waits" doc:"What the step waits for."`
	Since    Time              `json:"since" format:"date-time" doc:"When the step began."`
	Started  Time              `json:"started" format:"date-time"`
	Word     string            `json:"word" enum:",promote,abort" doc:"What somebody said about it."`
	By       string            `json:"by" doc:"Who did."`
	Undone   string            `json:"undone" doc:"Why it is being led back."`
	Old      SideCount         `json:"old" doc:"What the old release had since the step began."`
	New      SideCount         `json:"new" doc:"What the new one had."`
	Mirror   *MirrorCount      `json:"mirror,omitempty" doc:"How the answers to copied requests compare."`
	Done     []CutoverStep     `json:"done" doc:"The steps before."`
}

// SideCount is what one of two releases had.
type SideCount struct {
	Requests int64   `json:"requests"`
	Failed   int64   `json:"failed"`
	P99MS    float64 `json:"p99_ms"`
}

// MirrorCount is how the answers to copied requests compare with those that
// clients got.
type MirrorCount struct {
	Compared int64   `json:"compared"`
	Dropped  int64   `json:"dropped" doc:"Not copied: there was no room."`
	Status   int64   `json:"status" doc:"Answers of another class of status."`
	Size     int64   `json:"size" doc:"Answers of another length."`
	Failed   int64   `json:"failed" doc:"Of those that the old release served well."`
	P99OldMS float64 `json:"p99_old_ms"`
	P99NewMS float64 `json:"p99_new_ms"`
}

// CutoverStep is one step of a cutover that is over.
type CutoverStep struct {
	Name   string       `json:"name"`
	Old    SideCount    `json:"old"`
	New    SideCount    `json:"new"`
	Mirror *MirrorCount `json:"mirror,omitempty"`
	TookMS int64        `json:"took_ms"`

	Unjudged string `json:"unjudged,omitempty" doc:"What there were too few requests for to judge it, in words."`
}
