package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

func (c *cli) domainsCmd() *cobra.Command {
	cmd := group("domains", "Show and change the host names an app answers to", c.domainsListCmd, c.domainAddCmd(), c.domainRemoveCmd())
	cmd.Example = "  slipway domains\n  slipway domains add www.example.com\n  slipway domains remove www.example.com"
	return c.ofApp(cmd)
}

func (c *cli) domainsListCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the host names an app answers to",
		Long:    "List the host names an app answers to. One without a dot is a subdomain of the platform's.",
		Example: "  slipway domains list",
		Args:    takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			domains, count, err := s.Domains(ctx, app, limit)
			if err != nil {
				return err
			}
			p, _ := s.where(ctx)                                               // without it, the names stay short
			if certificates, err := s.HostCertificates(ctx, app); err == nil { // a platform of before knows nothing of them
				defer func() {
					for _, line := range certificateNotes(certificates) {
						c.stderr.say("%s", line)
					}
				}()
			}
			return page[api.Domain]{
				items: domains, total: count, none: app + " has no domain. Add one with: slipway domains add " + app,
				heads: []string{"DOMAIN", "HOST", "ADDED", "BY"},
				row: func(d api.Domain) []string {
					return []string{d.Domain, hostOf(d.Domain, p.Domain), c.when(d.Created), d.Owner}
				},
			}.show(c)
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

// hostOf is a domain of an app as it stands in a URL.
func hostOf(domain, below string) string {
	if below == "" || strings.Contains(domain, ".") {
		return domain
	}
	return domain + "." + below
}

func (c *cli) domainAddCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "add DOMAIN",
		Short: "Route a host name to the app",
		Long: "Route a host name to the app. A name without a dot is a subdomain of the platform's; *.example.com is every name below. " +
			"A name that shares hosts with a domain of another app takes who may operate both.",
		Example: "  slipway domains add www.example.com\n  slipway domains add '*.example.com'\n  slipway domains add shop",
		Args:    takes(1, 1, "one DOMAIN"),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			domain, err := s.AddDomain(ctx, app, args[0])
			if err != nil {
				return err
			}
			return c.answer(domain, func() { c.stdout.say("%s leads to %s.", domain.Domain, app) })
		}),
	}
}

func (c *cli) domainRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "remove DOMAIN",
		Aliases:           []string{"rm"},
		Short:             "Stop routing a host name to the app",
		Long:              "Stop routing a host name to the app. It answers 404 from then on.",
		Example:           "  slipway domains remove www.example.com",
		Args:              takes(1, 1, "one DOMAIN"),
		ValidArgsFunction: c.completeDomains,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			if err := s.RemoveDomain(ctx, app, args[0]); err != nil {
				return err
			}
			return c.answer(map[string]string{"domain": args[0]}, func() { c.stdout.say("%s leads to %s no longer.", args[0], app) })
		}),
	}
}
