package client

import (
	"context"
	"io"
	"net/http"

	"github.com/slipway-paas/slipway/internal/api"
)

// Logs opens an app's stream: lines of text, oldest first, and with Follow
// what comes after them until the reader is closed or ctx ends. An app that
// has said nothing is an empty stream. The caller closes it.
func (c *Client) Logs(ctx context.Context, app string, q api.LogQuery) (io.ReadCloser, error) {
	resp, err := c.send(ctx, request{method: http.MethodGet, path: bare("apps", app, "logs"), query: q.Values()})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
