package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/client"
)

func (c *cli) auditCmd() *cobra.Command {
	var q client.AuditQuery
	var since, until string
	var limit int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who changed what, when and from where",
		Long: `Show who changed what, when and from where, newest first: of an app (-a) for those who may
administer it, of the whole platform for its administrators. Values of the config are never in it.`,
		Example: "  slipway audit -a blog\n  slipway audit --user carol --since 7d\n  slipway audit --event config.changed --since 2026-01-31 -l 500 --json",
		Args:    takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) (err error) {
			q.App = c.app
			if q.Since, err = c.moment("slipway audit", since); err != nil {
				return err
			}
			if q.Until, err = c.moment("slipway audit", until); err != nil {
				return err
			}
			events, count, err := s.Audit(ctx, q, limit)
			if err != nil {
				return err
			}
			return page[api.AuditEvent]{
				items: events, total: count, none: "Nothing of that kind happened.",
				heads: []string{"WHEN", "EVENT", "APP", "BY", "FROM", "TOKEN", "WHAT"},
				row: func(e api.AuditEvent) []string {
					return []string{c.when(e.At), e.Event, e.App, e.User, e.From, e.Token, attrsText(e.Attrs)}
				},
			}.show(c)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&q.User, "user", "", "only by this `user`")
	flags.StringVar(&q.Event, "event", "", "only of this `kind`, such as config.changed")
	flags.StringVar(&since, "since", "", "only from then on: 2h, 7d, 2026-01-31 or RFC 3339")
	flags.StringVar(&until, "until", "", "only before then")
	flags.IntVarP(&limit, "limit", "l", 100, "list at most so many; 0: all")
	return c.ofApp(cmd)
}

func attrsText(attrs map[string]string) string {
	words := make([]string, 0, len(attrs))
	for _, key := range sortedKeys(attrs) {
		words = append(words, key+"="+quote(attrs[key]))
	}
	return strings.Join(words, " ")
}

// moment reads how long ago, a day, or an RFC 3339 time; zero for "".
func (c *cli) moment(command, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := parseSpan(text); err == nil && d >= 0 {
		return c.opts.Now().Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &usageError{command, fmt.Sprintf("%q is no time: write 2h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z", text)}
}
