package stack

import (
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Labels of a slug's image, beside platform.LabelSlug and platform.LabelStack.
// The commit is not among them: the same tree is the same image, whichever
// commits it belongs to.
const (
	LabelApp       = "io.slipway.app"
	LabelProcesses = "io.slipway.process-types" // JSON object: type to command
)

// User is who a slug's processes are where the image says it: the owner of the
// slug's files, and of nothing in the stack.
const User = 1000

// path is where programs are found when a stack does not say.
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Slug is what an app has of its own in an image.
type Slug struct {
	App       string
	Processes map[string]string // type to command
	Layers    []v1.Layer        // at least one, lowest first
}

// Base is a stack image under the name the platform knows it by.
type Base struct {
	Ref   string // repository@digest in the platform's registry
	Image v1.Image
}

// Compose lays a slug above a stack; base nil: above nothing, bare. The image
// is the same for the same slug and stack. It also runs where nothing of the
// platform is: its launcher is the entrypoint, web its default command.
func Compose(base *Base, slug Slug) (v1.Image, error) {
	below, config, err := foundation(base)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, append(below, slug.Layers...)...)
	if err != nil {
		return nil, err
	}
	image = mutate.ConfigMediaType(mutate.MediaType(image, types.OCIManifestSchema1), types.OCIConfigJSON)
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	if file.Config, err = launching(base, config, slug); err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, file)
}

// foundation is the layers and the config a slug is laid above.
func foundation(base *Base) ([]v1.Layer, v1.Config, error) {
	if base == nil {
		return nil, v1.Config{}, nil
	}
	file, err := base.Image.ConfigFile()
	if err != nil {
		return nil, v1.Config{}, fmt.Errorf("stack %s: %w", base.Ref, err)
	}
	if file.OS != "linux" || file.Architecture != runtime.GOARCH {
		return nil, v1.Config{}, platform.Invalid("stack", "%s is for %s/%s, and this platform is linux/%s", base.Ref, file.OS, file.Architecture, runtime.GOARCH)
	}
	layers, err := base.Image.Layers()
	if err != nil {
		return nil, v1.Config{}, fmt.Errorf("stack %s: %w", base.Ref, err)
	}
	below := make([]v1.Layer, 0, len(layers)+1)
	for _, layer := range layers {
		below = append(below, asOCI(layer))
	}
	return below, file.Config, nil
}

// launching is the config of a slug's image: of the stack's own its
// environment and labels stay, how it would start does not.
func launching(base *Base, below v1.Config, slug Slug) (v1.Config, error) {
	declared, err := json.Marshal(slug.Processes)
	if err != nil {
		return v1.Config{}, err
	}
	labels := make(map[string]string)
	for key, value := range below.Labels {
		if !strings.HasPrefix(key, "io.slipway.") && !strings.HasPrefix(key, "io.buildpacks.") {
			labels[key] = value
		}
	}
	maps.Copy(labels, map[string]string{
		LabelApp: slug.App, LabelProcesses: string(declared), platform.LabelSlug: strconv.Itoa(len(slug.Layers)),
	})
	if base != nil {
		labels[platform.LabelStack] = base.Ref
	}
	config := v1.Config{
		Entrypoint: []string{"/slipway/launch"},
		WorkingDir: "/app",
		User:       fmt.Sprintf("%d:%d", User, User),
		Env:        environment(below.Env),
		Labels:     labels,
	}
	if web, ok := slug.Processes["web"]; ok {
		config.Cmd = []string{web}
	}
	return config, nil
}

// environment is the stack's, in which HOME is the app's.
func environment(below []string) []string {
	env := map[string]string{"PATH": path}
	for _, entry := range below {
		if key, value, ok := strings.Cut(entry, "="); ok && key != "" {
			env[key] = value
		}
	}
	env["HOME"] = "/app"
	list := make([]string, 0, len(env))
	for _, key := range slices.Sorted(maps.Keys(env)) {
		list = append(list, key+"="+env[key])
	}
	return list
}

// asOCI is the same layer under OCI's name of its type, for a manifest of OCI
// may hold no other; where it comes from stays known, so that a registry that
// has it is asked to mount it and sent nothing.
func asOCI(layer v1.Layer) v1.Layer {
	kind, err := layer.MediaType()
	if err != nil {
		return layer
	}
	renamed, ok := map[types.MediaType]types.MediaType{
		types.DockerLayer: types.OCILayer, types.DockerUncompressedLayer: types.OCIUncompressedLayer,
	}[kind]
	if !ok {
		return layer
	}
	if mountable, ok := layer.(*remote.MountableLayer); ok {
		return &remote.MountableLayer{Layer: typed{mountable.Layer, renamed}, Reference: mountable.Reference}
	}
	return typed{layer, renamed}
}

// typed is a layer under another media type of the same bytes.
type typed struct {
	v1.Layer
	kind types.MediaType
}

func (t typed) MediaType() (types.MediaType, error) { return t.kind, nil }

// Split is the slug of a slug's image: the layers above its stack, and what it
// says of itself. An image that is no slug's is ErrInvalid.
func Split(image v1.Image) (Slug, error) {
	file, err := image.ConfigFile()
	if err != nil {
		return Slug{}, err
	}
	layers, err := image.Layers()
	if err != nil {
		return Slug{}, err
	}
	count, err := slugLayers(file.Config.Labels, len(layers))
	if err != nil {
		return Slug{}, err
	}
	slug := Slug{App: file.Config.Labels[LabelApp], Layers: layers[len(layers)-count:]}
	if err := json.Unmarshal([]byte(file.Config.Labels[LabelProcesses]), &slug.Processes); err != nil {
		return Slug{}, platform.Invalid("image", "it does not say which process types it has")
	}
	return slug, nil
}

// slugLayers is how many layers, from the top, are the slug. Slugs of before
// there were stacks do not say so and are all there is.
func slugLayers(labels map[string]string, layers int) (int, error) {
	text, ok := labels[platform.LabelSlug]
	if !ok {
		if _, made := labels[LabelProcesses]; made && layers == 1 {
			return 1, nil
		}
		return 0, platform.Invalid("image", "it is not the image of a slug")
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 1 || count > layers {
		return 0, platform.Invalid("image", "its label %s is %q, and it has %d layers", platform.LabelSlug, text, layers)
	}
	return count, nil
}
