package platform

// ImageKind says how an image came about, and with that how its process types
// are started.
type ImageKind string

// The kinds of image.
const (
	// ImageSlug: a buildpack's layer, above a stack or, bare, above nothing. Its
	// launcher takes a command line.
	ImageSlug ImageKind = "slug"
	// ImageNamed: somebody named it; nothing here built it.
	ImageNamed ImageKind = "image"
	// ImageDockerfile: built from the Dockerfile of a push.
	ImageDockerfile ImageKind = "dockerfile"
	// ImageCNB: built by Cloud Native Buildpacks; /cnb/process/<type> starts a
	// type, /cnb/lifecycle/launcher a command line.
	ImageCNB ImageKind = "cnb"
)

// Image is what an image says of itself (OCI image specification 1.1, config).
type Image struct {
	Ref          string // repository@digest in the platform's registry
	Entrypoint   []string
	Cmd          []string
	User         string
	WorkingDir   string
	StopSignal   string
	Ports        []int // of EXPOSE, TCP only, ascending
	Labels       map[string]string
	Layers       int
	Size         int64 // compressed bytes of its layers
	OS           string
	Architecture string
}

// The labels that the platform puts on images it makes.
const (
	// LabelSlug is set on the image of a slug: how many of its layers, from the
	// top, are the slug. What is below is its stack.
	LabelSlug = "io.slipway.slug"
	// LabelStack names the stack image a slug was put on: repository@digest.
	LabelStack = "io.slipway.stack"
)
