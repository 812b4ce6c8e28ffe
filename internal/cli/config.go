package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) configCmd() *cobra.Command {
	cmd := group("config", "Show and change an app's environment variables", c.configListCmd,
		c.configGetCmd(), c.configSetCmd(), c.configUnsetCmd(), c.configPullCmd(), c.configPushCmd())
	cmd.Example = `  slipway config
  slipway config set DEBUG=1 GREETING="hello you"
  slipway config unset DEBUG
  slipway config pull          # into .env`
	return c.ofApp(cmd)
}

func (c *cli) configListCmd() *cobra.Command {
	var keys, oneline bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "Show the variables and their values",
		Long: `Show the variables and their values, which may be secrets: --keys shows the names alone. In a
pipe the lines are those of a .env file, in which values of groups are comments.`,
		Example: "  slipway config list\n  slipway config list --keys\n  slipway config --json | jq -r .values.DEBUG",
		Args:    takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			config, err := s.Config(ctx, app)
			switch {
			case err != nil:
				return err
			case keys:
				names := append([]string{}, sortedKeys(effective(config))...)
				return c.answer(names, func() { fmt.Fprint(c.stdout, lines(names)) })
			case oneline:
				text := strings.ReplaceAll(strings.TrimSpace(dotenv(config.Values)), "\n", " ")
				return c.answer(config, func() { c.stdout.say("%s", text) })
			}
			return c.answer(config, func() { c.configTable(app, config) })
		}),
	}
	cmd.Flags().BoolVar(&keys, "keys", false, "show the names alone")
	cmd.Flags().BoolVar(&oneline, "oneline", false, "show all on one line")
	must(cmd.Flags().MarkHidden("oneline"))
	return cmd
}

// lines is a word a line.
func lines(words []string) string {
	var text strings.Builder
	for _, word := range words {
		text.WriteString(word + "\n")
	}
	return text.String()
}

func (c *cli) configTable(app string, config api.Config) {
	shared := sharedValues(config)
	if len(config.Values) == 0 && len(shared) == 0 {
		c.none("%s has no config. Set some with: slipway config set KEY=value", app)
		return
	}
	if !c.stdout.terminal {
		fmt.Fprint(c.stdout, dotenv(config.Values))
		for _, key := range sortedKeys(shared) {
			line := strings.ReplaceAll(strings.TrimSpace(dotenv(map[string]string{key: shared[key].value})), "\n", "\n# ")
			c.stdout.say("# %s # of group %s", line, shared[key].group)
		}
		return
	}
	t := newTable("KEY", "VALUE", "GROUP")
	for _, key := range sortedKeys(effective(config)) {
		if own, ok := config.Values[key]; ok {
			t.row(key, own, "")
		} else {
			t.row(key, shared[key].value, shared[key].group)
		}
	}
	t.print(c.stdout)
}

// sharedValue is one that a group gives an app.
type sharedValue struct{ value, group string }

// sharedValues are those that the app has none of its own for.
func sharedValues(config api.Config) map[string]sharedValue {
	shared := map[string]sharedValue{}
	for _, group := range config.Groups {
		for key, value := range group.Values {
			if _, own := config.Values[key]; !own {
				shared[key] = sharedValue{value, group.Name}
			}
		}
	}
	return shared
}

// effective is what the app's processes see.
func effective(config api.Config) map[string]string {
	values := map[string]string{}
	for key, shared := range sharedValues(config) {
		values[key] = shared.value
	}
	maps.Copy(values, config.Values)
	return values
}

func (c *cli) configGetCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "get KEY",
		Short:             "Print one value",
		Long:              "Print one value as it is, for scripts. A variable that is not set ends with 3.",
		Example:           "  slipway config get DATABASE_URL\n  psql \"$(slipway config get DATABASE_URL)\"",
		Args:              takes(1, 1, "one KEY"),
		ValidArgsFunction: c.completeConfig,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			config, err := s.Config(ctx, app)
			if err != nil {
				return err
			}
			value, ok := effective(config)[args[0]]
			if !ok {
				return hinted(because(platform.ErrNotFound, "%s of %s is not set", args[0], app), "List what is set with: slipway config -a %s", app)
			}
			return c.answer(map[string]string{args[0]: value}, func() { c.stdout.say("%s", value) })
		}),
	}
}

func (c *cli) configSetCmd() *cobra.Command {
	return c.deploys(&cobra.Command{
		Use:   "set KEY=value...",
		Short: "Set variables: a new release, which deploys",
		Long: `Set variables. That makes a new release and deploys it. SSH_KEY, which builds use to fetch
private dependencies, may be a private key or the name of its file; it is stored as base64.`,
		Example: `  slipway config set DEBUG=1
  slipway config set GREETING="hello you" WORKERS=4
  slipway config set SSH_KEY=~/.ssh/deploy --no-wait`,
		Args: takes(1, -1, "KEY=value"),
		RunE: asksWith(c, c.assignments, func(ctx context.Context, s *session, app string, values map[string]*string) error {
			return c.changeConfig(ctx, s, app, "Setting", values)
		}),
	})
}

func (c *cli) configUnsetCmd() *cobra.Command {
	return c.deploys(&cobra.Command{
		Use:               "unset KEY...",
		Aliases:           []string{"rm", "remove"},
		Short:             "Remove variables: a new release, which deploys",
		Long:              "Remove variables. That makes a new release and deploys it; a variable that is not set is an error.",
		Example:           "  slipway config unset DEBUG GREETING",
		Args:              takes(1, -1, "a KEY"),
		ValidArgsFunction: c.completeConfig,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			return c.changeConfig(ctx, s, app, "Unsetting", unset(args))
		}),
	})
}

// unset is a patch that removes the keys.
func unset(keys []string) map[string]*string {
	values := make(map[string]*string, len(keys))
	for _, key := range keys {
		values[key] = nil
	}
	return values
}

func (c *cli) configPullCmd() *cobra.Command {
	var file string
	var overwrite bool
	cmd := &cobra.Command{
		Use:     "pull",
		Short:   "Write the variables to a .env file",
		Long:    "Write the variables to a .env file that only you can read. One that is there is kept unless --overwrite says otherwise.",
		Example: "  slipway config pull\n  slipway config pull --file - | less",
		Args:    takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			config, err := s.Config(ctx, app)
			if err != nil {
				return err
			}
			if file == "-" {
				return c.answer(config, func() { fmt.Fprint(c.stdout, dotenv(config.Values)) })
			}
			if err := writeNew(c.path(file), dotenv(config.Values), overwrite); err != nil {
				return err
			}
			said := map[string]any{"file": file, "count": len(config.Values)}
			return c.answer(said, func() { c.stdout.say("Wrote %s to %s.", plural(len(config.Values), "variable"), file) })
		}),
	}
	cmd.Flags().StringVar(&file, "file", ".env", "where to; - is stdout")
	cmd.Flags().BoolVarP(&overwrite, "overwrite", "o", false, "replace a file that is there")
	return cmd
}

func (c *cli) configPushCmd() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "push",
		Short:   "Set the variables of a .env file: a new release, which deploys",
		Long:    "Set the variables of a .env file. That makes a new release and deploys it; variables the file does not name stay.",
		Example: "  slipway config push\n  slipway config push --file production.env\n  sops -d prod.env | slipway config push --file -",
		Args:    takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			text, err := c.readFile(file, maxDotenv)
			if err != nil {
				return err
			}
			values, err := parseDotenv(text)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			return c.changeConfig(ctx, s, app, "Setting", values)
		}),
	}
	cmd.Flags().StringVar(&file, "file", ".env", "from where; - is stdin")
	cmd.Flags().StringVarP(&file, "path", "p", ".env", "the same as --file")
	must(cmd.Flags().MarkHidden("path"))
	return c.deploys(cmd)
}

// maxDotenv bounds a .env file, in bytes.
const maxDotenv = 4 << 20

// changeConfig sets and unsets variables.
func (c *cli) changeConfig(ctx context.Context, s *session, app, doing string, values map[string]*string) error {
	keys := sortedKeys(values)
	return c.patchConfig(ctx, s, app, doing+" "+strings.Join(keys, ", "), keys, api.ConfigPatch{Values: values})
}

// assignments reads KEY=value words.
func (c *cli) assignments(words []string) (map[string]*string, error) {
	values := make(map[string]*string, len(words))
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, &usageError{"slipway config set", fmt.Sprintf("%q sets nothing: write %s=value", word, word)}
		}
		if key == "SSH_KEY" {
			value = c.sshKey(value)
		}
		if err := platform.ValidConfigVar(key, value); err != nil {
			return nil, err
		}
		values[key] = &value
	}
	return values, nil
}

// sshKey is a private key, or one in a file, in the form builds expect; all
// else is as it was.
func (c *cli) sshKey(value string) string {
	text := value
	if rest, ok := strings.CutPrefix(value, "~/"); ok {
		value = filepath.Join(c.opts.env("HOME"), rest)
	}
	if !strings.Contains(text, "PRIVATE KEY-----") && value != "" && !strings.Contains(value, "\n") {
		if file, err := c.readFile(value, maxKey); err == nil {
			text = file
		}
	}
	if strings.Contains(text, "PRIVATE KEY-----") {
		return base64.StdEncoding.EncodeToString([]byte(text))
	}
	return text
}
