package cli

import (
	"context"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) openCmd() *cobra.Command {
	var printOnly bool
	cmd := &cobra.Command{
		Use:     "open",
		Short:   "Open an app in the browser",
		Long:    "Open an app in the browser. Without one, print where it answers.",
		Example: "  slipway open\n  curl \"$(slipway open --print)\"",
		Args:    takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, id string, _ []string) error {
			app, err := s.App(ctx, id)
			if err != nil {
				return err
			}
			if len(app.URLs) == 0 {
				return hinted(because(platform.ErrNotFound, "app %s has no domain", id), "Add one with: slipway domains add %s", id)
			}
			return c.answer(app, func() { c.browse(ctx, app.URLs[0], printOnly) })
		}),
	}
	cmd.Flags().BoolVar(&printOnly, "print", false, "only print the URL")
	return c.ofApp(cmd)
}

// browse shows a page in the user's browser, if there is a screen to show it on.
func (c *cli) browse(ctx context.Context, page string, printOnly bool) {
	c.stdout.say("%s", page)
	if printOnly || !c.stdout.terminal {
		return
	}
	opener := c.opts.env("BROWSER")
	switch {
	case opener != "":
	case runtime.GOOS == "darwin":
		opener = "open"
	case c.opts.env("DISPLAY") != "" || c.opts.env("WAYLAND_DISPLAY") != "":
		opener = "xdg-open"
	}
	path := lookPath(c.opts.env("PATH"), opener)
	if opener == "" || path == "" {
		return
	}
	browser := exec.CommandContext(context.WithoutCancel(ctx), path, page)
	browser.Env = c.opts.Env
	if err := browser.Start(); err == nil {
		_ = browser.Process.Release()
	}
}
