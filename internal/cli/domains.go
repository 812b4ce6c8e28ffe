package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

func (c *cli) domainsCmd() *cobra.Command {
	cmd := c.domainsListCmd()
	c.ofApp(cmd)
	cmd.Use, cmd.Aliases, cmd.Args = "domains", nil, noun
	cmd.Example = "  slipway domains\n  slipway domains add www.example.com\n  slipway domains remove www.example.com"
	cmd.AddCommand(c.domainsListCmd(), c.domainAddCmd(), c.domainRemoveCmd())
	return cmd
}

func (c *cli) domainsListCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "Show and change the host names an app answers to",
		Example: "  slipway domains list",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			domains, total, err := s.Domains(ctx, app, limit)
			if err != nil {
				return err
			}
			return c.answer(domains, func() { c.domainTable(ctx, s, domains, total) })
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (c *cli) domainTable(ctx context.Context, s *session, domains []api.Domain, total int) {
	p, _ := s.where(ctx) // without it, the names stay short
	t := newTable("DOMAIN", "HOST", "ADDED", "BY")
	for _, d := range domains {
		host := d.Domain
		if p.Domain != "" && !strings.Contains(host, ".") {
			host += "." + p.Domain
		}
		t.row(d.Domain, host, c.when(d.Created), d.Owner)
	}
	t.print(c.stdout)
	c.more(len(domains), total)
}

func (c *cli) domainAddCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "add DOMAIN",
		Short:   "Route a host name to the app",
		Long:    "Route a host name to the app. A name without a dot is a subdomain of the platform's; *.example.com is every name below.",
		Example: "  slipway domains add www.example.com\n  slipway domains add '*.example.com'\n  slipway domains add shop",
		Args:    takes(1, 1, "one DOMAIN"),
		RunE: c.verb(func(ctx context.Context, args []string) error {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
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
		Example:           "  slipway domains remove www.example.com",
		Args:              takes(1, 1, "one DOMAIN"),
		ValidArgsFunction: c.completeDomains,
		RunE: c.verb(func(ctx context.Context, args []string) error {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			if err := s.RemoveDomain(ctx, app, args[0]); err != nil {
				return err
			}
			return c.answer(map[string]string{"domain": args[0]}, func() { c.stdout.say("%s leads to %s no longer.", args[0], app) })
		}),
	}
}
