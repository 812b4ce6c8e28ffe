package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/platform"
)

// The bounds of what a node may send and how long an answer may take.
const (
	maxBody = 32 << 20
	maxPoll = 60 * time.Second
)

// epochHeader carries the fleet's epoch in every answer, and the one a node
// knows in every request; the versions of another epoch mean nothing.
const epochHeader = "Slipway-Epoch"

var nodeID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,63}$`)

// Handler serves the nodes:
//
//	GET  /node/v1/state?node=&since=&certificates=each&news=   NodeState, at once when there is something newer, else within a minute; 204: nothing
//	POST /node/v1/report               NodeReport; 204, or 409: report everything
//	POST /node/v1/logs                 NodeLogs; 204: stored
//	GET  /node/v1/cursors?instance=    {"instance": offset} of the highest line stored
//	GET  /node/v1/attach/{run}         a WebSocket, the node's end of a RunOrder
//
// Who may reach it is a node: main serves it on a socket of mode 0600.
func (f *Fleet) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /node/v1/state", f.serveState)
	mux.HandleFunc("POST /node/v1/report", f.serveReport)
	mux.HandleFunc("POST /node/v1/logs", f.serveLogs)
	mux.HandleFunc("GET /node/v1/cursors", f.serveCursors)
	mux.HandleFunc("GET /node/v1/attach/{run}", f.serveAttach)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(epochHeader, f.disk.meta.Epoch)
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		mux.ServeHTTP(w, r)
	})
}

func (f *Fleet) serveState(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("node")
	since, err := strconv.ParseInt(r.FormValue("since"), 10, 64)
	if err != nil || since < 0 || !nodeID.MatchString(id) {
		http.Error(w, "state needs ?node= and ?since=", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), maxPoll)
	defer cancel()
	newsAt, err := strconv.ParseInt(r.FormValue("news"), 10, 64)
	asked := asked{r.Header.Get(epochHeader), since, r.FormValue("certificates") == "each", newsAt, err == nil}
	state, err := f.poll(ctx, id, asked)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		w.WriteHeader(http.StatusNoContent)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		writeJSON(w, state)
	}
}

// asked is what a node knows when it asks for news.
type asked struct {
	epoch  string
	since  int64 // version
	each   bool  // it knows of certificates one by one
	newsAt int64 // what it has heard of other routers
	hears  bool  // it knows of those
}

// poll blocks until there is something the node does not know.
func (f *Fleet) poll(ctx context.Context, id string, has asked) (platform.NodeState, error) {
	f.mu.Lock()
	n := f.node(id)
	if n == nil {
		f.mu.Unlock()
		return platform.NodeState{}, platform.ErrUnavailable
	}
	n.polls++
	f.lift(has.since)
	f.mu.Unlock()
	f.heard.ring()
	defer func() {
		f.mu.Lock()
		n.polls--
		n.last = time.Now()
		f.mu.Unlock()
	}()
	for {
		wished := f.wished.next()
		f.mu.Lock()
		state, news := f.news(n, has.epoch, has.since, has.each)
		if has.hears && f.tellNews(&state, n, has.newsAt) {
			news = true
		}
		f.mu.Unlock()
		if news {
			return state, nil
		}
		select {
		case <-ctx.Done():
			return platform.NodeState{}, ctx.Err()
		case <-f.closed.Done():
			return platform.NodeState{}, platform.ErrUnavailable
		case <-wished:
		case <-f.settling(n, has.epoch):
		}
	}
}

// settling fires when a fleet that lost its directory speaks to the nodes that
// knew it before.
func (f *Fleet) settling(n *node, epoch string) <-chan time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if left := f.holdBack(n, epoch); left > 0 {
		return time.After(left)
	}
	return nil
}

// holdBack is how long a node must not be told yet what shall be: it runs what
// this fleet may be asked for in a moment. f.mu is held.
func (f *Fleet) holdBack(n *node, epoch string) time.Duration {
	if !f.disk.fresh || f.settled || epoch == f.disk.meta.Epoch || epoch == "" && !f.hasUnclaimed(n.id) {
		return 0
	}
	return min(f.settle-time.Since(f.said), 10*f.settle-time.Since(f.opened))
}

// hasUnclaimed reports whether the node runs what nobody asked for; f.mu is held.
func (f *Fleet) hasUnclaimed(node string) bool {
	for _, all := range f.unclaimed {
		for _, i := range all {
			if i.Node == node {
				return true
			}
		}
	}
	return false
}

// news is what a node with version since has to hear; f.mu is held.
func (f *Fleet) news(n *node, epoch string, since int64, each bool) (platform.NodeState, bool) {
	state := platform.NodeState{Format: platform.StateFormat, Version: f.version, Runs: f.orders(n)}
	if f.holdBack(n, epoch) > 0 {
		state.Version = since
		return state, len(state.Runs) > 0
	}
	state.Full = since == 0 || since < f.floor || epoch != f.disk.meta.Epoch
	if f.version == since && !state.Full {
		return state, len(state.Runs) > 0
	}
	if f.edgeAt > since || state.Full {
		edge := f.edge
		state.Edge = &edge
	}
	if state.Full {
		since = -1
		state.Kept = slices.Sorted(maps.Keys(f.lost))
	}
	f.tellCertificates(&state, since, each)
	for id, a := range f.changedAfter(since) {
		if !a.Removed {
			state.Apps = append(state.Apps, a.State)
		} else if !state.Full {
			state.Removed = append(state.Removed, id)
		}
	}
	// Nothing was ever set: there is nothing to say, not even that.
	return state, f.version > 0 || len(state.Runs) > 0
}

func (f *Fleet) serveReport(w http.ResponseWriter, r *http.Request) {
	var report platform.NodeReport
	if !readJSON(w, r, &report) {
		return
	}
	if !nodeID.MatchString(report.Node) {
		http.Error(w, "a report needs its node's id", http.StatusBadRequest)
		return
	}
	if len(report.Asked) > 0 && f.asked != nil {
		f.asked(report.Asked)
	}
	if !f.report(report, r.Header.Get(epochHeader)) {
		http.Error(w, "report everything first", http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (f *Fleet) serveLogs(w http.ResponseWriter, r *http.Request) {
	var batch platform.NodeLogs
	if !readJSON(w, r, &batch) {
		return
	}
	if lines := f.believe(batch.Lines); len(lines) > 0 {
		f.logs.AppendNode(lines)
	}
	w.WriteHeader(http.StatusNoContent)
}

// believe keeps the lines of apps that are there. Instances may have gone
// before their last lines arrive, so their names alone must fit.
func (f *Fleet) believe(lines []platform.NodeLogLine) []platform.NodeLogLine {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := lines[:0]
	for _, l := range lines {
		a := f.apps[l.App]
		ours := a != nil && !a.Removed &&
			(l.Instance == "" || strings.HasPrefix(l.Instance, l.App+"-")) &&
			(l.Source == platform.LogApp || l.Source == platform.LogController)
		if ours {
			kept = append(kept, l)
		}
	}
	return kept
}

func (f *Fleet) serveCursors(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	cursors := make(map[string]int64)
	for _, id := range r.Form["instance"] {
		cursors[id] = f.logs.Cursor(id)
	}
	writeJSON(w, cursors)
}

func (f *Fleet) serveAttach(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	waiting := f.runs[r.PathValue("run")] // the id is 130 random bits
	delete(f.runs, r.PathValue("run"))    // for the first that dials
	f.mu.Unlock()
	if waiting == nil {
		http.Error(w, "nobody waits for this run", http.StatusNotFound)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // answered by Accept; the run times out
	}
	select {
	case waiting.dialled <- conn:
		<-waiting.finished
	case <-waiting.finished:
		conn.CloseNow()
	}
}

func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the node asks again
}
