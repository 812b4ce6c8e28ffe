package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

// section is a part of the config that is a map of words: one noun with list,
// set and unset, of which the last two make a release.
type section struct {
	noun, short, long string
	key, value        string // what a word is called: KEY=value
	examples          [3]string
	none              string // when the map is empty
	secret            func(key string) bool
	read              func(api.Config) map[string]string
	write             func(*api.ConfigPatch, map[string]*string)
	about             []string // words of the release's summary; nil: the keys
	complete          completion
}

func (c *cli) sectionCmd(p section) *cobra.Command {
	list := func() *cobra.Command { return c.sectionListCmd(p) }
	cmd := group(p.noun, p.short, list, c.sectionSetCmd(p), c.sectionUnsetCmd(p))
	cmd.Long, cmd.Example = p.long, strings.Join(p.examples[:], "\n")
	return c.ofApp(cmd)
}

func (c *cli) sectionListCmd(p section) *cobra.Command {
	var show bool
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show them", Long: p.long, Example: p.examples[0],
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			config, err := s.Config(ctx, app)
			if err != nil {
				return err
			}
			return c.answer(p.hidden(p.read(config), show), func() { c.words(p, p.read(config), show) })
		}),
	}
	if p.secret != nil {
		cmd.Flags().BoolVar(&show, "show-secrets", false, "show what is secret as well")
	}
	return cmd
}

// masked stands for a value that is secret.
const masked = "********"

// hidden is the map without its secrets, unless they are to be shown.
func (p section) hidden(words map[string]string, show bool) map[string]string {
	shown := make(map[string]string, len(words))
	for key, value := range words {
		if p.secret != nil && p.secret(key) && !show {
			value = masked
		}
		shown[key] = value
	}
	return shown
}

func (c *cli) words(p section, words map[string]string, show bool) {
	if len(words) == 0 {
		c.none("%s", p.none)
		return
	}
	words = p.hidden(words, show)
	t := newTable(strings.ToUpper(p.key), strings.ToUpper(p.value))
	for _, key := range sortedKeys(words) {
		t.row(key, words[key])
	}
	t.print(c.stdout)
}

func (c *cli) sectionSetCmd(p section) *cobra.Command {
	return c.deploys(&cobra.Command{
		Use:     fmt.Sprintf("set %s=%s...", p.key, p.value),
		Short:   "Set some: a new release, which deploys",
		Long:    p.long + "\n\nSetting some makes a new release and deploys it; those not named stay.",
		Example: p.examples[1],
		Args:    takes(1, -1, p.key+"="+p.value),
		RunE: asksWith(c, pairs("slipway "+p.noun+" set", p.value), func(ctx context.Context, s *session, app string, values map[string]*string) error {
			return c.changeSection(ctx, s, app, "Setting", p, values)
		}),
	})
}

func (c *cli) sectionUnsetCmd(p section) *cobra.Command {
	return c.deploys(&cobra.Command{
		Use:               fmt.Sprintf("unset %s...", p.key),
		Aliases:           []string{"rm", "remove"},
		Short:             "Remove some: a new release, which deploys",
		Long:              p.long + "\n\nRemoving some makes a new release and deploys it; one that is not set is an error.",
		Example:           p.examples[2],
		Args:              takes(1, -1, "a "+p.key),
		ValidArgsFunction: p.complete,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			return c.changeSection(ctx, s, app, "Unsetting", p, unset(args))
		}),
	})
}

func (c *cli) changeSection(ctx context.Context, s *session, app, doing string, p section, values map[string]*string) error {
	var patch api.ConfigPatch
	p.write(&patch, values)
	about := p.about
	if about == nil {
		about = sortedKeys(values)
	}
	return c.patchConfig(ctx, s, app, fmt.Sprintf("%s %s %s", doing, p.noun, strings.Join(sortedKeys(values), ", ")), about, patch)
}

// pairs reads KEY=value words; the platform checks them further.
func pairs(command, value string) func(words []string) (map[string]*string, error) {
	return func(words []string) (map[string]*string, error) {
		values := make(map[string]*string, len(words))
		for _, word := range words {
			key, v, ok := strings.Cut(word, "=")
			if !ok || key == "" {
				return nil, &usageError{command, fmt.Sprintf("%q sets nothing: write %s=%s", word, orWord(key, "KEY"), value)}
			}
			values[key] = &v
		}
		return values, nil
	}
}

// completeSection offers the keys a section of the app's config has.
func (c *cli) completeSection(read func(api.Config) map[string]string) completion {
	return c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
		config, err := s.Config(ctx, app)
		return sortedKeys(read(config)), err
	})
}
