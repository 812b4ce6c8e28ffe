package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"regexp"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/slipway-paas/slipway/internal/api"
)

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID is the edge's id of the request, or a new one.
func requestID(r *http.Request) string {
	if id := r.Header.Get(api.HeaderRequestID); trusted(r) && requestIDForm.MatchString(id) {
		return id
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}

// finish is deferred around a call: it turns a panic into a 500 and writes
// the access log. Neither shows a query, a header or a body: they carry
// secrets.
func (s *server) finish(c *call) {
	if p := recover(); p != nil {
		if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
			panic(p)
		}
		s.panicked(c, p)
	}
	if !s.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	s.log.Debug("request answered", "request_id", c.id, "method", c.r.Method, "path", c.r.URL.Path,
		"status", c.w.status, "took", time.Since(c.began), "user", c.caller.User, "from", c.from)
}

func (s *server) panicked(c *call, p any) {
	// A panic's value may be anything, also a secret; the runtime's are not.
	what := "value withheld"
	if err, ok := p.(runtime.Error); ok {
		what = err.Error()
	}
	s.log.Error("request panicked", "request_id", c.id, "method", c.r.Method, "path", c.r.URL.Path,
		"err", what, "stack", string(debug.Stack()))
	if c.w.status != 0 {
		panic(http.ErrAbortHandler) // too late for an answer: break it off
	}
	serverError().write(c)
}
