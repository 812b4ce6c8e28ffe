package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/client"
	"github.com/slipway-paas/slipway/internal/platform"
)

// examination is what doctor found.
type examination struct {
	Machine  []api.Finding `json:"machine"`  // this one
	Platform []api.Finding `json:"platform"` // the one logged in to
}

func (c *cli) doctorCmd() *cobra.Command {
	return c.common(&cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong, and the cure",
		Long: `Examine this machine for what a platform needs, and the platform you are logged in to, as its
administrator. Ends with 1 when something fails.`,
		Example: "  slipway doctor\n  slipway doctor --json",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			found := examination{Machine: []api.Finding{}, Platform: []api.Finding{}}
			if c.opts.Doctor != nil {
				found.Machine = append(found.Machine, c.opts.Doctor(ctx)...)
			}
			found.Platform = append(found.Platform, c.examine(ctx)...)
			if err := c.answer(found, func() { c.findings(found) }); err != nil {
				return err
			}
			for _, f := range append(found.Machine, found.Platform...) {
				if f.Status == "fail" {
					return exitError(ExitFailed)
				}
			}
			return ctx.Err()
		}),
	})
}

// examine asks the platform; that it cannot be asked is a finding too.
func (c *cli) examine(ctx context.Context) []api.Finding {
	s, err := c.connect()
	if errors.Is(err, platform.ErrUnauthenticated) {
		return []api.Finding{{Name: "login", Status: "ok", Text: "not logged in: the platform was not asked"}}
	}
	var findings []api.Finding
	if err == nil {
		findings, err = s.Doctor(ctx)
	}
	var away *client.ConnectError
	switch {
	case err == nil:
		return findings
	case errors.Is(err, platform.ErrForbidden):
		return []api.Finding{{Name: "platform", Status: "ok", Text: s.URL() + " answers; only its administrators may examine it"}}
	case errors.As(err, &away):
		return []api.Finding{{Name: "platform", Status: "fail", Text: wording(err), Cure: nextStep(err)}}
	}
	return []api.Finding{{Name: "platform", Status: "warn", Text: wording(err), Cure: nextStep(err)}}
}

func (c *cli) findings(found examination) {
	for _, part := range []struct {
		title string
		found []api.Finding
	}{{"This machine", found.Machine}, {"The platform", found.Platform}} {
		if len(part.found) == 0 {
			continue
		}
		c.stdout.say("%s", c.stdout.paint(strong, part.title))
		for _, f := range part.found {
			mark := map[string]tone{"ok": good, "warn": wary, "fail": bad}[f.Status]
			c.stdout.say("  %s %s: %s", c.stdout.paint(mark, fmt.Sprintf("%-4s", f.Status)), printable(f.Name), printable(f.Text))
			if f.Cure != "" {
				c.stdout.say("       %s", printable(f.Cure))
			}
		}
	}
}
