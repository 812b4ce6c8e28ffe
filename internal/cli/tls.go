package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

func (c *cli) tlsCmd() *cobra.Command {
	cmd := group("tls", "Send plain HTTP to HTTPS, and get certificates", c.tlsInfoCmd, c.tlsSetCmd("enable", "on", true), c.tlsSetCmd("disable", "off", false),
		c.tlsCertificatesCmd(), c.tlsAutoCmd())
	cmd.Example = "  slipway tls\n  slipway tls enable\n  slipway tls certificates\n  slipway tls auto on"
	return c.ofApp(cmd)
}

func (c *cli) tlsInfoCmd() *cobra.Command {
	return &cobra.Command{
		Use: "info", Short: "Show whether HTTPS is enforced", Long: "Show whether the app sends plain HTTP to HTTPS.", Example: "  slipway tls info",
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			tls, err := s.TLS(ctx, app)
			if err != nil {
				return err
			}
			return c.tlsText(app, tls)
		}),
	}
}

func (c *cli) tlsText(app string, tls api.TLS) error {
	return c.answer(tls, func() {
		switch {
		case tls.HTTPSEnforced == nil:
			c.stdout.say("HTTPS of %s is not enforced: nobody chose.", app)
		case *tls.HTTPSEnforced:
			c.stdout.say("HTTPS of %s is enforced: plain HTTP is sent there.", app)
		default:
			c.stdout.say("HTTPS of %s is not enforced.", app)
		}
	})
}

func (c *cli) tlsSetCmd(name, alias string, enforced bool) *cobra.Command {
	short := map[bool]string{true: "Send plain HTTP to HTTPS", false: "Answer plain HTTP as well"}[enforced]
	return &cobra.Command{
		Use: name, Aliases: []string{alias}, Short: short, Long: short + ". It takes effect at once and makes no release.", Example: "  slipway tls " + name,
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			tls, err := s.SetTLS(ctx, app, enforced)
			if unchanged(err) {
				tls, err = s.TLS(ctx, app)
			}
			if err != nil {
				return err
			}
			return c.tlsText(app, tls)
		}),
	}
}

func (c *cli) tlsCertificatesCmd() *cobra.Command {
	return &cobra.Command{
		Use: "certificates", Aliases: []string{"certs"}, Short: "Show what each host of the app is served with",
		Long: "Show what each host of the app is served with: an upload, a certificate that the platform got from an authority, " +
			"or the platform's own, and why one could not be had.",
		Example: "  slipway tls certificates\n  slipway tls certificates --json",
		Args:    takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			all, err := s.HostCertificates(ctx, app)
			if err != nil {
				return err
			}
			return c.hostCertificatesText(app, all)
		}),
	}
}

func (c *cli) tlsAutoCmd() *cobra.Command {
	return &cobra.Command{
		Use: "auto on|off", Short: "Get certificates for the app's domains by themselves, or not",
		Long: `Get certificates for the app's domains from an authority, where the platform is set up for one, and renew them in time.
It is on until you turn it off. A domain that a certificate is attached to keeps that. Said once more it tries at once
what failed.`,
		Example: "  slipway tls auto on\n  slipway tls auto off",
		Args:    takes(1, 1, "on or off"), ValidArgs: []string{"on", "off"},
		RunE: asksWith(c, func(args []string) (bool, error) {
			if args[0] != "on" && args[0] != "off" {
				return false, &usageError{"slipway tls auto", fmt.Sprintf("%q is neither on nor off", args[0])}
			}
			return args[0] == "on", nil
		}, func(ctx context.Context, s *session, app string, on bool) error {
			all, err := s.SetAutomatic(ctx, app, on)
			if err != nil {
				return err
			}
			return c.hostCertificatesText(app, all)
		}),
	}
}

func (c *cli) hostCertificatesText(app string, all api.HostCertificates) error {
	return c.answer(all, func() {
		t := newTable("HOST", "CERTIFICATE", "EXPIRES", "NAME")
		for _, h := range all.Hosts {
			expires := ""
			if h.Expires != nil {
				expires = day(*h.Expires)
			}
			t.row(h.Host, h.Source, expires, h.Name)
		}
		t.print(c.stdout)
		for _, line := range certificateNotes(all) {
			c.stdout.say("%s", line)
		}
		if !all.Automatic {
			c.stderr.say("Certificates do not come by themselves. To have them: slipway tls auto on -a %s", app)
		}
	})
}

// certificateNotes say of each host what keeps it from a certificate.
func certificateNotes(all api.HostCertificates) (lines []string) {
	for _, h := range all.Hosts {
		switch {
		case h.Problem != "" && h.NextTry != nil:
			lines = append(lines, fmt.Sprintf("%s has no new certificate: %s (tried %s, next at %s)",
				h.Host, h.Problem, plural(h.Attempts, "time"), h.NextTry.UTC().Format(time.DateTime)))
		case h.Problem != "":
			lines = append(lines, fmt.Sprintf("%s: %s", h.Host, h.Problem))
		case h.Waiting != "":
			lines = append(lines, fmt.Sprintf("%s has no certificate of its own yet: %s", h.Host, h.Waiting))
		}
	}
	return lines
}
