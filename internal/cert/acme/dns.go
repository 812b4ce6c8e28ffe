package acme

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/slipway-paas/slipway/internal/platform"
)

// dnsSettings are the names that each provider reads; those of all are read
// besides: see DNSProvider.
var dnsSettings = map[string][]string{
	"rfc2136":    {"server", "key-name", "key-algorithm", "key"},
	"cloudflare": {"token", "api", "zone"},
	"exec":       {"program"},
}

var commonDNSSettings = []string{"resolvers", "ttl", "delay", "timeout"}

// DNSProviders names the providers and their settings, for help.
func DNSProviders() map[string][]string {
	all := make(map[string][]string)
	for name, settings := range dnsSettings {
		all[name] = slices.Concat(settings, commonDNSSettings)
	}
	return all
}

// DNSProvider proves names by records in their zone (RFC 8555, 8.4):
//
//	rfc2136     dynamic update of server (host:port), signed with key-name,
//	            key-algorithm (default hmac-sha256) and key (RFC 8945)
//	cloudflare  Cloudflare's API, with a token that may edit the zone's DNS, at api
//	            (default theirs); zone is its id, else it is looked for
//	exec        program is run as: program present|cleanup NAME VALUE, and returns
//	            once the record is there
//
// resolvers (host:port,…) are asked where a zone begins and whether the record is
// there, else the machine's and the zone's own; ttl is the record's, delay is
// waited before it is looked for, and timeout is how long that is done (0: never).
func DNSProvider(log *slog.Logger, provider string, settings map[string]string) (acmez.Solver, error) {
	known, found := dnsSettings[provider]
	if !found {
		return nil, fmt.Errorf("%q is none of rfc2136, cloudflare, exec: %w", provider, platform.ErrInvalid)
	}
	for name := range settings {
		if !slices.Contains(known, name) && !slices.Contains(commonDNSSettings, name) {
			return nil, fmt.Errorf("%s has no setting %s; it has %s: %w", provider, name, strings.Join(slices.Concat(known, commonDNSSettings), ", "), platform.ErrInvalid)
		}
	}
	solver := &certmagic.DNS01Solver{}
	solver.Logger = zapOf(log)
	err := setDNS(&solver.DNSManager, settings)
	if err != nil {
		return nil, err
	}
	switch provider {
	case "exec":
		return newHook(settings["program"], solver.PropagationDelay)
	case "rfc2136":
		solver.DNSProvider, err = newDynamic(settings)
	default:
		solver.DNSProvider, err = newCloudflare(settings)
	}
	if err != nil {
		return nil, err
	}
	return solver, nil
}

func setDNS(m *certmagic.DNSManager, settings map[string]string) error {
	m.TTL, m.PropagationTimeout = time.Minute, 2*time.Minute
	for name, field := range map[string]*time.Duration{"ttl": &m.TTL, "delay": &m.PropagationDelay, "timeout": &m.PropagationTimeout} {
		text := settings[name]
		if text == "" {
			continue
		}
		value, err := time.ParseDuration(text)
		if err != nil || value < 0 || value > 24*time.Hour {
			return fmt.Errorf("%s: %q is no time, such as 2m: %w", name, text, platform.ErrInvalid)
		}
		*field = value
	}
	if m.PropagationTimeout == 0 {
		m.PropagationTimeout = -1 // never, to certmagic
	}
	for resolver := range strings.SplitSeq(settings["resolvers"], ",") {
		if resolver = strings.TrimSpace(resolver); resolver != "" {
			m.Resolvers = append(m.Resolvers, resolver)
		}
	}
	return nil
}

// hook is a program of the operator's that sets records.
type hook struct {
	program string
	delay   time.Duration
}

func newHook(program string, delay time.Duration) (*hook, error) {
	if !filepath.IsAbs(program) {
		return nil, fmt.Errorf("program: %q is not the whole path of a program: %w", program, platform.ErrInvalid)
	}
	return &hook{program, delay}, nil
}

// hookTime bounds one run, hookOutput what is told of what it printed.
const (
	hookTime   = 3 * time.Minute
	hookOutput = 300
)

func (h *hook) run(ctx context.Context, what string, c acme.Challenge) error {
	ctx, cancel := context.WithTimeout(ctx, hookTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.program, what, c.DNS01TXTRecordName(), c.DNS01KeyAuthorization())
	cmd.Env = slices.DeleteFunc(os.Environ(), ours)
	cmd.WaitDelay = time.Second // a child of its own may hold the output open
	output, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	said := strings.TrimSpace(string(output[:min(len(output), hookOutput)]))
	return fmt.Errorf("%s %s %s: %w: %s", h.program, what, c.DNS01TXTRecordName(), err, said)
}

// ours reports whether a variable is none of a program's business: the platform's
// keys may be among them.
func ours(variable string) bool {
	return strings.HasPrefix(variable, "SLIPWAY_") || strings.HasPrefix(variable, "DEIS_") || strings.HasPrefix(variable, "LDAP_")
}

// Present implements acmez.Solver.
func (h *hook) Present(ctx context.Context, c acme.Challenge) error { return h.run(ctx, "present", c) }

// Wait gives the record the time that was asked for.
func (h *hook) Wait(ctx context.Context, _ acme.Challenge) error {
	select {
	case <-time.After(h.delay):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CleanUp implements acmez.Solver; it is run also when ctx has ended.
func (h *hook) CleanUp(ctx context.Context, c acme.Challenge) error {
	return h.run(context.WithoutCancel(ctx), "cleanup", c)
}

var errNoRecord = errors.New("the record is in none of the forms of libdns")
