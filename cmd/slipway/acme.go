package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/spf13/pflag"

	"github.com/slipway-paas/slipway/internal/cert/acme"
	"github.com/slipway-paas/slipway/internal/doctor"
	"github.com/slipway-paas/slipway/internal/fleet"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// acmeOptions are the operator's choices about certificates that the platform
// gets by itself.
type acmeOptions struct {
	// Mode is on or off.
	Mode string
	// Email is where the authority may write to, empty: nowhere. Without it nobody
	// is warned of what only the authority knows.
	Email string
	// CA is the directory of the authority, empty: Let's Encrypt's, and with
	// Staging that of its tests, whose certificates nobody trusts. CARoot is the
	// file of who signs the authority's own certificate, empty: whom this machine
	// trusts.
	CA, CARoot string
	Staging    bool
	// Challenges are how names are proven: see acme.Options.
	Challenges []string
	// DNS is who proves wildcards, empty: nobody. Its settings are in the file
	// DNSFile, a line "name = value" each, and in SLIPWAY_ACME_DNS_<NAME>.
	DNS, DNSFile string
	// OnDemand gets certificates when a client first comes.
	OnDemand bool
	// OCSPPrivate has OCSP responders asked that are at loopback or private
	// addresses. Whoever uploads a certificate names its responder.
	OCSPPrivate bool
	// EABKey ties the account to one at the authority; its secret is in EABFile or
	// SLIPWAY_ACME_EAB_SECRET.
	EABKey, EABFile string
	// FirstPause is the pause after a first failure.
	FirstPause time.Duration

	secrets map[string]string // of the environment: see takeSecrets
}

const (
	letsEncrypt        = "https://acme-v02.api.letsencrypt.org/directory"
	letsEncryptStaging = "https://acme-staging-v02.api.letsencrypt.org/directory"
)

func (o *acmeOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Mode, "acme", "off", "get certificates for domains from an authority: on, off")
	flags.StringVar(&o.Email, "acme-email", "", "where the authority may write to")
	flags.StringVar(&o.CA, "acme-ca", "", "directory address of the authority; empty: Let's Encrypt's")
	flags.StringVar(&o.CARoot, "acme-ca-root", "", "file of who signs the authority's own certificate, PEM; empty: whom this machine trusts")
	flags.BoolVar(&o.Staging, "acme-staging", false, "take Let's Encrypt's authority for tests, whose certificates nobody trusts")
	flags.StringSliceVar(&o.Challenges, "acme-challenges", []string{"http-01", "tls-alpn-01"}, "how names are proven: http-01, tls-alpn-01, dns-01; wildcards always by dns-01")
	flags.StringVar(&o.DNS, "acme-dns", "", "who sets the records of dns-01: rfc2136, cloudflare, exec; empty: nobody, and wildcards get no certificate")
	flags.StringVar(&o.DNSFile, "acme-dns-file", "", "file of its settings, a line \"name = value\" each; or SLIPWAY_ACME_DNS_<NAME> in the environment")
	flags.BoolVar(&o.OCSPPrivate, "ocsp-private", false, "ask OCSP responders at private addresses too, for certificates of an authority of your own")
	flags.BoolVar(&o.OnDemand, "acme-on-demand", false, "get a domain's certificate when a client first comes for it, not when the domain is added")
	flags.StringVar(&o.EABKey, "acme-eab-key", "", "key id that ties the account to one at the authority (external account binding)")
	flags.StringVar(&o.EABFile, "acme-eab-file", "", "file of that key's secret, base64url; or SLIPWAY_ACME_EAB_SECRET in the environment")
	flags.DurationVar(&o.FirstPause, "acme-retry", time.Minute, "pause after a first failure, which doubles up to 6h")
}

func (o *acmeOptions) validate(domain string) error {
	if o.Mode != "on" && o.Mode != "off" {
		return fmt.Errorf("--acme: %q is neither on nor off", o.Mode)
	}
	if o.Mode == "off" {
		return nil
	}
	if o.CA == "" {
		o.CA = map[bool]string{false: letsEncrypt, true: letsEncryptStaging}[o.Staging]
	} else if o.Staging {
		return errors.New("--acme-staging: is for Let's Encrypt; name the address of your authority's own tests with --acme-ca")
	}
	if u, err := url.Parse(o.CA); err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("--acme-ca: %q is not the https:// address of a directory", o.CA)
	}
	if strings.Contains(o.CA, ".letsencrypt.org") && !strings.Contains(domain, ".") {
		return fmt.Errorf("--acme: Let's Encrypt certifies public names, and --domain is %s", domain)
	}
	for _, challenge := range o.Challenges {
		if !slices.Contains([]string{"http-01", "tls-alpn-01", "dns-01"}, challenge) {
			return fmt.Errorf("--acme-challenges: %q is none of http-01, tls-alpn-01, dns-01", challenge)
		}
		if challenge == "dns-01" && o.DNS == "" {
			return errors.New("--acme-challenges: dns-01 needs --acme-dns")
		}
	}
	if o.FirstPause < time.Second || o.FirstPause > 6*time.Hour {
		return errors.New("--acme-retry: a time from 1s to 6h; authorities refuse everything to who asks often")
	}
	return nil
}

const (
	dnsVariable = "SLIPWAY_ACME_DNS_"
	eabVariable = "SLIPWAY_ACME_EAB_SECRET"
)

// takeSecrets reads the settings of the environment and takes them out of it:
// builds, apps and programs that are run would inherit them.
func (o *acmeOptions) takeSecrets() {
	o.secrets = make(map[string]string)
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if setting, is := strings.CutPrefix(name, dnsVariable); is && setting != "FILE" {
			o.secrets[strings.ToLower(strings.ReplaceAll(setting, "_", "-"))] = value
			_ = os.Unsetenv(name) // fails for malformed names only
		}
	}
	o.secrets[eabVariable] = os.Getenv(eabVariable)
	_ = os.Unsetenv(eabVariable)
}

// dns is who proves wildcards; nil: nobody.
func (o *acmeOptions) dns(log *slog.Logger) (acmez.Solver, error) {
	if o.DNS == "" {
		return nil, nil
	}
	settings := make(map[string]string)
	if o.DNSFile != "" {
		if err := readSettings(o.DNSFile, settings); err != nil {
			return nil, fmt.Errorf("--acme-dns-file: %w", err)
		}
	}
	for name, value := range o.secrets {
		if name != eabVariable {
			settings[name] = value
		}
	}
	solver, err := acme.DNSProvider(log, o.DNS, settings)
	if err != nil {
		return nil, fmt.Errorf("--acme-dns: %w", err)
	}
	return solver, nil
}

// readSettings reads "name = value" lines; # begins one that is not read.
func readSettings(path string, into map[string]string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return fmt.Errorf("%s:%d: it is not name = value", path, n) // says nothing of what it is
		}
		into[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return scanner.Err()
}

// eabSecret is the secret of --acme-eab-key.
func (o *acmeOptions) eabSecret() (string, error) {
	if o.EABFile == "" {
		return o.secrets[eabVariable], nil
	}
	text, err := os.ReadFile(o.EABFile)
	if err != nil {
		return "", fmt.Errorf("--acme-eab-file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// openACME is the keeper of certificates; nil when it is off.
func (o *options) openACME(log *slog.Logger, db *store.Store, edge *fleet.Fleet) (*acme.Keeper, error) {
	if o.acme.Mode != "on" {
		return nil, nil
	}
	options := acme.Options{
		Directory: o.acme.CA, Email: o.acme.Email, EABKey: o.acme.EABKey, Challenges: o.acme.Challenges,
		Domain: o.Domain, OnDemand: o.acme.OnDemand, Process: o.processName(), FirstPause: o.acme.FirstPause,
	}
	if o.HTTPS == "" {
		return nil, errors.New("--acme: there is no HTTPS to have certificates for; give --https an address")
	}
	var err error
	if o.acme.CARoot != "" {
		if options.Roots, err = os.ReadFile(o.acme.CARoot); err != nil {
			return nil, fmt.Errorf("--acme-ca-root: %w", err)
		}
	}
	if options.EABSecret, err = o.acme.eabSecret(); err != nil {
		return nil, err
	}
	if options.DNS, err = o.acme.dns(log); err != nil {
		return nil, err
	}
	return acme.New(log, db, edge, options)
}

// processName tells this control plane from others on the same database: one
// state directory has one at a time.
func (o *options) processName() string {
	host, _ := os.Hostname() // a machine without a name is told by its directory
	return strings.ReplaceAll(host+":"+o.State, "/", "|")
}

// startACME has the names of the platform and of all apps wanted, then begins.
func (p *plane) startACME(ctx context.Context, o *options) error {
	if p.keeper == nil {
		return nil
	}
	hosts := o.controlHosts()
	if o.acme.DNS != "" {
		hosts = append(hosts, "*."+o.Domain)
	}
	if strings.Contains(o.Domain, ".") || o.acme.DNS == "" {
		p.keeper.Want("", "", hosts, false)
	}
	if err := p.controller.CertifyAll(ctx); err != nil {
		return err
	}
	return p.keeper.Start(ctx)
}

// controlHosts are the names that lead to the control plane.
func (o *options) controlHosts() []string {
	return []string{"slipway." + o.Domain, "deis." + o.Domain, "git." + o.Domain, "registry." + o.Domain}
}

// examineCertificates says which names have no certificate, or no newer one.
func examineCertificates(keeper *acme.Keeper) []doctor.Finding {
	if keeper == nil {
		return nil
	}
	failing := keeper.Failing()
	if len(failing) == 0 {
		return []doctor.Finding{{Name: "certificates", Status: doctor.OK, Text: "the authority refused none"}}
	}
	const shown = 5
	var findings []doctor.Finding
	for i, f := range failing {
		if i == shown {
			findings = append(findings, doctor.Finding{Name: "certificates", Status: doctor.Warn, Text: fmt.Sprintf("and %d names more have none, or no newer one", len(failing)-shown)})
			break
		}
		findings = append(findings, certificateFinding(f))
	}
	return findings
}

func certificateFinding(f platform.HostCertificate) doctor.Finding {
	what := "has no certificate"
	if f.Source == platform.SourceAutomatic {
		what = "has a certificate until " + f.Expires.UTC().Format(time.DateTime) + ", and got no newer one"
	}
	return doctor.Finding{
		Name: "certificates", Status: doctor.Warn,
		Text: fmt.Sprintf("%s %s: %s", f.Host, what, f.Problem),
		Cure: fmt.Sprintf("tried %d times, and again at %s; at once with: slipway tls auto on", f.Attempts, f.NextTry.UTC().Format(time.DateTime)),
	}
}
