package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) buildsCmd() *cobra.Command {
	cmd := group("builds", "List what was built; deploy an image", c.buildsListCmd, c.buildCreateCmd(), c.buildInfoCmd())
	cmd.Example = "  slipway builds\n  slipway builds create registry.example.com/shop:1.2"
	return c.ofApp(cmd)
}

func (c *cli) buildsListCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List what was built, newest first",
		Long:    "List what was built, newest first: pushed commits and deployed images.",
		Example: "  slipway builds list --limit 5 --json",
		Args:    takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			builds, count, err := s.Builds(ctx, app, limit)
			if err != nil {
				return err
			}
			return page[api.Build]{
				items: builds, total: count, none: app + " was never built. Deploy with: git push slipway HEAD:main",
				heads: []string{"BUILD", "SOURCE", "DIGEST", "WHEN", "BY", "PROCESSES"},
				row: func(b api.Build) []string {
					return []string{b.UUID, sourceOf(b), shortDigest(b), c.when(b.Created), b.Owner, strings.Join(sortedKeys(b.Procfile), " ")}
				},
			}.show(c)
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (c *cli) buildInfoCmd() *cobra.Command {
	return &cobra.Command{
		Use: "info UUID", Short: "Show one build", Long: "Show one build: what it is made of, and the commands of its process types.",
		Example: "  slipway builds info 9f0e4a2c-0d6b-4c58-8d8e-0a1b2c3d4e5f",
		Args:    takes(1, 1, "one UUID"),
		ValidArgsFunction: c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
			builds, _, err := s.Builds(ctx, app, 20)
			return names(builds, func(b api.Build) string { return b.UUID }), err
		}),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			build, err := s.Build(ctx, app, args[0])
			if err != nil {
				return err
			}
			return c.answer(build, func() { c.buildText(build) })
		}),
	}
}

// sourceOf is what a build was made of, as its maker would say it.
func sourceOf(b api.Build) string { return orWord(b.SHA, b.Image) }

// shortDigest is the digest of what a build runs, as far as one can tell two
// apart by it; empty for a platform that does not say.
func shortDigest(b api.Build) string {
	_, digest, _ := strings.Cut(b.Pinned, "@sha256:")
	return digest[:min(len(digest), 12)]
}

func (c *cli) buildText(b api.Build) {
	var f facts
	f.add("Build", b.UUID)
	f.add("App", b.App)
	f.add("Commit", b.SHA)
	f.add("Image", b.Image)
	if b.Pinned != b.Image {
		f.add("Digest", b.Pinned)
	}
	f.add("Stack", b.Stack)
	if len(b.Ports) > 0 {
		f.add("Exposes", strings.Trim(fmt.Sprint(b.Ports), "[]"))
	}
	f.add("By", b.Owner)
	f.add("When", c.when(b.Created))
	for _, process := range sortedKeys(b.Procfile) {
		f.add(process, b.Procfile[process])
	}
	f.print(c.stdout)
}

func (c *cli) buildCreateCmd() *cobra.Command {
	var procfile string
	cmd := &cobra.Command{
		Use:   "create IMAGE",
		Short: "Deploy an image as a new release",
		Long: `Deploy an image that a registry has as a new release: of any registry, by tag or digest, or of the
platform itself, as shop:v3. It is copied and pinned, so that what runs needs that registry no more. The
process types are those of --procfile, else of ./Procfile if there is one, and cmd: the image's own command.`,
		Example: `  slipway builds create registry.example.com/shop:1.2
  slipway builds create nginx:1.27 --procfile 'web: nginx -g "daemon off;"'`,
		Args: takes(1, 1, "one IMAGE"),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			types, err := c.procfile(procfile)
			if err != nil {
				return err
			}
			return c.release(ctx, s, app, newRelease{
				doing: "Deploying " + args[0] + " to " + app, about: []string{"deployed " + args[0]},
				work: func(ctx context.Context) (func(api.Release) bool, error) {
					defer c.hearPull(ctx, s, app)()
					build, err := s.CreateBuild(ctx, app, api.CreateBuild{Image: args[0], Procfile: types})
					return func(r api.Release) bool { return r.Build != nil && *r.Build == build.UUID }, err
				},
			})
		}),
	}
	cmd.Flags().StringVarP(&procfile, "procfile", "p", "", "`text` of a Procfile, instead of ./Procfile")
	return c.deploys(cmd)
}

// maxProcfile bounds a Procfile, in bytes.
const maxProcfile = 64 << 10

// procfile is the process types of text, else of ./Procfile, else none.
func (c *cli) procfile(text string) (map[string]string, error) {
	if text == "" {
		file, err := c.readFile("Procfile", maxProcfile)
		if errors.Is(err, platform.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		text = file
	}
	return parseProcfile(text)
}

// parseProcfile reads "type: command" lines.
func parseProcfile(text string) (map[string]string, error) {
	types := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		process, command, ok := strings.Cut(line, ":")
		process, command = strings.TrimSpace(process), strings.TrimSpace(command)
		if !ok || command == "" || !platform.ValidProcessType(process) {
			return nil, platform.Invalid("procfile", "%q is no process type and its command: write web: bin/server", line)
		}
		if n := len(command); n > 1 && (command[0] == '"' || command[0] == '\'') && command[n-1] == command[0] {
			command = command[1 : n-1]
		}
		types[process] = command
	}
	return types, nil
}
