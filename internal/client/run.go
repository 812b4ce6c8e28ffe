package client

import (
	"context"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/attach"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Run runs one command line in a fresh instance, without input, and returns
// its whole output and its exit code.
func (c *Client) Run(ctx context.Context, app, command string) (api.RunResult, error) {
	var result api.RunResult
	return result, c.deploy(ctx, bare("apps", app, "run"), api.Run{Command: command}, &result)
}

// Attach runs one command line in a fresh instance joined to stream, blocks
// until it ended, and returns its exit code. The command ends with ctx.
func (c *Client) Attach(ctx context.Context, app, command string, stream platform.IO) (exit int, err error) {
	return c.join(ctx, bare("apps", app, "run"), command, stream)
}

// Exec is Attach inside an instance that runs. Its process type may be empty:
// the platform goes by the name.
func (c *Client) Exec(ctx context.Context, app, process, name, command string, stream platform.IO) (exit int, err error) {
	return c.join(ctx, bare(append(podPath(app, process, name), "exec")...), command, stream)
}

// join opens a WebSocket and joins it to stream.
func (c *Client) join(ctx context.Context, route, command string, stream platform.IO) (int, error) {
	q := api.AttachQuery{Command: command}
	if t := stream.Terminal; t != nil {
		q.Terminal, q.Term, q.Rows, q.Cols = true, t.Term, t.Size.Rows, t.Size.Cols
	}
	conn, resp, err := websocket.Dial(ctx, c.target(route, q.Values()), &websocket.DialOptions{
		HTTPClient: c.ws,
		HTTPHeader: c.header(),
	})
	if err != nil {
		if resp != nil && resp.Body != nil && resp.StatusCode >= 300 {
			defer resp.Body.Close()
			return 0, c.refusal(resp, "GET", route)
		}
		return 0, c.unreachable(ctx, err)
	}
	return attach.Join(ctx, conn, stream)
}
