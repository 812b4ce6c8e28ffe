package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const cutoverLong = `Say how requests are led from one release of an app to the next: at once (instant, unless told), in steps of requests
(staged) or of instances (count), for some only until somebody promotes (canary), or after their copies fared well
(mirrored). While two releases serve, failures and latencies of both are compared; past the budget the requests are
led back within a second, and the receipt says why.`

const cutoverSetLong = cutoverLong + `

  strategy        instant, staged, count, canary or mirrored
  steps           staged: growing shares of the requests, such as 1%,10%,50%
  count           count: how many instances of the new release are first (1)
  header, cookie  canary: NAME:VALUE of the requests that go to it; all have to be met, and * is any value
  weight          canary: a share of all requests besides
  mirror          mirrored: the share of GET and HEAD requests that is copied (10%)
  by              request (unless told) or client: a client stays with the new release
  sticky          the cookie that clients are told apart by; without it by their address
  pause           how long each step takes (30s); a canary is promoted after it, or else by slipway cutover promote
  min-requests    how many requests the new release has to have had in each step
  deadline        how long a step waits for them before the cutover is undone (1h)
  error-budget    how many more requests may fail on the new release, in percent
  latency-budget  how much longer its p99 may be
  size-budget     mirrored: how many answers may have another length, in percent

KEY= takes a word back. It counts from the next cutover on.`

func (c *cli) cutoverCmd() *cobra.Command {
	cmd := group("cutover", "Lead requests from one release to the next", c.cutoverShowCmd, c.cutoverSetCmd(),
		c.cutoverWordCmd("promote", "Lead all requests to the new release", (*session).PromoteCutover),
		c.cutoverWordCmd("abort", "Lead the requests back to the release before", (*session).AbortCutover))
	cmd.Long = cutoverLong
	cmd.Example = `  slipway cutover
  slipway cutover set strategy=staged steps=5%,25%,50% pause=1m min-requests=100
  slipway cutover promote`
	return c.ofApp(cmd)
}

func (c *cli) cutoverShowCmd() *cobra.Command {
	return &cobra.Command{
		Use: "show", Aliases: []string{"list", "ls", "info"}, Short: "Show the strategy, and the cutover under way", Long: cutoverLong, Example: "  slipway cutover\n  slipway cutover --json",
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			cutover, err := s.Cutover(ctx, app)
			if err != nil {
				return err
			}
			return c.answer(cutover, func() { c.cutoverText(app, cutover) })
		}),
	}
}

func (c *cli) cutoverText(app string, v api.Cutover) {
	var f facts
	f.add("App", app)
	f.add("Strategy", strategyText(v.Strategy))
	if u := v.UnderWay; u != nil {
		f.add("Under way", fmt.Sprintf("v%d beside v%d, since %s", u.Release, u.From, c.when(u.Started)))
		for i, step := range u.Done {
			f.add(fmt.Sprintf("Step %d", i+1), stepText(step, u.From, u.Release))
		}
		switch {
		case u.Step == 0:
			f.add("Now", "its instances start")
		case u.Step <= len(u.Steps):
			f.add("Now", fmt.Sprintf("step %d of %d, %s: %s", u.Step, len(u.Steps), u.Steps[u.Step-1], u.Waits))
			f.add("Figures", figuresText(u.Old, u.New, u.Mirror, u.From, u.Release))
		default:
			f.add("Now", "the last instances start")
		}
		if u.Word != "" {
			f.add("Word", u.By+": "+u.Word)
		}
		f.add("Undone", u.Undone)
	}
	f.print(c.stdout)
}

// strategyText is what was said of a strategy, in its own words.
func strategyText(words map[string]string) string {
	var parts []string
	for _, key := range platform.StrategyKeys {
		if text := words[key]; text != "" {
			parts = append(parts, key+"="+text)
		}
	}
	if words["strategy"] == "" {
		parts = append([]string{"strategy=instant"}, parts...)
	}
	return strings.Join(parts, " ")
}

func stepText(s api.CutoverStep, from, to int) string {
	text := fmt.Sprintf("%s, %s: %s", s.Name, (time.Duration(s.TookMS) * time.Millisecond).Round(time.Millisecond), figuresText(s.Old, s.New, s.Mirror, from, to))
	if s.Unjudged != "" {
		text += "; " + s.Unjudged
	}
	return text
}

func figuresText(before, now api.SideCount, m *api.MirrorCount, from, to int) string {
	side := func(s api.SideCount) platform.SideCount {
		return platform.SideCount{Requests: s.Requests, Failed: s.Failed, P99: milliseconds(s.P99MS)}
	}
	text := fmt.Sprintf("v%d: %s; v%d: %s", to, side(now), from, side(before))
	if m != nil {
		text += "; " + platform.MirrorCount{
			Compared: m.Compared, Status: m.Status, Size: m.Size, P99Old: milliseconds(m.P99OldMS), P99New: milliseconds(m.P99NewMS),
		}.String()
	}
	return text
}

func (c *cli) cutoverSetCmd() *cobra.Command {
	return &cobra.Command{
		Use: "set KEY=VALUE...", Short: "Change how the next cutovers go", Long: cutoverSetLong,
		Example: `  slipway cutover set strategy=staged steps=5%,25%,50% pause=1m min-requests=100 error-budget=1% latency-budget=250ms
  slipway cutover set strategy=canary header=X-Canary:yes weight=1%
  slipway cutover set strategy=mirrored mirror=20% pause=5m
  slipway cutover set strategy=instant`,
		Args: takes(1, -1, "KEY=VALUE"), ValidArgsFunction: completeStrategy,
		RunE: asksWith(c, strategyWords, func(ctx context.Context, s *session, app string, words api.SetCutover) error {
			cutover, err := s.SetCutover(ctx, app, words)
			if unchanged(err) {
				cutover, err = s.Cutover(ctx, app)
			}
			if err != nil {
				return err
			}
			return c.answer(cutover, func() { c.stdout.say("The next cutovers of %s: %s", app, strategyText(cutover.Strategy)) })
		}),
	}
}

// strategyWords reads KEY=VALUE words.
func strategyWords(args []string) (api.SetCutover, error) {
	words := make(api.SetCutover)
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		switch {
		case !slices.Contains(platform.StrategyKeys, key):
			return nil, &usageError{"slipway cutover set", fmt.Sprintf("there is no key %q; there are %s", key, strings.Join(platform.StrategyKeys, ", "))}
		case !ok:
			return nil, &usageError{"slipway cutover set", fmt.Sprintf("%q sets nothing: write %s=VALUE", arg, key)}
		}
		words[key] = &value
	}
	return words, nil
}

// completeStrategy offers the keys, and the strategies there are.
func completeStrategy(_ *cobra.Command, _ []string, start string) ([]string, cobra.ShellCompDirective) {
	if strings.HasPrefix(start, "strategy=") {
		return []string{"strategy=instant", "strategy=staged", "strategy=count", "strategy=canary", "strategy=mirrored"}, cobra.ShellCompDirectiveNoFileComp
	}
	var offered []string
	for _, key := range platform.StrategyKeys {
		offered = append(offered, key+"=")
	}
	return offered, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveKeepOrder
}

// cutoverWordCmd is a word about the cutover under way.
func (c *cli) cutoverWordCmd(word, short string, say func(*session, context.Context, string) (api.Cutover, error)) *cobra.Command {
	return &cobra.Command{
		Use: word, Short: short, Long: short + ", whatever the step under way waits for.", Example: "  slipway cutover " + word,
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			cutover, err := say(s, ctx, app)
			if err != nil {
				return err
			}
			return c.answer(cutover, func() {
				c.stdout.say("The cutover of %s: %s. See slipway releases for how it ends.", app, word)
			})
		}),
	}
}
