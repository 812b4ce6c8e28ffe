package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

func (c *cli) passwdCmd() *cobra.Command {
	var username, before, after string
	var stdin bool
	cmd := &cobra.Command{
		Use:   "passwd",
		Short: "Change your password",
		Long:  "Change your password; an administrator sets another's with -u. Logins and tokens go on holding.",
		Example: `  slipway passwd
  slipway passwd -u carol            # an administrator sets another's
  printf 'old\nnew\n' | slipway passwd --password-stdin`,
		Args: takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) (err error) {
			change := api.Passwd{Username: username, Password: before, NewPassword: after}
			if username == "" && before == "" {
				if change.Password, err = c.askPassword(ctx, stdin, "Present password: "); err != nil {
					return err
				}
			}
			if after == "" {
				if change.NewPassword, err = c.newPassword(ctx, stdin); err != nil {
					return err
				}
			}
			if err := s.ChangePassword(ctx, change); err != nil {
				return err
			}
			return c.answer(api.Status{Status: "password set"}, func() { c.stdout.say("Password changed.") })
		}),
	}
	cmd.Flags().StringVarP(&username, "username", "u", "", "whose, as an administrator")
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the present and the new password from stdin, a line each")
	cmd.Flags().StringVar(&before, "password", "", "the present password, which others on this machine can see then")
	cmd.Flags().StringVar(&after, "new-password", "", "the new one, which others on this machine can see then")
	must(cmd.Flags().MarkHidden("password"))
	must(cmd.Flags().MarkHidden("new-password"))
	return c.common(cmd)
}
