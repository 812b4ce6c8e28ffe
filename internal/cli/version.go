package cli

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

func (c *cli) versionCmd() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the version",
		Long:    "Show the version of this program; --all shows the platform's as well, and whether the two understand one another.",
		Example: "  slipway version\n  slipway version --all     # the platform's too",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			said := struct {
				Version  string        `json:"version"`
				API      string        `json:"api"`
				Go       string        `json:"go"`
				System   string        `json:"system"`
				Platform *api.Platform `json:"platform,omitempty"`
			}{Version: c.opts.Version, API: api.APIVersion, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
			if all {
				s, err := c.connect()
				if err != nil {
					return err
				}
				p, err := s.Platform(ctx)
				if err != nil {
					return err
				}
				said.Platform = &p
			}
			return c.answer(said, func() {
				c.stdout.say("slipway %s (%s, %s)", said.Version, said.System, said.Go)
				if p := said.Platform; p != nil {
					c.stdout.say("platform %s at %s (%s, %s, isolation %s)", p.Version, p.APIURL, p.Engine, p.Runtime, p.Isolation)
				}
			})
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "ask the platform for its own as well")
	return c.common(cmd)
}
