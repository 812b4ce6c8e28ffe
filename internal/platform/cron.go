package platform

import "time"

// Cron is when a process type of an app runs by itself. It is the app's, not a
// release's: each run takes the release that serves at its time.
type Cron struct {
	App, Process string
	Schedule     string // cron's five fields, or @daily and its like: see package schedule
	Timezone     string // of the IANA list
	Overlap      CronOverlap
	Missed       CronMissed
	// Deadline ends a run that takes longer.
	Deadline time.Duration
	Paused   bool
	// Handled is the last moment of the schedule that is dealt with, or when
	// the schedule was set.
	Handled          time.Time
	Created, Updated time.Time
}

// CronOverlap is what becomes of a run that is due while the last one runs.
type CronOverlap string

// What may become of it.
const (
	OverlapForbid  CronOverlap = "forbid"  // it is skipped
	OverlapAllow   CronOverlap = "allow"   // both run
	OverlapReplace CronOverlap = "replace" // the one that runs is ended
)

// CronMissed is what becomes of runs that were due while nothing could start them.
type CronMissed string

// What may become of them.
const (
	MissedSkip CronMissed = "skip" // they are noted
	MissedOnce CronMissed = "once" // one run stands in for all
)

// CronRun is one run of a Cron, or why there was none.
type CronRun struct {
	UUID, App, Process string
	Scheduled          time.Time // unique of a Cron
	Manual             bool      // somebody asked for it, by the name of By
	By                 string
	State              CronRunState
	Reason             string // why it did not succeed, or ran late
	Exit               int    // of the process, once it has ended by itself
	Release            int    // 0 before it begins
	Instance           string // likewise empty
	Missed             int    // how many moments it stands for beside its own
	Started, Ended     time.Time
}

// CronRunState is how far a run has come.
type CronRunState string

// The states of a run; it goes from waiting to running to one of the others.
const (
	CronRunWaiting     CronRunState = "waiting" // for room
	CronRunRunning     CronRunState = "running"
	CronRunSucceeded   CronRunState = "succeeded"
	CronRunFailed      CronRunState = "failed"
	CronRunSkipped     CronRunState = "skipped"     // another one ran, or there was no room
	CronRunMissed      CronRunState = "missed"      // nothing was there to start it
	CronRunInterrupted CronRunState = "interrupted" // ended by somebody else
)

// Done reports whether the state is final.
func (s CronRunState) Done() bool { return s != CronRunWaiting && s != CronRunRunning }

// Bounds of crons.
const (
	MaxCrons       = 100 // of an app
	MaxCronRuns    = 100 // that are kept of a cron, those under way aside
	MaxCronActive  = 10  // runs of a cron at a time
	MaxDeadline    = 24 * time.Hour
	CronDeadline   = time.Hour // unless told
	MinDeadline    = time.Second
	CronTimezone   = "UTC" // unless told
	MaxCronReason  = 500   // bytes
	CronNextShown  = 5
	CronClockDrift = 24 * time.Hour // a clock that goes back further was wrong before
)
