package client

import (
	"context"

	"github.com/slipway-paas/slipway/internal/api"
)

// Crons are when process types of the app run by themselves.
func (c *Client) Crons(ctx context.Context, app string) ([]api.Cron, error) {
	var all api.List[api.Cron]
	err := c.get(ctx, path("apps", app, "crons"), &all)
	return orNone(all.Results), err
}

// Cron is that of one process type.
func (c *Client) Cron(ctx context.Context, app, process string) (api.Cron, error) {
	var cron api.Cron
	return cron, c.get(ctx, path("apps", app, "crons", process), &cron)
}

// SetCron adds or changes one; platform.ErrConflict when nothing changes.
func (c *Client) SetCron(ctx context.Context, app string, patch api.SetCron) (api.Cron, error) {
	var cron api.Cron
	return cron, c.post(ctx, path("apps", app, "crons"), patch, &cron)
}

// RemoveCron removes one with its history, and ends what runs by it.
func (c *Client) RemoveCron(ctx context.Context, app, process string) error {
	return c.delete(ctx, path("apps", app, "crons", process), quick)
}

// RunCron runs one now and returns at once; CronRun tells how it goes on.
func (c *Client) RunCron(ctx context.Context, app, process string) (api.CronRun, error) {
	var run api.CronRun
	return run, c.post(ctx, path("apps", app, "crons", process, "runs"), nil, &run)
}

// CronRuns lists the runs of one, newest first.
func (c *Client) CronRuns(ctx context.Context, app, process string, limit int) ([]api.CronRun, int, error) {
	return list[api.CronRun](ctx, c, path("apps", app, "crons", process, "runs"), limit)
}

// CronRun is one run.
func (c *Client) CronRun(ctx context.Context, app, process, uuid string) (api.CronRun, error) {
	var run api.CronRun
	return run, c.get(ctx, path("apps", app, "crons", process, "runs", uuid), &run)
}
