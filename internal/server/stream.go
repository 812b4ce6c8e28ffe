package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	// recheck is how long a stream outlives what it was opened with: the
	// token, or the role on the app.
	recheck = 10 * time.Second
	// maxCommands and maxFollows bound what one user holds open at a time.
	// Each command is a process; each follower has lines waiting.
	maxCommands = 50
	maxFollows  = 200
)

// errRevoked is the cause of a stream's end when its asker may no longer.
var errRevoked = &platform.UserError{Kind: platform.ErrForbidden, Message: noPermission}

// guarded is a context of the call that ends when its token does, or when its
// user loses the role on the app. A database that does not answer ends nothing.
// The caller calls end.
func (s *server) guarded(c *call, need platform.Role) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(c.ctx())
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(s.recheck)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if s.revoked(ctx, c, need) {
					cancel(errRevoked)
				}
			}
		}
	})
	return ctx, func() { cancel(nil); watch.Wait() }
}

// revoked asks again what the call was admitted by. An app that is not there
// was renamed or is destroyed, which ends its streams itself.
func (s *server) revoked(ctx context.Context, c *call, need platform.Role) bool {
	token, err := bearer(c.r.Header.Get("Authorization"))
	if err != nil {
		return true
	}
	caller, _, err := s.users.ByToken(ctx, token)
	if err == nil {
		err = s.desk.May(ctx, caller, c.app(), need)
	}
	return errors.Is(err, platform.ErrUnauthenticated) || errors.Is(err, platform.ErrForbidden)
}

// crowd counts what each user holds open. Its zero value is ready.
type crowd struct {
	mu   sync.Mutex
	open map[string]int
}

// enter counts one more of the user's, unless there are most of them. The
// caller calls leave.
func (w *crowd) enter(user string, most int) (leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open[user] >= most {
		return nil, &protocolError{status: http.StatusTooManyRequests, detail: "You have too many of these open. End one first."}
	}
	if w.open == nil {
		w.open = make(map[string]int)
	}
	w.open[user]++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.open[user]--; w.open[user] == 0 {
			delete(w.open, user)
		}
	}, nil
}
