package server

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	// lineTimeout is how long a reader of a stream may take for a line.
	lineTimeout = time.Minute
	// lineTime is ISO 8601 with a numeric offset, as log lines carry it.
	lineTime = "2006-01-02T15:04:05-07:00"
)

// logs writes the stream as text while it comes. Nothing logged is 204.
func (s *server) logs(c *call) (answer, error) {
	query := c.r.URL.Query()
	q := controller.LogQuery{Process: query.Get("process"), Source: query.Get("source")}
	if n, err := strconv.Atoi(query.Get("log_lines")); err == nil && n > 0 {
		q.Lines = n
	}
	if c.r.Method == http.MethodGet { // HEAD has nothing to wait for
		q.Follow, _ = strconv.ParseBool(query.Get("follow"))
	}
	ctx := c.ctx()
	if q.Follow {
		// The answer begins before the first line, which may take its time:
		// after this no error can be told.
		if err := s.desk.May(c.ctx(), c.caller, c.app(), platform.RoleViewer); err != nil {
			return answer{}, err
		}
		leave, err := s.follows.enter(c.caller.User, maxFollows)
		if err != nil {
			return answer{}, err
		}
		defer leave()
		var end func()
		ctx, end = s.guarded(c, platform.RoleViewer)
		defer end()
	}
	out := &lines{w: c.w, control: http.NewResponseController(c.w)}
	if q.Follow {
		out.begin()
		out.flush()
	}
	err := s.desk.Logs(ctx, c.caller, c.app(), q, func(line platform.LogLine) bool {
		if !out.write(lineText(line)) {
			return false
		}
		return !q.Follow || out.flush()
	})
	switch {
	case !out.begun && err != nil:
		return answer{}, err
	case !out.begun:
		return noContent()
	case err != nil && ctx.Err() == nil:
		s.log.Warn("log stream broke off", "request_id", c.id, "app", c.app(), "err", err)
	}
	out.end()
	return answer{}, nil
}

// lines is a text answer of which each line must get out in time.
type lines struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (l *lines) begin() {
	l.begun = true
	l.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	l.w.WriteHeader(http.StatusOK)
}

func (l *lines) write(line string) bool {
	if !l.begun {
		l.begin()
	}
	_ = l.control.SetWriteDeadline(time.Now().Add(lineTimeout))
	_, err := l.w.Write([]byte(line))
	return err == nil
}

func (l *lines) flush() bool { return l.control.Flush() == nil }

// end lifts the deadline: the connection may carry another request.
func (l *lines) end() {
	l.flush()
	_ = l.control.SetWriteDeadline(time.Time{})
}

// lineText is a line as Deis' clients colour it: time, tag, text. A line of the
// platform about an app, such as the router's of a request, is of no instance.
func lineText(line platform.LogLine) string {
	tag := "deis[" + line.Source + "]"
	if line.Source == platform.LogApp {
		from := line.Process
		if line.Instance != "" {
			from = fmt.Sprintf("%s.v%d.%s", from, line.Release, line.Instance[max(0, len(line.Instance)-5):])
		}
		tag = line.App + "[" + from + "]"
	}
	return line.At.UTC().Format(lineTime) + " " + tag + ": " + line.Text + "\n"
}
