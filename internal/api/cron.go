package api

// Cron is when a process type runs by itself.
type Cron struct {
	App      string   `json:"app"`
	Process  string   `json:"process"`
	Schedule string   `json:"schedule" doc:"cron's five fields, or @hourly, @daily, @weekly, @monthly or @yearly."`
	Timezone string   `json:"timezone" doc:"Of the IANA list."`
	Overlap  string   `json:"overlap" enum:"forbid,allow,replace" doc:"What becomes of a run that is due while the last one runs."`
	Missed   string   `json:"missed" enum:"skip,once" doc:"What becomes of runs that nothing could start at their time."`
	Deadline int      `json:"deadline" doc:"Seconds after which a run is ended."`
	Paused   bool     `json:"paused"`
	Created  Time     `json:"created" format:"date-time"`
	Updated  Time     `json:"updated" format:"date-time"`
	Next     []Time   `json:"next" doc:"The next moments; none while paused."`
	Last     *CronRun `json:"last,omitempty" doc:"The newest run; absent before the first."`
	Problem  string   `json:"problem" doc:"Why the next run would fail, as far as can be seen."`
}

// SetCron is the body of POST /v2/apps/<id>/crons/; absent fields stay, or
// have their defaults in a new one.
type SetCron struct {
	Process  string  `json:"process"`
	Schedule *string `json:"schedule,omitempty"`
	Timezone *string `json:"timezone,omitempty"`
	Overlap  *string `json:"overlap,omitempty" enum:"forbid,allow,replace"`
	Missed   *string `json:"missed,omitempty" enum:"skip,once"`
	Deadline *int    `json:"deadline,omitempty" doc:"Seconds."`
	Paused   *bool   `json:"paused,omitempty"`
}

// CronRun is one run of a cron, or why there was none.
type CronRun struct {
	UUID      string `json:"uuid"`
	App       string `json:"app"`
	Process   string `json:"process"`
	Scheduled Time   `json:"scheduled" format:"date-time"`
	Manual    bool   `json:"manual" doc:"Somebody asked for it."`
	By        string `json:"by" doc:"Who did."`
	State     string `json:"state" enum:"waiting,running,succeeded,failed,skipped,missed,interrupted"`
	Reason    string `json:"reason" doc:"Why it did not succeed, or ran late."`
	ExitCode  *int   `json:"exit_code" doc:"null when the process did not end by itself."`
	Release   string `json:"release" doc:"Such as v7; empty when nothing was started."`
	Instance  string `json:"instance" doc:"The name its lines have in the log."`
	Missed    int    `json:"missed" doc:"How many moments it stands for beside its own."`
	Started   *Time  `json:"started" format:"date-time"`
	Ended     *Time  `json:"ended" format:"date-time"`
}

// Done reports whether the run has come to its end.
func (r CronRun) Done() bool { return r.State != "waiting" && r.State != "running" }
