package api

import (
	"net/url"
	"strconv"
)

// LogQuery is the query of GET /v2/apps/<id>/logs, which answers text/plain:
// a line each, oldest first, 204 when there is none. All but Lines is
// Slipway's own.
type LogQuery struct {
	Lines   int    // last so many; 0 means 100
	Follow  bool   // keep the answer open and send lines as they come
	Process string // only of this process type
	Source  string // "app", "build" or "controller" only
}

// Values is the query in its URL form.
func (q LogQuery) Values() url.Values {
	v := url.Values{}
	if q.Lines > 0 {
		v.Set("log_lines", strconv.Itoa(q.Lines))
	}
	if q.Follow {
		v.Set("follow", "true")
	}
	if q.Process != "" {
		v.Set("process", q.Process)
	}
	if q.Source != "" {
		v.Set("source", q.Source)
	}
	return v
}
