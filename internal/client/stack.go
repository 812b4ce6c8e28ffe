package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/slipway-paas/slipway/internal/api"
)

// Stacks lists the images that slugs are laid on, by name.
func (c *Client) Stacks(ctx context.Context) ([]api.Stack, error) {
	stacks, _, err := list[api.Stack](ctx, c, path("stacks"), 0)
	return stacks, err
}

// BuildStack makes a stack at the platform and hands each line it tells to
// line. It ends there when ctx does.
func (c *Client) BuildStack(ctx context.Context, b api.BuildStack, line func(string)) (api.Stack, error) {
	at := path("stacks")
	resp, err := c.send(ctx, request{method: http.MethodPost, path: at, in: b})
	if err != nil {
		return api.Stack{}, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(io.LimitReader(resp.Body, maxBody))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var p api.StackProgress
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return api.Stack{}, &NotPlatformError{URL: c.URL(), Reason: "POST " + at + ": " + err.Error()}
		}
		switch {
		case p.Stack != nil:
			return *p.Stack, nil
		case p.Status != 0:
			return api.Stack{}, &Error{Answer: api.ParseError(p.Status, p.Error), Method: http.MethodPost, Path: at}
		default:
			line(p.Line)
		}
	}
	if err := ctx.Err(); err != nil {
		return api.Stack{}, err
	}
	return api.Stack{}, &ConnectError{URL: c.URL(), Err: errors.Join(errors.New("the answer broke off: the stack was not made"), lines.Err())}
}

// UseStack chooses what slugs are laid on: a stack by its name, none, or an
// image, which becomes a stack of that name.
func (c *Client) UseStack(ctx context.Context, which, name string) (api.Stack, error) {
	var stack api.Stack
	return stack, c.deploy(ctx, path("stacks", "use"), api.UseStack{Stack: which, Name: name}, &stack)
}

// RemoveStack forgets a stack that is not in force.
func (c *Client) RemoveStack(ctx context.Context, name string) error {
	return c.delete(ctx, path("stacks", name), quick)
}

// Rebase lays an app's slug on the stack in force and returns the version of
// the release that this makes, when it serves.
func (c *Client) Rebase(ctx context.Context, app string) (int, error) {
	var answer api.RolledBack
	err := c.deploy(ctx, path("apps", app, "rebase"), nil, &answer)
	return answer.Version, err
}
