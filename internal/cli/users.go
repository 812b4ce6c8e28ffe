package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

func (c *cli) usersCmd() *cobra.Command {
	cmd := group("users", "List who may log in, as an administrator", c.usersListCmd)
	cmd.Example = "  slipway users\n  slipway users --json"
	return c.common(cmd)
}

func (c *cli) usersListCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List who may log in",
		Long:    "List who may log in, for administrators. Add somebody with slipway register --login=false.",
		Example: "  slipway users list --limit 20",
		Args:    takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			users, count, err := s.Users(ctx, limit)
			if err != nil {
				return err
			}
			return page[api.User]{
				items: users, total: count, none: "There are no users yet. Make the first with: slipway register",
				heads: []string{"USER", "EMAIL", "JOINED", "LAST LOGIN", "NOTE"},
				row: func(u api.User) []string {
					return []string{u.Username, u.Email, c.when(u.DateJoined), c.when(u.LastLogin), userNote(u)}
				},
			}.show(c)
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func userNote(u api.User) string {
	var notes []string
	if u.IsSuperuser {
		notes = append(notes, "administrator")
	}
	if !u.IsActive {
		notes = append(notes, "may not log in")
	}
	return strings.Join(notes, ", ")
}
