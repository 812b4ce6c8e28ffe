package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const healthchecksLong = `Say how the platform finds out that an instance is well. A readiness probe decides whether
requests reach it; a liveness probe whether it is replaced. Without --type a probe is for web.

httpGet wants a status from 200 to 399, tcpSocket an open port, exec an exit code of 0.`

func (c *cli) healthchecksCmd() *cobra.Command {
	cmd := group("healthchecks", "Say when an instance is well", c.healthchecksListCmd, c.healthchecksSetCmd(), c.healthchecksUnsetCmd())
	cmd.Aliases = []string{"health"}
	cmd.Example = `  slipway healthchecks
  slipway healthchecks set readiness httpGet --path /healthz --port 5000
  slipway healthchecks unset readiness`
	return c.ofApp(cmd)
}

func (c *cli) healthchecksListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show the probes", Long: healthchecksLong,
		Example: "  slipway healthchecks list\n  slipway healthchecks --json",
		Args:    takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			config, err := s.Config(ctx, app)
			if err != nil {
				return err
			}
			checks := config.Healthcheck
			if checks == nil {
				checks = map[string]api.Healthcheck{}
			}
			return c.answer(checks, func() { c.healthcheckTable(app, checks) })
		}),
	}
}

func (c *cli) healthcheckTable(app string, checks map[string]api.Healthcheck) {
	t := newTable("TYPE", "PROBE", "CHECK", "DELAY", "TIMEOUT", "EVERY", "SUCCESSES", "FAILURES")
	for _, process := range sortedKeys(checks) {
		for _, p := range []struct {
			name  string
			probe *api.Probe
		}{{"liveness", checks[process].Liveness}, {"readiness", checks[process].Readiness}} {
			if p.probe == nil {
				continue
			}
			t.row(process, p.name, probeText(p.probe), seconds(p.probe.InitialDelaySeconds), seconds(p.probe.TimeoutSeconds),
				seconds(p.probe.PeriodSeconds), number(p.probe.SuccessThreshold), number(p.probe.FailureThreshold))
		}
	}
	if len(t.rows) == 0 {
		c.none("%s has no probes of its own. Set one with: slipway healthchecks set readiness httpGet --path / --port 5000", app)
		return
	}
	t.print(c.stdout)
}

func seconds(n int) string { return strconv.Itoa(n) + "s" }

func number(n int) string { return strconv.Itoa(n) }

func probeText(p *api.Probe) string {
	switch {
	case p.HTTPGet != nil:
		words := []string{fmt.Sprintf("httpGet :%d%s", p.HTTPGet.Port, p.HTTPGet.Path)}
		for _, header := range p.HTTPGet.HTTPHeaders {
			words = append(words, header.Name+":"+header.Value)
		}
		return strings.Join(words, " ")
	case p.TCPSocket != nil:
		return fmt.Sprintf("tcpSocket :%d", p.TCPSocket.Port)
	case p.Exec != nil:
		return "exec " + commandLine(p.Exec.Command)
	}
	return ""
}

// probeWish is what healthchecks set is asked for.
type probeWish struct {
	process, path, port string
	headers             []string
	probe               api.Probe
}

func (w *probeWish) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&w.path, "path", "/", "httpGet: what to ask for")
	flags.StringVar(&w.port, "port", "", "httpGet, tcpSocket: where; may also stand after them")
	flags.StringSliceVar(&w.headers, "headers", nil, "httpGet: headers to send, as `Name:value,...`")
	flags.IntVar(&w.probe.InitialDelaySeconds, "initial-delay-timeout", 50, "`seconds` before the first probe")
	flags.IntVar(&w.probe.TimeoutSeconds, "timeout-seconds", 50, "`seconds` a probe may take")
	flags.IntVar(&w.probe.PeriodSeconds, "period-seconds", 10, "`seconds` from one probe to the next")
	flags.IntVar(&w.probe.SuccessThreshold, "success-threshold", 1, "successes in a row after which it is well")
	flags.IntVar(&w.probe.FailureThreshold, "failure-threshold", 3, "failures in a row after which it is not")
}

// probeTypeFlag names the process type of a probe.
func (c *cli) probeTypeFlag(cmd *cobra.Command, process *string) {
	cmd.Flags().StringVar(process, "type", api.DefaultBucket, "the process `type`")
	must(cmd.RegisterFlagCompletionFunc("type", c.completeTypes))
}

var probeNames = []string{"liveness", "readiness"}

func (c *cli) healthchecksSetCmd() *cobra.Command {
	var wish probeWish
	cmd := &cobra.Command{
		Use:   "set liveness|readiness httpGet|tcpSocket|exec [PORT | -- COMMAND...]",
		Short: "Set a probe: a new release, which deploys",
		Long:  healthchecksLong + "\n\nSetting one makes a new release and deploys it.",
		Example: `  slipway healthchecks set readiness httpGet 5000 --path /healthz --headers X-Probe:1
  slipway healthchecks set liveness tcpSocket --port 5000 --type worker
  slipway healthchecks set liveness exec -- bin/is-alive --quick`,
		Args:      takes(2, -1, "liveness or readiness, and httpGet, tcpSocket or exec"),
		ValidArgs: append([]string{"httpGet", "tcpSocket", "exec"}, probeNames...),
		RunE: asksWith(c, wish.read, func(ctx context.Context, s *session, app string, check api.Healthcheck) error {
			text := "Setting a probe of " + wish.process
			return c.patchConfig(ctx, s, app, text, []string{wish.process},
				api.ConfigPatch{Healthcheck: map[string]*api.Healthcheck{wish.process: &check}})
		}),
	}
	wish.flags(cmd)
	c.probeTypeFlag(cmd, &wish.process)
	return c.deploys(cmd)
}

// probeName is liveness for that and for livenessProbe.
func probeName(word string) string { return strings.TrimSuffix(strings.ToLower(word), "probe") }

func noProbe(verb, word string) error {
	return &usageError{"slipway healthchecks " + verb, fmt.Sprintf("%q is no probe: write liveness or readiness", word)}
}

// read is the check that the words ask for: which probe, of what kind, and more.
func (w *probeWish) read(args []string) (check api.Healthcheck, err error) {
	probe, err := w.probeOf(args[1], args[2:])
	switch probeName(args[0]) {
	case "liveness":
		check.Liveness = probe
	case "readiness":
		check.Readiness = probe
	default:
		err = noProbe("set", args[0])
	}
	return check, err
}

func (w *probeWish) probeOf(kind string, args []string) (*api.Probe, error) {
	probe := w.probe
	switch strings.ToLower(kind) {
	case "exec":
		if len(args) == 0 {
			return nil, &usageError{"slipway healthchecks set", "exec needs a command: write exec -- bin/is-alive"}
		}
		probe.Exec = &api.Exec{Command: args}
		return &probe, nil
	case "httpget", "http":
		port, err := w.portOf(args)
		probe.HTTPGet = &api.HTTPGet{Path: w.path, Port: port}
		if err == nil {
			probe.HTTPGet.HTTPHeaders, err = w.httpHeaders()
		}
		return &probe, err
	case "tcpsocket", "tcp":
		port, err := w.portOf(args)
		probe.TCPSocket = &api.TCPSocket{Port: port}
		return &probe, err
	}
	return nil, &usageError{"slipway healthchecks set", fmt.Sprintf("%q is no check: write httpGet, tcpSocket or exec", kind)}
}

func (w *probeWish) portOf(args []string) (int, error) {
	if len(args) == 1 && w.port == "" {
		w.port = args[0]
	} else if len(args) > 0 {
		return 0, &usageError{"slipway healthchecks set", fmt.Sprintf("there is one port, and got %q besides", args[len(args)-1])}
	}
	port, err := strconv.Atoi(w.port)
	if err != nil || port < 1 || port > 65535 {
		return 0, &usageError{"slipway healthchecks set", fmt.Sprintf("%q is no port: write --port 5000", w.port)}
	}
	return port, nil
}

func (w *probeWish) httpHeaders() ([]api.HTTPHeader, error) {
	var headers []api.HTTPHeader
	for _, word := range w.headers {
		name, value, ok := strings.Cut(word, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, platform.Invalid("headers", "%q is no header: write X-Name:value", word)
		}
		headers = append(headers, api.HTTPHeader{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)})
	}
	return headers, nil
}

// healthchecksUnsetCmd removes probes one by one: a patch of the config cannot
// leave one as it is and say null for the other.
func (c *cli) healthchecksUnsetCmd() *cobra.Command {
	var process string
	cmd := &cobra.Command{
		Use:       "unset liveness|readiness...",
		Aliases:   []string{"rm", "remove"},
		Short:     "Remove probes: a new release, which deploys",
		Long:      healthchecksLong + "\n\nRemoving one makes a new release and deploys it.",
		Example:   "  slipway healthchecks unset readiness\n  slipway healthchecks unset liveness readiness --type worker",
		Args:      takes(1, 2, "liveness, readiness or both"),
		ValidArgs: probeNames,
		RunE: asksWith(c, readProbes, func(ctx context.Context, s *session, app string, names []string) error {
			return c.release(ctx, s, app, newRelease{
				doing: fmt.Sprintf("Removing the %s probe of %s on %s", strings.Join(names, " and "), process, app),
				about: []string{process},
				work: func(ctx context.Context) (func(api.Release) bool, error) {
					config, err := s.RemoveProbes(ctx, app, process, names)
					return withConfig(config), err
				},
			})
		}),
	}
	c.probeTypeFlag(cmd, &process)
	return c.deploys(cmd)
}

func readProbes(args []string) ([]string, error) {
	names := make([]string, len(args))
	for i, arg := range args {
		names[i] = probeName(arg)
		if names[i] != "liveness" && names[i] != "readiness" {
			return nil, noProbe("unset", arg)
		}
	}
	return names, nil
}
