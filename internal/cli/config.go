package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) configCmd() *cobra.Command {
	cmd := c.configListCmd()
	c.ofApp(cmd)
	cmd.Use, cmd.Aliases, cmd.Args = "config", nil, noun
	cmd.Example = `  slipway config
  slipway config set DEBUG=1 GREETING="hello you"
  slipway config unset DEBUG
  slipway config pull          # into .env`
	cmd.AddCommand(c.configListCmd(), c.configGetCmd(), c.configSetCmd(), c.configUnsetCmd(), c.configPullCmd(), c.configPushCmd())
	return cmd
}

func (c *cli) configListCmd() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "Show and change an app's environment variables",
		Example: "  slipway config list\n  slipway config --json | jq -r .values.DEBUG",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			config, err := s.Config(ctx, app)
			if err != nil {
				return err
			}
			return c.answer(config, func() { c.configTable(app, config) })
		}),
	}
}

func (c *cli) configTable(app string, config api.Config) {
	if len(config.Values) == 0 {
		c.none("%s has no config. Set some with: slipway config set KEY=value", app)
		return
	}
	if !c.stdout.terminal {
		fmt.Fprint(c.stdout, dotenv(config.Values))
		return
	}
	t := newTable("KEY", "VALUE")
	for _, key := range sortedKeys(config.Values) {
		t.row(key, config.Values[key])
	}
	t.print(c.stdout)
}

func (c *cli) configGetCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "get KEY",
		Short:             "Print one value",
		Example:           "  slipway config get DATABASE_URL",
		Args:              takes(1, 1, "one KEY"),
		ValidArgsFunction: c.completeConfig,
		RunE: c.verb(func(ctx context.Context, args []string) error {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			config, err := s.Config(ctx, app)
			if err != nil {
				return err
			}
			value, ok := config.Values[args[0]]
			if !ok {
				return hinted(because(platform.ErrNotFound, "%s of %s is not set", args[0], app), "List what is set with: slipway config -a %s", app)
			}
			return c.answer(map[string]string{args[0]: value}, func() { c.stdout.say("%s", value) })
		}),
	}
}

func (c *cli) configSetCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "set KEY=value...",
		Short: "Set variables: a new release, which deploys",
		Example: `  slipway config set DEBUG=1
  slipway config set GREETING="hello you" WORKERS=4
  slipway config set SSH_KEY="$(cat ~/.ssh/deploy)"`,
		Args: takes(1, -1, "KEY=value"),
		RunE: c.verb(func(ctx context.Context, args []string) error {
			values, err := assignments(args)
			if err != nil {
				return err
			}
			return c.changeConfig(ctx, "Setting", values)
		}),
	}
}

func (c *cli) configUnsetCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "unset KEY...",
		Aliases:           []string{"rm", "remove"},
		Short:             "Remove variables: a new release, which deploys",
		Example:           "  slipway config unset DEBUG GREETING",
		Args:              takes(1, -1, "a KEY"),
		ValidArgsFunction: c.completeConfig,
		RunE: c.verb(func(ctx context.Context, args []string) error {
			values := map[string]*string{}
			for _, key := range args {
				values[key] = nil
			}
			return c.changeConfig(ctx, "Unsetting", values)
		}),
	}
}

func (c *cli) configPullCmd() *cobra.Command {
	var file string
	var overwrite bool
	cmd := &cobra.Command{
		Use:     "pull",
		Short:   "Write the variables to a .env file",
		Example: "  slipway config pull\n  slipway config pull --file - | less",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
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
			return c.answer(config, func() { c.stdout.say("Wrote %s to %s.", plural(len(config.Values), "variable"), file) })
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
		Example: "  slipway config push\n  slipway config push --file production.env",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			text, err := os.ReadFile(c.path(file))
			if err != nil {
				return err
			}
			values, err := parseDotenv(string(text))
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			return c.changeConfig(ctx, "Setting", values)
		}),
	}
	cmd.Flags().StringVar(&file, "file", ".env", "from where")
	return cmd
}

// changeConfig makes the release and tells its version. A change that changes
// nothing is done already.
func (c *cli) changeConfig(ctx context.Context, doing string, values map[string]*string) error {
	s, app, err := c.connectApp(ctx)
	if err != nil {
		return err
	}
	var config api.Config
	text := fmt.Sprintf("%s %s on %s", doing, strings.Join(sortedKeys(values), ", "), app)
	err = c.during(text, func() (string, error) {
		config, err = s.SetConfig(ctx, app, api.ConfigPatch{Values: values})
		if unchanged(err) {
			config, err = s.Config(ctx, app)
			return "nothing to change", err
		}
		if err != nil {
			return "", err
		}
		return "done, " + s.newest(ctx, app), nil
	})
	if err != nil {
		return err
	}
	return c.answer(config, func() {})
}

// unchanged reports whether the platform refused because all is so already.
func unchanged(err error) bool {
	return errors.Is(err, platform.ErrConflict) && strings.Contains(err.Error(), "changed nothing")
}

// newest words the app's newest release: its version, and its receipt.
func (s *session) newest(ctx context.Context, app string) string {
	releases, _, err := s.Releases(ctx, app, 1)
	if err != nil || len(releases) == 0 {
		return "a new release"
	}
	text := fmt.Sprintf("v%d", releases[0].Version)
	if receipt := receiptText(releases[0].Receipt); receipt != "" {
		text += ": " + receipt
	}
	return text
}

// assignments reads KEY=value words.
func assignments(words []string) (map[string]*string, error) {
	values := make(map[string]*string, len(words))
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, &usageError{"slipway config set", fmt.Sprintf("%q sets nothing: write %s=value", word, word)}
		}
		if key == "SSH_KEY" && strings.Contains(value, "PRIVATE KEY-----") {
			value = base64.StdEncoding.EncodeToString([]byte(value)) // the form builds expect
		}
		if err := platform.ValidConfigVar(key, value); err != nil {
			return nil, err
		}
		values[key] = &value
	}
	return values, nil
}

// path is a file name relative to the working directory.
func (c *cli) path(name string) string {
	if c.opts.Dir == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.opts.Dir, name)
}

// writeNew writes a file that only its user can read.
func writeNew(path, text string, overwrite bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if !overwrite {
		flags |= os.O_EXCL
	}
	file, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, os.ErrExist) {
		return hinted(because(platform.ErrConflict, "%s is there already", path), "Replace it with: --overwrite")
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}
