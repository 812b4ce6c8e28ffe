package cnb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/builder/cnb/phase"
	"github.com/slipway-paas/slipway/internal/platform"
)

// labelBuild is where an image says how it was built (platform API, "OCI image
// labels").
const labelBuild = "io.buildpacks.build.metadata"

var digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// metadata is what is read of the label.
type metadata struct {
	Processes []struct {
		Type    string   `json:"type"`
		Command command  `json:"command"`
		Args    []string `json:"args"`
		Direct  bool     `json:"direct"`
	} `json:"processes"`
	Buildpacks []struct {
		ID string `json:"id"`
	} `json:"buildpacks"`
}

// command is a list of words; before platform API 0.10 it was one.
type command []string

// UnmarshalJSON takes both.
func (c *command) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*c = command{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(c))
}

// result reads the image that the last phase pushed.
func (b *build) result(ctx context.Context) (builder.Result, error) {
	made, err := b.workspace.readNote(phase.DigestNote)
	if err == nil && !digest.MatchString(made) {
		err = errors.New("it is no digest")
	}
	if err != nil {
		return builder.Result{}, fmt.Errorf("image of %s: %w", b.request.App, err)
	}
	ref := b.request.App + "@" + made
	pushed, err := b.fetch(ctx, ref)
	if err != nil {
		return builder.Result{}, fmt.Errorf("image of %s: %w", b.request.App, err)
	}
	said, err := declared(pushed)
	if err != nil {
		return builder.Result{}, fmt.Errorf("image of %s: %w", b.request.App, err)
	}
	types, err := b.processTypes(said)
	if err != nil {
		return builder.Result{}, err
	}
	size, err := b.grown(ctx, pushed)
	if err != nil {
		return builder.Result{}, fmt.Errorf("image of %s: %w", b.request.App, err)
	}
	if err := b.workspace.remember(made, b.options.Limits.DiskBytes/2); err != nil {
		b.log.Warn("the next build will start from nothing", "app", b.request.App, "err", err)
	}
	var names []string
	for _, one := range said.Buildpacks {
		names = append(names, one.ID)
	}
	b.out.Headline("Built image layers of " + builder.SizeText(size))
	return builder.Result{Image: ref, Kind: platform.ImageCNB, Procfile: types, Detected: strings.Join(names, ", "), Size: size}, nil
}

func declared(pushed v1.Image) (metadata, error) {
	var said metadata
	file, err := pushed.ConfigFile()
	if err != nil {
		return said, err
	}
	if err := json.Unmarshal([]byte(file.Config.Labels[labelBuild]), &said); err != nil {
		return said, fmt.Errorf("label %s: %w", labelBuild, err)
	}
	return said, nil
}

// processTypes are those the image can start, each with what it runs.
func (b *build) processTypes(said metadata) (map[string]string, error) {
	types := make(map[string]string)
	for _, one := range said.Processes {
		switch {
		case !platform.ValidProcessType(one.Type):
			b.out.Detail(fmt.Sprintf("Process type %.60q is left out: a name has lowercase letters, digits and inner hyphens only", one.Type))
		case len(types) == builder.MaxProcessTypes:
			return nil, &platform.UserError{
				Kind: platform.ErrInvalid, Message: fmt.Sprintf("the buildpacks declare more than %d process types", builder.MaxProcessTypes),
				Cure: "Make them declare fewer, then push again.",
			}
		default:
			types[one.Type] = line(append(one.Command, one.Args...), one.Direct)
		}
	}
	if len(types) == 0 {
		return nil, &platform.UserError{
			Kind:    platform.ErrInvalid,
			Message: "nothing to run: the tree has no Procfile, and the buildpacks declare no process type",
			Cure:    "Add a file named Procfile with a line such as `web: <command that listens on $PORT>`, commit, and push again.",
		}
	}
	b.out.Headline("Discovering process types")
	b.out.Detail("The image declares types -> " + builder.TypesText(types))
	return types, nil
}

// line shows words as a shell would read them; those for a shell as they are.
func line(words []string, direct bool) string {
	if !direct && len(words) == 1 {
		return words[0]
	}
	shown := make([]string, len(words))
	for i, word := range words {
		if shown[i] = word; word == "" || strings.ContainsAny(word, " \t\n'\"\\$`&|;<>()*?[]#~{}!") {
			shown[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(shown, " ")
}

// grown is the compressed size of an image's layers above the run image.
func (b *build) grown(ctx context.Context, pushed v1.Image) (int64, error) {
	below, err := b.fetch(ctx, b.image.run)
	if err != nil {
		return 0, err
	}
	base, err := below.Manifest()
	if err != nil {
		return 0, err
	}
	all, err := pushed.Manifest()
	if err != nil {
		return 0, err
	}
	var size int64
	for _, layer := range all.Layers[min(len(base.Layers), len(all.Layers)):] {
		size += layer.Size
	}
	return size, nil
}
