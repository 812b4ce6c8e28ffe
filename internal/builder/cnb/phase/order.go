package phase

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/buildpacks/lifecycle/api"
	"github.com/buildpacks/lifecycle/cmd"
)

// Verb is the first argument of the platform's program when it is to run a
// phase: main hands the rest to Main before it does anything else.
const Verb = "cnb-phase"

// The phases, in their order.
const (
	Analyze = "analyze"
	Detect  = "detect"
	Restore = "restore"
	Build   = "build"
	Export  = "export"
	// Rebase is no phase of a build: it puts an image on another run image.
	Rebase = "rebase"
)

// Where a phase finds things. Workspace, Layers and Platform end up in images.
const (
	Workspace = "/workspace"
	Layers    = "/layers"
	Platform  = "/platform"
	CNB       = "/cnb"
	// Notes are the platform's: written by analyze and export, read by all.
	Notes = "/.notes"
	// Cache is there for restore and export.
	Cache = "/.cache"
	// Socket is the registry's, there for analyze, restore and export.
	Socket = "/.registry.sock"
	// DigestNote is the file of Notes with the digest of the exported image.
	DigestNote = "digest"
)

// Registry is the host that images have inside; Socket leads to it.
const Registry = "registry.slipway.localhost"

// Exit codes of the lifecycle (platform API, "Exit codes").
const (
	CodeNothingDetected        = 20
	CodeNothingDetectedErrored = 21
	CodeBuildpackFailed        = 51
	CodeIncompatibleBuildpack  = cmd.CodeForIncompatibleBuildpackAPI
)

// Order is what a phase is told.
type Order struct {
	Phase string
	// API is the version of the platform API.
	API string
	// Repository is the app's in the registry.
	Repository string
	// Previous is the digest of the image of an earlier build, or of the one to
	// rebase; empty: none.
	Previous string
	// RunImage is repository@digest in the registry.
	RunImage string
	// RunImageName and RunImageMirrors are what the run image is called
	// elsewhere, for who rebases the image there.
	RunImageName    string
	RunImageMirrors []string
	// UID and GID own what is in the image.
	UID, GID int
	// Types are the process types of the tree's Procfile.
	Types map[string]string
	// Orders is the path of the file of groups of buildpacks.
	Orders string
}

// Command is the command line, after the program, that gives the order.
func (o Order) Command() ([]string, error) {
	text, err := json.Marshal(o)
	return []string{Verb, o.Phase, string(text)}, err
}

// Main runs the phase of a command line as Command made it, less its first
// word, and returns the exit code.
func Main(args []string) int {
	cmd.DisableColor(true)
	if len(args) != 2 {
		fmt.Fprintln(os.Stderr, Verb, "is begun by the platform alone")
		return cmd.CodeForInvalidArgs
	}
	var o Order
	if err := json.Unmarshal([]byte(args[1]), &o); err != nil {
		fmt.Fprintln(os.Stderr, "order:", err)
		return cmd.CodeForInvalidArgs
	}
	return code(o.run())
}

// code tells what happened and is the lifecycle's code of it.
func code(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "ERROR:", err)
	if failed := (*cmd.ErrorFail)(nil); errors.As(err, &failed) {
		return failed.Code
	}
	return cmd.CodeForFailed
}

func (o Order) run() error {
	version, err := api.NewVersion(o.API)
	if err != nil {
		return err
	}
	if err := cmd.VerifyPlatformAPI(o.API, cmd.DefaultLogger); err != nil {
		return err
	}
	p := newPhases(o, version)
	switch o.Phase {
	case Analyze:
		return p.analyze()
	case Detect:
		return p.detect()
	case Restore:
		return p.restore()
	case Build:
		return p.build()
	case Export:
		return p.export()
	case Rebase:
		return p.rebase()
	}
	return fmt.Errorf("there is no phase %q", o.Phase)
}
