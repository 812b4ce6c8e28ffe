package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const volumesLong = `Keep directories that outlive an app's instances: releases, restarts, crashes, another name of the app.

A volume has one writer at a time: one process type mounts it, which runs at most once. On a deploy the old instance ends
before the new one begins, and requests wait meanwhile, so that none fails.

To add, mount, unmount or remove one is a new release, and a rollback brings mounts back. Data is deleted with the app,
or by "slipway volumes remove NAME --data", and by nothing else.`

func (c *cli) volumesCmd() *cobra.Command {
	cmd := group("volumes", "Keep data that outlives instances", c.volumesListCmd,
		c.volumeAddCmd(), c.volumeMountCmd(), c.volumeUnmountCmd(), c.volumeRemoveCmd())
	cmd.Long = volumesLong
	cmd.Example = "  slipway volumes\n  slipway volumes add data web=/data\n  slipway volumes remove data --data --confirm data"
	return c.ofApp(cmd)
}

func (c *cli) volumesListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show the volumes, and data that was kept", Long: volumesLong, Example: "  slipway volumes list\n  slipway volumes --json",
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			volumes, err := s.Volumes(ctx, app)
			if err != nil {
				return err
			}
			return page[api.Volume]{
				items: volumes, none: app + " has no volumes. Add one with: slipway volumes add data web=/data",
				heads: []string{"NAME", "MOUNTED", "DATA", "HELD BY"},
				row: func(v api.Volume) []string {
					return []string{v.Name, mountsText(v), dataText(v), strings.Join(v.HeldBy, " ")}
				},
			}.show(c)
		}),
	}
}

func mountsText(v api.Volume) string {
	var words []string
	for _, process := range sortedKeys(v.Mounts) {
		words = append(words, process+"="+v.Mounts[process])
	}
	if v.Removed {
		return "removed"
	}
	return strings.Join(words, " ")
}

func dataText(v api.Volume) string {
	switch {
	case v.Removed:
		return "kept"
	case v.Data:
		return "yes"
	}
	return "none yet"
}

// mountOf reads TYPE=/path.
func mountOf(verb, text string) (process, at string, err error) {
	process, at, ok := strings.Cut(text, "=")
	if !ok || process == "" || at == "" {
		return "", "", &usageError{"slipway volumes " + verb, fmt.Sprintf("%q is no mount: write it like web=/data", text)}
	}
	return process, at, nil
}

func (c *cli) volumeAddCmd() *cobra.Command {
	return &cobra.Command{
		Use: "add NAME [TYPE=/PATH]", Short: "Add a volume and mount it: a new release, which deploys", Long: volumesLong,
		Example: "  slipway volumes add data web=/data\n  slipway volumes add archive",
		Args:    takes(1, 2, "a NAME, and TYPE=/PATH to mount it"),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			wish := api.SetVolume{Name: args[0]}
			if len(args) == 2 {
				process, at, err := mountOf("add", args[1])
				if err != nil {
					return err
				}
				wish.Mounts = map[string]*string{process: &at}
			}
			return c.setVolume(ctx, s, app, wish, "Adding volume "+args[0])
		}),
	}
}

func (c *cli) volumeMountCmd() *cobra.Command {
	return &cobra.Command{
		Use: "mount NAME TYPE=/PATH", Short: "Mount a volume in a process type: a new release, which deploys", Long: volumesLong,
		Example: "  slipway volumes mount data worker=/srv/data", Args: takes(2, 2, "a NAME and TYPE=/PATH"),
		ValidArgsFunction: c.completeVolumes,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			process, at, err := mountOf("mount", args[1])
			if err != nil {
				return err
			}
			if err := s.hasVolume(ctx, app, args[0]); err != nil {
				return err
			}
			return c.setVolume(ctx, s, app, api.SetVolume{Name: args[0], Mounts: map[string]*string{process: &at}}, "Mounting volume "+args[0])
		}),
	}
}

// hasVolume refuses a name that is misspelt: the app would get an empty
// directory where its data should be.
func (s *session) hasVolume(ctx context.Context, app, name string) error {
	volumes, err := s.Volumes(ctx, app)
	if err != nil || slices.ContainsFunc(volumes, func(v api.Volume) bool { return v.Name == name && !v.Removed }) {
		return err
	}
	return hinted(because(platform.ErrNotFound, "there is no volume %s", name),
		"See what there is with: slipway volumes -a %s; add it with: slipway volumes add %s TYPE=/PATH -a %s", app, name, app)
}

func (c *cli) volumeUnmountCmd() *cobra.Command {
	return &cobra.Command{
		Use: "unmount NAME TYPE", Aliases: []string{"umount"}, Short: "Unmount a volume from a process type: a new release, which deploys",
		Long:    "Unmount a volume from a process type, as a new release. Its data stays.",
		Example: "  slipway volumes unmount data web", Args: takes(2, 2, "a NAME and a TYPE"),
		ValidArgsFunction: c.completeVolumes,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			return c.setVolume(ctx, s, app, api.SetVolume{Name: args[0], Mounts: map[string]*string{args[1]: nil}}, "Unmounting volume "+args[0])
		}),
	}
}

func (c *cli) setVolume(ctx context.Context, s *session, app string, wish api.SetVolume, title string) error {
	var volume api.Volume
	err := c.during(title, func() (_ string, err error) {
		volume, err = s.SetVolume(ctx, app, wish)
		return "", err
	})
	if err != nil {
		return err
	}
	return c.answer(volume, func() {
		if len(volume.Mounts) == 0 {
			c.stdout.say("%s has volume %s, which is not mounted.", app, volume.Name)
			return
		}
		c.stdout.say("%s has volume %s, mounted as %s.", app, volume.Name, mountsText(volume))
	})
}

func (c *cli) volumeRemoveCmd() *cobra.Command {
	var data bool
	var confirm string
	cmd := &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Remove a volume: a new release, which deploys",
		Long: `Remove a volume from the app, as a new release. Its data is kept, and a volume of the same name that is added later has it
again. With --data it is deleted for good, which the role admin may; that also deletes what an earlier removal kept.`,
		Example: "  slipway volumes remove data\n  slipway volumes remove data --data --confirm data", Args: takes(1, 1, "one NAME"),
		ValidArgsFunction: c.completeVolumes,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			if data && confirm != args[0] {
				return &usageError{"slipway volumes remove", fmt.Sprintf("to delete the data of %s for good say so: --data --confirm %s", args[0], args[0])}
			}
			if err := c.during("Removing volume "+args[0], func() (string, error) { return "", s.RemoveVolume(ctx, app, args[0], data) }); err != nil {
				return err
			}
			return c.answer(map[string]any{"name": args[0], "data_deleted": data}, func() {
				if data {
					c.stdout.say("%s has volume %s no longer, and its data is gone.", app, args[0])
					return
				}
				c.stdout.say("%s has volume %s no longer. Its data was kept; delete it with: slipway volumes remove %s --data --confirm %s", app, args[0], args[0], args[0])
			})
		}),
	}
	cmd.Flags().BoolVar(&data, "data", false, "delete its data as well, for good")
	cmd.Flags().StringVar(&confirm, "confirm", "", "with --data: the volume's `name` again")
	return cmd
}

// completeVolumes completes the NAME.
func (c *cli) completeVolumes(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
		volumes, err := s.Volumes(ctx, app)
		return names(volumes, func(v api.Volume) string { return v.Name }), err
	})(cmd, args, prefix)
}
