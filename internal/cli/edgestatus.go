package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

func (c *cli) edgeStatusCmd() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show what the edge does for the app at the moment, and what it turned away",
		Long: `Show what instances serve at a time, how many requests wait, who is admitted, and what was turned away since the edge's node
began, by class and reason. What an observed app's edge would have turned away is in a table of its own.

Reasons: level (below what is admitted), app (below what the app said in X-Load-Level), full and evicted (the queue had no room), late
(waited too long); rate and concurrency are those of rate limits; router is the router's own load.`,
		Example: "  slipway edge status\n  slipway edge status --json | jq .would", Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			status, err := s.EdgeStatus(ctx, app)
			if err != nil {
				return err
			}
			return c.answer(status, func() { c.showStatus(app, status) })
		}),
	}
}

func (c *cli) showStatus(app string, status api.EdgeStatus) {
	if len(status.Gates) == 0 {
		c.none("There is no overload control for %s. Count what it would do with: slipway edge set overload=observe", app)
	} else {
		t := newTable("TYPE", "OVERLOAD", "SERVES", "NOW", "WAITING", "WAITED", "ADMITS")
		for _, g := range status.Gates {
			t.row(g.Process, g.Mode, fmt.Sprint(g.Limit), fmt.Sprint(g.InFlight), fmt.Sprint(g.Queued),
				time.Duration(g.WaitP99*float64(time.Second)).Round(time.Millisecond).String(), g.Admits)
		}
		t.print(c.stdout)
	}
	c.showShed("TURNED AWAY", status.Shed)
	c.showShed("WOULD BE TURNED AWAY", status.Would)
}

func (c *cli) showShed(title string, shed []api.EdgeShed) {
	if len(shed) == 0 {
		return
	}
	c.stdout.say("")
	t := newTable(title, "CLASS", "REASON")
	for _, s := range shed {
		t.row(fmt.Sprint(s.Requests), s.Class, s.Reason)
	}
	t.print(c.stdout)
}
