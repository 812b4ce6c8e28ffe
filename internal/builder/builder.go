// Package builder turns a pushed tree into an image: it is handed a source,
// picks the builder that fits, runs it confined, and hands on an image by
// digest with the process types it declares.
package builder

import (
	"context"
	"io"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Request is one build. The work ends, whole, when its context does.
type Request struct {
	App    string
	Build  string // uuid, unique to this attempt
	Source platform.Source
	// Env are the app's config values; a buildpack sees them as files, never
	// in its environment.
	Env map[string]string
	// Registry holds username, password and hostname of the private registry
	// that base images may come from.
	Registry map[string]string
	// Output receives the build's lines as they come, for the user and the log.
	Output io.Writer
}

// Result is an image and what it can run.
type Result struct {
	Image string // repository@digest in the platform's registry
	// Procfile maps process types to commands: the pushed Procfile, else the
	// builder's default process types.
	Procfile map[string]string
	Kind     platform.ImageKind
	// Stack is the image below a slug, repository@digest; empty: none.
	Stack string
	Ports []int // what the image exposes, ascending
	// Detected names what was recognised, such as "Go".
	Detected string
	Size     int64 // compressed bytes of the layers this build made
}

// Builder makes images of one kind of source. Implementations are safe for
// concurrent use; two builds of one app never run at once.
type Builder interface {
	// Detect reports whether the unpacked tree at dir is for this builder.
	Detect(ctx context.Context, dir string, r Request) (bool, error)

	// Build makes and pushes the image from the unpacked tree at dir, which it
	// may change. A failure the user caused is a *platform.UserError whose
	// message names the file or command and the cure.
	Build(ctx context.Context, dir string, r Request) (Result, error)
}
