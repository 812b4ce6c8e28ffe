package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

func (c *cli) passwdCmd() *cobra.Command {
	var username string
	var stdin bool
	cmd := &cobra.Command{
		Use:   "passwd",
		Short: "Change your password",
		Example: `  slipway passwd
  slipway passwd -u carol            # an administrator sets another's
  printf 'old\nnew\n' | slipway passwd --password-stdin`,
		Args: takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			s, err := c.connect()
			if err != nil {
				return err
			}
			change := api.Passwd{Username: username}
			if username == "" {
				if change.Password, err = c.askPassword(ctx, stdin, "Present password: "); err != nil {
					return err
				}
			}
			if change.NewPassword, err = c.newPassword(ctx, stdin); err != nil {
				return err
			}
			if err := s.ChangePassword(ctx, change); err != nil {
				return err
			}
			return c.answer(api.Status{Status: "password set"}, func() { c.stdout.say("Password changed.") })
		}),
	}
	cmd.Flags().StringVarP(&username, "username", "u", "", "whose, as an administrator")
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the present and the new password from stdin, a line each")
	return c.common(cmd)
}
