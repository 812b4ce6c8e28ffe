package access

import "github.com/prometheus/client_golang/prometheus"

// Gate is the admission control before the instances of one process type.
type Gate struct {
	App, Process    string
	Mode            string // off, observe, on
	Limit, InFlight int    // slots, and those that are taken
	Queued          int
	// Level is the lowest that is admitted, from 0 to 511: 128 to a class.
	Level int
	// WaitP99 is how long of a hundred requests that were served the one
	// queued that did so for long, since the last time somebody asked; seconds.
	WaitP99 float64
}

var (
	wouldDesc    = desc("shed_would_total", "Requests of observed apps that would have been turned away.", "app", "class", "reason")
	limitDesc    = desc("gate_limit", "Requests that the instances which are up serve at a time, told or found out.", "app", "process", "mode")
	takenDesc    = desc("gate_in_flight", "Requests that have one of those slots.", "app", "process")
	queuedDesc   = desc("gate_queued", "Requests that wait for one.", "app", "process")
	levelDesc    = desc("gate_level", "The lowest priority that is admitted; 511 is all, 128 to a class.", "app", "process")
	gateWaitDesc = desc("gate_wait_p99_seconds", "What one in a hundred requests waits for a slot at least, since the last reading.", "app", "process")
)

func (g *Gate) collect(to chan<- prometheus.Metric) {
	gauge(to, limitDesc, float64(g.Limit), g.App, g.Process, g.Mode)
	gauge(to, takenDesc, float64(g.InFlight), g.App, g.Process)
	gauge(to, queuedDesc, float64(g.Queued), g.App, g.Process)
	gauge(to, levelDesc, float64(g.Level), g.App, g.Process)
	gauge(to, gateWaitDesc, g.WaitP99, g.App, g.Process)
}
