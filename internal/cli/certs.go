package cli

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

// maxPEM bounds a certificate or key file, in bytes.
const maxPEM = 1 << 20

func (c *cli) certsCmd() *cobra.Command {
	cmd := group("certs", "Keep certificates of your own, for domains", c.certsListCmd,
		c.certAddCmd(), c.certInfoCmd(), c.certRemoveCmd(), c.certAttachCmd(), c.certDetachCmd())
	cmd.Example = "  slipway certs\n  slipway certs add shop shop.crt shop.key\n  slipway certs attach shop www.example.com"
	return c.common(cmd)
}

func (c *cli) certsListCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List your certificates", Long: "List your certificates, the domains they serve, and when they end.",
		Example: "  slipway certs list\n  slipway certs --json",
		Args:    takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			certs, count, err := s.Certs(ctx, limit)
			if err != nil {
				return err
			}
			return page[api.Cert]{
				items: certs, total: count, none: "You keep no certificates here. Add one with: slipway certs add NAME CERTIFICATE KEY",
				heads: []string{"NAME", "EXPIRES", "FOR", "DOMAINS"},
				row: func(v api.Cert) []string {
					return []string{v.Name, day(v.Expires), strings.Join(certNames(v), " "), strings.Join(v.Domains, " ")}
				},
			}.show(c)
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

// certNames are the names a certificate is for, each once.
func certNames(v api.Cert) []string {
	var all []string
	if v.CommonName != nil && *v.CommonName != "" {
		all = append(all, *v.CommonName)
	}
	for _, name := range v.SAN {
		if len(all) == 0 || name != all[0] {
			all = append(all, name)
		}
	}
	return all
}

// namesInShort are the first few of them.
func namesInShort(v api.Cert) string {
	const few = 10
	all := certNames(v)
	if len(all) <= few {
		return strings.Join(all, " ")
	}
	return fmt.Sprintf("%s and %d names more", strings.Join(all[:few], " "), len(all)-few)
}

// day is a date without its time.
func day(t api.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02")
}

func (c *cli) certAddCmd() *cobra.Command {
	return &cobra.Command{
		Use: "add NAME CERTIFICATE KEY", Short: "Keep a certificate and its key",
		Long: `Keep a certificate and its private key, both files of PEM; the chain may follow the certificate.
The key is stored encrypted and never comes back. The file - is stdin.`,
		Example: "  slipway certs add shop shop.crt shop.key\n  pass show shop.key | slipway certs add shop shop.crt -",
		Args:    takes(3, 3, "a NAME, the file of the CERTIFICATE and that of its KEY"),
		ValidArgsFunction: func(_ *cobra.Command, typed []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(typed) == 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			chain, err := c.readFile(args[1], maxPEM)
			if err != nil {
				return err
			}
			key, err := c.readFile(args[2], maxPEM)
			if err != nil {
				return err
			}
			cert, err := s.AddCert(ctx, api.CreateCert{Name: args[0], Certificate: chain, Key: key})
			if err != nil {
				return err
			}
			return c.answer(cert, func() {
				c.stdout.say("Added the certificate %s, for %s.", cert.Name, namesInShort(cert))
				c.doubt(cert, "")
				c.stderr.say("Serve a domain with it: slipway certs attach %s DOMAIN", cert.Name)
			})
		}),
	}
}

func (c *cli) certInfoCmd() *cobra.Command {
	return &cobra.Command{
		Use: "info NAME", Short: "Show a certificate", Long: "Show a certificate: whom it is for, who issued it and how long it holds.",
		Example: "  slipway certs info shop",
		Args:    takes(1, 1, "one NAME"), ValidArgsFunction: c.completeCerts,
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			cert, err := s.Cert(ctx, args[0])
			if err != nil {
				return err
			}
			return c.answer(cert, func() {
				var f facts
				f.add("Name", cert.Name)
				f.add("For", strings.Join(certNames(cert), " "))
				f.add("Domains", strings.Join(cert.Domains, " "))
				f.add("Starts", day(cert.Starts))
				f.add("Expires", day(cert.Expires))
				f.add("Issuer", cert.Issuer)
				f.add("Subject", cert.Subject)
				f.add("Fingerprint", cert.Fingerprint)
				f.add("Owner", cert.Owner)
				f.add("Added", c.when(cert.Created))
				f.print(c.stdout)
			})
		}),
	}
}

func (c *cli) certRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Forget a certificate",
		Long:    "Forget a certificate and its key. The domains it serves go back to the platform's own.",
		Example: "  slipway certs remove shop",
		Args:    takes(1, 1, "one NAME"), ValidArgsFunction: c.completeCerts,
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			if err := s.RemoveCert(ctx, args[0]); err != nil {
				return err
			}
			return c.answer(map[string]string{"name": args[0]}, func() { c.stdout.say("Removed the certificate %s.", args[0]) })
		}),
	}
}

// certDomain says what attach and detach did.
type certDomain struct {
	Name   string `json:"name"`
	Domain string `json:"domain"`
}

func (c *cli) certAttachCmd() *cobra.Command {
	var replace bool
	cmd := &cobra.Command{
		Use: "attach NAME DOMAIN", Short: "Serve a domain with a certificate",
		Long: `Serve a domain with a certificate. The domain belongs to one of your apps already: see slipway domains add.
With --replace it takes the place of another of yours, at once: no client is shown any other meanwhile.`,
		Example: "  slipway certs attach shop www.example.com\n  slipway certs attach shop-2027 www.example.com --replace",
		Args:    takes(2, 2, "a NAME and a DOMAIN"), ValidArgsFunction: c.completeCerts,
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			if err := s.AttachCert(ctx, args[0], args[1], replace); err != nil {
				return err
			}
			return c.answer(certDomain{args[0], args[1]}, func() {
				c.stdout.say("%s is served with the certificate %s.", args[1], args[0])
				if cert, err := s.Cert(ctx, args[0]); err == nil { // it is attached, whatever can be said of it
					c.doubt(cert, args[1])
				}
			})
		}),
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "in place of another certificate of yours")
	return cmd
}

// doubt says why clients will refuse a certificate, for domain if there is one,
// and what to do.
func (c *cli) doubt(cert api.Cert, domain string) {
	switch now := time.Now(); {
	case now.After(cert.Expires.Time):
		c.stderr.say("It expired on %s: clients refuse it. Have a new one signed, and add that.", day(cert.Expires))
	case now.Before(cert.Starts.Time):
		c.stderr.say("It is valid from %s on: clients refuse it until then.", day(cert.Starts))
	}
	names := &x509.Certificate{DNSNames: cert.SAN}
	switch {
	case len(cert.SAN) == 0:
		c.stderr.say("It names no domain (subjectAltName): clients refuse it everywhere. Have it signed again, with the domain in it.")
	case strings.Contains(strings.TrimPrefix(domain, "*."), ".") && !slices.Contains(cert.SAN, domain) && names.VerifyHostname(domain) != nil:
		c.stderr.say("It is not for %s: clients refuse it there. Detach it, and attach one that is.", domain)
	}
}

func (c *cli) certDetachCmd() *cobra.Command {
	return &cobra.Command{
		Use: "detach NAME DOMAIN", Short: "Stop serving a domain with a certificate",
		Long:    "Stop serving a domain with a certificate, which stays for others.",
		Example: "  slipway certs detach shop www.example.com",
		Args:    takes(2, 2, "a NAME and a DOMAIN"), ValidArgsFunction: c.completeCerts,
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			if err := s.DetachCert(ctx, args[0], args[1]); err != nil {
				return err
			}
			return c.answer(certDomain{args[0], args[1]}, func() { c.stdout.say("%s is served with the certificate %s no longer.", args[1], args[0]) })
		}),
	}
}
