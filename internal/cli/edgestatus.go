package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) edgeStatusCmd() *cobra.Command {
	var watch string
	cmd := &cobra.Command{
		Use: "status", Short: "Show what the edge does for the app at the moment, and what it turned away",
		Long: `Show what came to the app in the last minute: requests a second, how many failed and how long they took; what is under way, and
instances that are passed over because they fail (out). --json has the last second and ten seconds too.

Below is overload control: what instances serve at a time, how many requests wait, who is admitted, and what was turned away since the edge's node
began, by class and reason. What an observed app's edge would have turned away is in a table of its own.

Reasons: level (below what is admitted), app (below what the app said in X-Load-Level), full and evicted (the queue had no room), late
(waited too long); rate and concurrency are those of rate limits; router is the router's own load.`,
		Example: "  slipway edge status\n  slipway edge status --watch\n  slipway edge status --json | jq .would", Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			if watch == "" {
				return c.edgeStatus(ctx, s, app)
			}
			every, ok := platform.ParseSpan(watch)
			if !ok || every < leastWatch {
				return &usageError{"slipway edge status", fmt.Sprintf("%q is no time between two looks: write --watch=2s", watch)}
			}
			return c.watchEdge(ctx, s, app, every)
		}),
	}
	cmd.Flags().StringVarP(&watch, "watch", "w", "", "look again after so `long`, 2s unless told, until Ctrl-C")
	cmd.Flags().Lookup("watch").NoOptDefVal = "2s"
	return cmd
}

// leastWatch is the shortest time between two looks.
const leastWatch = 500 * time.Millisecond

// watchEdge shows the status again and again, until ctx ends.
func (c *cli) watchEdge(ctx context.Context, s *session, app string, every time.Duration) error {
	for {
		if c.stdout.terminal && !c.json {
			fmt.Fprint(c.stdout, "\x1b[H\x1b[2J") // the screen, from its top
		}
		if err := c.edgeStatus(ctx, s, app); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

func (c *cli) edgeStatus(ctx context.Context, s *session, app string) error {
	status, err := s.EdgeStatus(ctx, app)
	if err != nil {
		return err
	}
	return c.answer(status, func() {
		if status.Refused != "" {
			c.stdout.say("The router refused the last change of %s, and serves it as before: %s\n", app, status.Refused)
		}
		c.showTraffic(status)
		c.showStatus(app, status)
	})
}

func (c *cli) showTraffic(status api.EdgeStatus) {
	if len(status.Processes) == 0 {
		return
	}
	t := newTable("TYPE", "REQUESTS/S", "FAILED", "P50", "P95", "P99", "OPEN", "INSTANCES", "REPEATED")
	for _, p := range status.Processes {
		w := p.Minute
		t.row(p.Process, fmt.Sprintf("%.1f", w.PerSecond), shareText(w.Failed, w.Requests), millis(w.P50MS), millis(w.P95MS), millis(w.P99MS),
			fmt.Sprint(p.Open), instancesText(p), repeatedText(p))
	}
	t.print(c.stdout)
	if status.Waiting > 0 {
		c.stdout.say("%s without an instance yet", plural(status.Waiting, "request"))
	}
	c.stdout.say("")
}

func shareText(part, of int64) string {
	if part == 0 || of == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%.1f%%)", part, 100*float64(part)/float64(of))
}

func millis(ms float64) string {
	switch {
	case ms == 0:
		return "-"
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 10_000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}

func instancesText(p api.EdgeProcess) string {
	text := fmt.Sprint(p.Sound)
	if p.Out > 0 {
		text += fmt.Sprintf(", %d out", p.Out)
	}
	if p.HalfOpen > 0 {
		text += fmt.Sprintf(", %d tried again", p.HalfOpen)
	}
	return text
}

func repeatedText(p api.EdgeProcess) string {
	var words []string
	for _, n := range []struct {
		count int64
		what  string
	}{{p.Retries, "retried"}, {p.Hedges, "hedged"}, {p.Exhausted, "over budget"}} {
		if n.count > 0 {
			words = append(words, fmt.Sprintf("%d %s", n.count, n.what))
		}
	}
	return strings.Join(words, ", ")
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
