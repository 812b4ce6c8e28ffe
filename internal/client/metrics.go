package client

import (
	"context"
	"io"
	"net/http"
)

// maxMetrics bounds what a platform tells of itself.
const maxMetrics = 256 << 20

// Metrics is what Prometheus reads of the platform, for administrators.
func (c *Client) Metrics(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	resp, err := c.send(ctx, request{method: http.MethodGet, path: bare("metrics")})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxMetrics))
	return string(text), err
}
