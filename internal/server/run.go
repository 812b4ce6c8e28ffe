package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/attach"
	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	// runTimeout bounds a run nobody is attached to.
	runTimeout = 20 * time.Minute
	// maxOutput bounds what such a run's answer holds, in bytes.
	maxOutput = 4 << 20
)

// run blocks until the command has ended; a code other than 0 is still 200. It
// ends with its time, not with whoever asked: half a migration helps nobody.
func (s *server) run(c *call) (answer, error) {
	f := c.body
	command := f.optional("command")
	if err := f.err(); err != nil {
		return answer{}, err
	}
	if err := checkCommand(command); err != nil {
		return answer{}, err
	}
	leave, err := s.commands.enter(c.caller.User, maxCommands)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(c.ctx(), runTimeout)
	defer cancel()
	var out output
	exit, err := s.desk.Run(ctx, c.caller, c.app(), command, platform.IO{Stdout: &out, Merged: true})
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return answer{}, &platform.UserError{
			Kind:    platform.ErrUnavailable,
			Message: c.app() + " (run): Timed out (20 mins) while running",
		}
	}
	if err != nil {
		return answer{}, err
	}
	return ok(api.RunResult{ExitCode: exit, Output: out.String()})
}

// attach joins a WebSocket to a command in an instance of its own.
func (s *server) attach(c *call) (answer, error) {
	return s.join(c, func(ctx context.Context, command string, stream platform.IO) (int, error) {
		return s.desk.Run(ctx, c.caller, c.app(), command, stream)
	})
}

// exec joins one to a command inside an instance that runs. The name decides
// alone: clients guess the type from it.
func (s *server) exec(c *call) (answer, error) {
	return s.join(c, func(ctx context.Context, command string, stream platform.IO) (int, error) {
		return s.desk.Exec(ctx, c.caller, c.app(), c.path["name"], command, stream)
	})
}

// join upgrades to a WebSocket and joins it to what start runs.
func (s *server) join(c *call, start func(context.Context, string, platform.IO) (int, error)) (answer, error) {
	command, open, err := attachment(c)
	if err != nil {
		return answer{}, err
	}
	// After the upgrade only the stream can tell what is wrong.
	if err := s.desk.May(c.ctx(), c.caller, c.app(), platform.RoleOperator); err != nil {
		return answer{}, err
	}
	if !strings.EqualFold(c.r.Header.Get("Upgrade"), "websocket") {
		return answer{}, &protocolError{
			status: http.StatusUpgradeRequired,
			detail: "Upgrade to a WebSocket to attach.",
		}
	}
	leave, err := s.commands.enter(c.caller.User, maxCommands)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	conn, err := websocket.Accept(c.w, c.r, nil)
	if err != nil {
		return answer{}, nil // Accept has answered
	}
	ctx, end := s.guarded(c, platform.RoleOperator)
	defer end()
	err = attach.Serve(ctx, conn, open, func(ctx context.Context, stream platform.IO) (int, error) {
		return start(ctx, command, stream)
	})
	if err != nil {
		s.log.Debug("attached command broke off", "request_id", c.id, "app", c.app(), "err", err)
	}
	return answer{}, nil
}

// attachment reads the query of a request to attach.
func attachment(c *call) (command string, open attach.Open, err error) {
	query := c.r.URL.Query()
	command = query.Get("command")
	open = attach.Open{Term: query.Get("term"), Size: platform.WindowSize{
		Rows: characters(query.Get("rows")), Cols: characters(query.Get("cols")),
	}}
	open.Terminal, _ = strconv.ParseBool(query.Get("tty"))
	if len(open.Term) > 64 || strings.ContainsRune(open.Term, 0) {
		err = fieldError("term", "This is no name of a terminal.")
	}
	return command, open, errors.Join(checkCommand(command), err)
}

func checkCommand(command string) error {
	switch {
	case command == "":
		return fieldError("", "command is a required field")
	case strings.ContainsRune(command, 0) || !utf8.ValidString(command):
		return fieldError("command", isNUL)
	}
	return nil
}

// characters reads a side of a window; 0 when it is none.
func characters(text string) uint16 {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// output keeps what a command prints, stdout and stderr as they come, up to
// maxOutput.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
	cut bool
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	keep := min(len(p), maxOutput-o.buf.Len())
	o.cut = o.cut || keep < len(p)
	o.buf.Write(p[:keep])
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cut {
		return o.buf.String() + "\n(cut here: more than 4 MiB; attach to the run to see all)\n"
	}
	return o.buf.String()
}
