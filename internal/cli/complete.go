package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

// completionTimeout is how long a Tab may wait for the platform.
const completionTimeout = time.Second

// completion answers a Tab with names the platform knows; when it cannot tell,
// with nothing.
type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// offer is a completion by words that may fail. Words already typed are left out.
func (c *cli) offer(cmd *cobra.Command, typed []string, words func(context.Context) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	parent := cmd.Context()
	if parent == nil {
		parent = context.Background()
	}
	ctx, cancel := context.WithTimeout(parent, completionTimeout)
	defer cancel()
	found, err := words(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	offered := []string{}
	for _, word := range found {
		name, _, _ := strings.Cut(word, "\t")
		if !slices.Contains(typed, name) {
			offered = append(offered, printable(name)+word[len(name):])
		}
	}
	return offered, cobra.ShellCompDirectiveNoFileComp
}

func (c *cli) completeContexts(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.offer(cmd, nil, func(context.Context) ([]string, error) { return c.contextNames() })
}

func (c *cli) completeApps(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.completeOfMe(func(ctx context.Context, s *session) ([]string, error) {
		apps, _, err := s.Apps(ctx, 0)
		return names(apps, func(a api.App) string { return a.ID }), err
	})(cmd, nil, "")
}

// completeOfApp offers names found in one app.
func (c *cli) completeOfApp(words func(context.Context, *session, string) ([]string, error)) completion {
	return func(cmd *cobra.Command, typed []string, _ string) ([]string, cobra.ShellCompDirective) {
		return c.offer(cmd, typed, func(ctx context.Context) ([]string, error) {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return nil, err
			}
			return words(ctx, s, app)
		})
	}
}

func (c *cli) completeConfig(cmd *cobra.Command, typed []string, start string) ([]string, cobra.ShellCompDirective) {
	return c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
		config, err := s.Config(ctx, app)
		return sortedKeys(config.Values), err
	})(cmd, typed, start)
}

// types are the process types an app could run.
func types(ctx context.Context, s *session, app string) ([]string, error) {
	known := map[string]bool{}
	a, err := s.App(ctx, app)
	if err != nil {
		return nil, err
	}
	builds, _, err := s.Builds(ctx, app, 1)
	for process := range a.Structure {
		known[process] = true
	}
	for _, build := range builds {
		for process := range build.Procfile {
			known[process] = true
		}
	}
	delete(known, "release")
	return sortedKeys(known), err
}

func (c *cli) completeTypes(cmd *cobra.Command, typed []string, start string) ([]string, cobra.ShellCompDirective) {
	return c.completeOfApp(types)(cmd, typed, start)
}

func (c *cli) completeScale(cmd *cobra.Command, typed []string, start string) ([]string, cobra.ShellCompDirective) {
	offered, how := c.completeOfApp(types)(cmd, typed, start)
	for i := range offered {
		offered[i] += "="
	}
	return offered, how | cobra.ShellCompDirectiveNoSpace
}

func (c *cli) completeProcesses(cmd *cobra.Command, typed []string, start string) ([]string, cobra.ShellCompDirective) {
	if len(typed) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
		pods, err := s.Pods(ctx, app, "", "")
		known := map[string]bool{}
		for _, pod := range pods {
			known[pod.Type] = true
		}
		return append(sortedKeys(known), names(pods, func(p api.Pod) string { return p.Name })...), err
	})(cmd, typed, start)
}

func (c *cli) completeReleases(cmd *cobra.Command, typed []string, start string) ([]string, cobra.ShellCompDirective) {
	if len(typed) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	offered, how := c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
		releases, _, err := s.Releases(ctx, app, 20)
		return names(releases, func(r api.Release) string { return fmt.Sprintf("v%d\t%s", r.Version, printable(r.Summary)) }), err
	})(cmd, typed, start)
	return offered, how | cobra.ShellCompDirectiveKeepOrder
}

func (c *cli) completeDomains(cmd *cobra.Command, typed []string, start string) ([]string, cobra.ShellCompDirective) {
	return c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
		domains, _, err := s.Domains(ctx, app, 0)
		return names(domains, func(d api.Domain) string { return d.Domain }), err
	})(cmd, typed, start)
}

// completeOfMe offers names of what the user has.
func (c *cli) completeOfMe(words func(context.Context, *session) ([]string, error)) completion {
	return func(cmd *cobra.Command, typed []string, _ string) ([]string, cobra.ShellCompDirective) {
		return c.offer(cmd, typed, func(ctx context.Context) ([]string, error) {
			s, err := c.connect()
			if err != nil {
				return nil, err
			}
			return words(ctx, s)
		})
	}
}

func (c *cli) completeKeys(cmd *cobra.Command, typed []string, start string) ([]string, cobra.ShellCompDirective) {
	return c.completeOfMe(func(ctx context.Context, s *session) ([]string, error) {
		keys, _, err := s.Keys(ctx, 0)
		return names(keys, func(k api.Key) string { return k.ID }), err
	})(cmd, typed, start)
}

// completeCerts offers certificates, and after one of them the domains of the
// app that is meant.
func (c *cli) completeCerts(cmd *cobra.Command, typed []string, start string) ([]string, cobra.ShellCompDirective) {
	if len(typed) == 1 {
		return c.completeDomains(cmd, nil, start)
	}
	return c.completeOfMe(func(ctx context.Context, s *session) ([]string, error) {
		certs, _, err := s.Certs(ctx, 0)
		return names(certs, func(v api.Cert) string { return v.Name }), err
	})(cmd, typed, start)
}

func names[T any](items []T, name func(T) string) []string {
	found := make([]string, len(items))
	for i, item := range items {
		found[i] = name(item)
	}
	return found
}
