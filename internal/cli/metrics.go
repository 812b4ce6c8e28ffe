package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

// sample is one value of a metric.
type sample struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	Value  string            `json:"value"` // as it came: NaN and infinities are no JSON numbers
}

func (c *cli) metricsCmd() *cobra.Command {
	return c.common(&cobra.Command{
		Use:   "metrics",
		Short: "Print what Prometheus reads of the platform",
		Long: `Print the counts of all apps that the edge keeps, as Prometheus reads them with an administrator's token at
/v2/metrics/: requests by status, how long they took, what is under way, retries, ejections, handshakes.`,
		Example: "  slipway metrics | grep requests_total\n  slipway metrics --json | jq '.[] | select(.labels.app==\"blog\")'",
		Args:    takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			text, err := s.Metrics(ctx)
			if err != nil {
				return err
			}
			return c.answer(samples(text), func() {
				for line := range strings.Lines(text) {
					c.stdout.say("%s", printable(strings.TrimSuffix(line, "\n")))
				}
			})
		}),
	})
}

// samples reads the text format as far as this platform writes it.
func samples(text string) []sample {
	all := []sample{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, ok := cutLast(line, " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		s := sample{Value: value}
		var labels string
		s.Name, labels, _ = strings.Cut(name, "{")
		for pair := range strings.SplitSeq(strings.TrimSuffix(labels, "}"), `",`) {
			if key, value, ok := strings.Cut(pair, `="`); ok {
				if s.Labels == nil {
					s.Labels = map[string]string{}
				}
				s.Labels[key] = strings.TrimSuffix(value, `"`)
			}
		}
		all = append(all, s)
	}
	return all
}

func cutLast(s, sep string) (before, after string, found bool) {
	if at := strings.LastIndex(s, sep); at >= 0 {
		return s[:at], s[at+len(sep):], true
	}
	return s, "", false
}
