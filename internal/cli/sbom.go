package cli

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) sbomCmd() *cobra.Command {
	var provenance bool
	cmd := c.ofApp(&cobra.Command{
		Use: "sbom [vN]", Short: "Print what is in the image of a release, and where it came from",
		Long: `Print what is in the image of a release, the newest unless told, as a CycloneDX document: packages of the
system, modules of Go programs, packages of npm, Python, Ruby, PHP and Java. With --provenance it is how
the image was built, as an in-toto statement with a SLSA provenance; an image from elsewhere has none.
Both are attached to the image in the platform's registry, where other tools find them.`,
		Example: "  slipway sbom -a blog > blog.cdx.json\n  slipway sbom v3 | jq -r '.components[].purl'\n  slipway sbom --provenance",
		Args:    takes(0, 1, "one release such as v3"), ValidArgsFunction: c.completeReleases,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			version := 0
			if len(args) > 0 {
				var err error
				if version, err = platform.ParseReleaseTag(args[0]); err != nil {
					return err
				}
			} else {
				release, err := s.releaseOf(ctx, app, "")
				if err != nil {
					return err
				}
				version = release.Version
			}
			text, err := c.paper(ctx, s, app, version, provenance)
			if err != nil {
				return err
			}
			c.json = true // it is JSON either way
			return c.answer(text, func() {})
		}),
	})
	cmd.Flags().BoolVar(&provenance, "provenance", false, "print how it was built")
	return cmd
}

func (c *cli) paper(ctx context.Context, s *session, app string, version int, provenance bool) (json.RawMessage, error) {
	ask, what := s.SBOM, "runs no image that the platform keeps"
	if provenance {
		ask, what = s.Provenance, "runs no image that was built here, or nothing is told of it yet"
	}
	text, err := ask(ctx, app, version)
	if errors.Is(err, platform.ErrNotFound) {
		err = hinted(because(platform.ErrNotFound, "there is no release v%d of %s, or it %s", version, app, what), "%s", listStep("images", app))
	}
	return text, err
}
