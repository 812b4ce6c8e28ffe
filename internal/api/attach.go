package api

import (
	"net/url"
	"strconv"
)

// AttachQuery is the query of GET /v2/apps/<id>/run and of GET
// /v2/apps/<id>/pods/<type>/<name>/exec, which upgrade to a
// WebSocket joined to the command's input and output. Slipway's own.
type AttachQuery struct {
	Command  string
	Terminal bool
	// Term, Rows and Cols are the terminal's; unused without one.
	Term       string
	Rows, Cols uint16
}

// Values is the query in its URL form.
func (q AttachQuery) Values() url.Values {
	v := url.Values{"command": {q.Command}}
	if q.Terminal {
		v.Set("tty", "1")
		v.Set("term", q.Term)
		v.Set("rows", strconv.Itoa(int(q.Rows)))
		v.Set("cols", strconv.Itoa(int(q.Cols)))
	}
	return v
}
