package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func (c *cli) contextsCmd() *cobra.Command {
	return c.common(&cobra.Command{
		Use:     "contexts",
		Aliases: []string{"profiles"},
		Short:   "List the platforms you are logged in to",
		Long: `List the platforms you are logged in to. "slipway login -c NAME URL" adds one; -c NAME or
$SLIPWAY_CONTEXT chooses one, else it is the one called default.`,
		Example: "  slipway contexts\n  slipway login -c staging https://slipway.staging.example.com\n  slipway apps -c staging",
		Args:    takes(0, 0, ""),
		RunE:    c.verb(func(context.Context, []string) error { return c.contexts() }),
	})
}

// listedContext is a login without its token.
type listedContext struct {
	Name     string `json:"name"`
	URL      string `json:"url"`
	Username string `json:"username"`
	Current  bool   `json:"current"`
}

func (c *cli) contexts() error {
	names, err := c.contextNames()
	if err != nil {
		return err
	}
	listed := []listedContext{}
	for _, name := range names {
		p, err := c.loadProfile(name)
		if err != nil {
			return err
		}
		listed = append(listed, listedContext{name, p.URL, p.Username, name == c.contextID()})
	}
	return c.answer(listed, func() {
		if len(listed) == 0 {
			c.none("You are not logged in anywhere. Log in with: slipway login [URL]")
			return
		}
		t := newTable("CONTEXT", "USER", "PLATFORM", "")
		for _, l := range listed {
			mark := ""
			if l.Current {
				mark = "current"
			}
			t.row(l.Name, l.Username, l.URL, mark)
		}
		t.print(c.stdout)
	})
}
