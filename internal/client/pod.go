package client

import (
	"context"

	"github.com/slipway-paas/slipway/internal/api"
)

// Pods lists what runs of an app, newest first; an empty process type or name
// means all.
func (c *Client) Pods(ctx context.Context, app, process, name string) ([]api.Pod, error) {
	var pods api.Pods
	err := c.get(ctx, path(podPath(app, process, name)...), &pods)
	return orNone(pods.Results), err
}

// Restart replaces what Pods would list and returns the replacements.
func (c *Client) Restart(ctx context.Context, app, process, name string) ([]api.Pod, error) {
	var pods []api.Pod
	return pods, c.deploy(ctx, path(append(podPath(app, process, name), "restart")...), nil, &pods)
}

func podPath(app, process, name string) []string {
	segments := []string{"apps", app, "pods"}
	if name != "" && process == "" {
		process = "any" // the platform goes by the name alone
	}
	for _, segment := range []string{process, name} {
		if segment != "" {
			segments = append(segments, segment)
		}
	}
	return segments
}
