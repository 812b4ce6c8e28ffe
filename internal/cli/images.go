package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const imagesLong = `Show what the platform's registry holds of an app: the image of each release, its layers, what a layer hides
of those below it, and what is attached to it, such as a bill of materials.

The registry is at registry.<platform domain>: "docker login" there takes your user name and your password
or a token of "slipway tokens". Viewers of an app pull from it, deployers push to it and delete.`

func (c *cli) imagesCmd() *cobra.Command {
	cmd := group("images", "Show what the registry holds of an app", c.imagesListCmd, c.imageShowCmd(), c.imagesCollectCmd(), c.imagesQuotaCmd())
	cmd.Long = imagesLong
	cmd.Example = "  slipway images -a blog\n  slipway images show v3\n  slipway images gc --dry-run"
	return c.ofApp(cmd)
}

func (c *cli) imagesListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the images of the releases", Long: imagesLong,
		Example: "  slipway images list\n  slipway images --json",
		Args:    takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			found, err := s.Images(ctx, app)
			if err != nil {
				return err
			}
			return c.answer(found, func() {
				_ = page[api.Image]{
					items: found.Images, none: app + " has no image yet: push its source, or deploy one with slipway builds create",
					heads: []string{"RELEASES", "DIGEST", "KIND", "SIZE", "OWN", "WASTED", "ATTACHED", "FROM"},
					row:   imageRow,
				}.show(c)
				fmt.Fprintf(c.stdout, "\nThe repositories of %s hold %s%s.\n", app, megabytes(found.Used), ofQuota(found.Quota))
			})
		}),
	}
}

func ofQuota(quota int64) string {
	if quota == 0 {
		return ""
	}
	return " of " + megabytes(quota)
}

func imageRow(i api.Image) []string {
	if i.Missing {
		return []string{releasesText(i), imageDigest(i), i.Kind, "missing", "", "", "", i.Source}
	}
	return []string{releasesText(i), imageDigest(i), i.Kind, megabytes(i.Size), megabytes(ownBytes(i)), wastedText(i), attachedText(i), i.Source}
}

// releasesText names releases as ranges: v2-v4 v9.
func releasesText(i api.Image) string {
	var words []string
	for at := 0; at < len(i.Releases); {
		end := at
		for end+1 < len(i.Releases) && i.Releases[end+1] == i.Releases[end]+1 {
			end++
		}
		word := "v" + strconv.Itoa(i.Releases[at])
		if end > at {
			word += "-v" + strconv.Itoa(i.Releases[end])
		}
		words, at = append(words, word), end+1
	}
	return strings.Join(words, " ")
}

func imageDigest(i api.Image) string {
	hex := strings.TrimPrefix(i.Digest, "sha256:")
	return hex[:min(len(hex), 12)]
}

// ownBytes are those of layers that no other image has.
func ownBytes(i api.Image) (bytes int64) {
	for _, layer := range i.Layers {
		if !layer.Shared {
			bytes += layer.Size
		}
	}
	return bytes
}

func wastedText(i api.Image) string {
	if i.Wasted == nil {
		return "?"
	}
	return megabytes(*i.Wasted)
}

func attachedText(i api.Image) string {
	words := make([]string, 0, len(i.Attached))
	for _, a := range i.Attached {
		words = append(words, strings.TrimSuffix(strings.TrimPrefix(a.Type, "application/"), "+json"))
	}
	return strings.Join(words, " ")
}

func (c *cli) imageShowCmd() *cobra.Command {
	return &cobra.Command{
		Use: "show IMAGE", Short: "Show one image: its layers, what is wasted, what is attached",
		Long: `Show one image, by the release that runs it (v3) or the beginning of its digest. The first time its layers are
read to find files that a higher layer replaces or removes: they take room and are never seen.`,
		Example: "  slipway images show v3\n  slipway images show 4f1c2a --json",
		Args:    takes(1, 1, "a release, such as v3, or the beginning of a digest"),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			found, err := s.Images(ctx, app)
			if err != nil {
				return err
			}
			which, err := pick(found.Images, args[0], app)
			if err != nil {
				return err
			}
			image, err := s.Image(ctx, app, which)
			if err != nil {
				return err
			}
			return c.answer(image, func() { c.imageText(image) })
		}),
	}
}

// pick is the digest of the image that is meant.
func pick(images []api.Image, which, app string) (string, error) {
	number, err := platform.ParseReleaseTag(which)
	isRelease := err == nil && strings.HasPrefix(which, "v")
	var digests []string
	for _, i := range images {
		hex := strings.TrimPrefix(which, "sha256:")
		if isRelease && slices.Contains(i.Releases, number) || !isRelease && strings.HasPrefix(strings.TrimPrefix(i.Digest, "sha256:"), hex) {
			digests = append(digests, i.Digest)
		}
	}
	switch len(digests) {
	case 0:
		return "", because(platform.ErrNotFound, "%s has no image %s; slipway images -a %s lists them", app, which, app)
	case 1:
		return digests[0], nil
	}
	return "", because(platform.ErrInvalid, "%d images of %s begin with %s: write more of the digest", len(digests), app, which)
}

func (c *cli) imageText(i api.Image) {
	var f facts
	f.add("Image", i.Image)
	f.add("Releases", releasesText(i))
	f.add("Kind", i.Kind)
	f.add("From", i.Source)
	if i.Missing {
		f.add("Note", "the registry does not have it any more")
	} else {
		f.add("Size", megabytes(i.Size)+", of it "+megabytes(ownBytes(i))+" its own")
		f.add("Wasted", wastedText(i))
	}
	f.print(c.stdout)
	for n, layer := range i.Layers {
		note := ""
		if layer.Shared {
			note = "shared"
		}
		fmt.Fprintf(c.stdout, "Layer %-3d %10s  %s %s\n", n+1, megabytes(layer.Size), layer.Digest, note)
	}
	for _, a := range i.Attached {
		fmt.Fprintf(c.stdout, "Attached  %10s  %s %s\n", megabytes(a.Size), a.Digest, a.Type)
	}
}

func (c *cli) imagesCollectCmd() *cobra.Command {
	dryRun := false
	cmd := &cobra.Command{
		Use: "gc", Short: "Remove from the registry what nothing needs, as an administrator",
		Long: `Remove from the registry what no release, no tag and no manifest needs, and nobody touched for a day
(--image-grace of slipway serve). The platform does so by itself every few hours; pushes go on meanwhile.`,
		Example: "  slipway images gc --dry-run\n  slipway images gc",
		Args:    takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			found, err := s.CollectImages(ctx, dryRun)
			if err != nil {
				return err
			}
			return c.answer(found, func() {
				verb := "Removed"
				if dryRun {
					verb = "Would remove"
				}
				fmt.Fprintf(c.stdout, "%s %d manifests, %d blobs and %d uploads: %s.\n", verb, found.Manifests, found.Blobs, found.Uploads, megabytes(found.Bytes))
				if found.Skipped > 0 {
					fmt.Fprintf(c.stdout, "%d were in use just then and are left for the next time.\n", found.Skipped)
				}
			})
		}),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what would go")
	return cmd
}

func (c *cli) imagesQuotaCmd() *cobra.Command {
	return &cobra.Command{
		Use: "quota MIB|none|default", Short: "Bound what an app's images may hold, as an administrator",
		Long: `Bound what the repositories of an app may hold, in MiB: every blob counts once, compressed as it is. "none" is any
number; "default" is --image-quota of slipway serve. A push beyond it is refused; what is there stays.`,
		Example: "  slipway images quota 2048 -a blog\n  slipway images quota default -a blog",
		Args:    takes(1, 1, "a number of MiB, none or default"),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			mib, err := quotaOf(args[0])
			if err != nil {
				return err
			}
			if err := s.SetImageQuota(ctx, app, mib); err != nil {
				return err
			}
			return c.answer(api.ImageQuota{MiB: mib}, func() { fmt.Fprintf(c.stdout, "The image quota of %s is %s.\n", app, quotaText(mib)) })
		}),
	}
}

func quotaOf(text string) (*int64, error) {
	switch text {
	case "default":
		return nil, nil
	case "none":
		text = "0"
	}
	mib, err := strconv.ParseInt(text, 10, 31)
	if err != nil || mib < 0 {
		return nil, &usageError{"slipway images quota", fmt.Sprintf("%q is no quota: write a number of MiB, none or default", text)}
	}
	return &mib, nil
}

func quotaText(mib *int64) string {
	switch {
	case mib == nil:
		return "the platform's"
	case *mib == 0:
		return "none: any number"
	}
	return strconv.FormatInt(*mib, 10) + " MiB"
}
