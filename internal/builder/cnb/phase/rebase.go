package phase

import (
	"os"
	"path/filepath"

	"github.com/buildpacks/imgutil"
	"github.com/buildpacks/imgutil/remote"
	"github.com/buildpacks/lifecycle/phase"
	"github.com/buildpacks/lifecycle/platform"
)

// rebase puts the image Previous on the run image, by what its labels tell, and
// notes the digest of what came out.
func (p *phases) rebase() error {
	useSocket()
	// Under the name it has: what is not found has no labels.
	app, err := remote.NewImage(p.inputs.PreviousImageRef, nobody{}, remote.FromBaseImage(p.inputs.PreviousImageRef))
	if err != nil {
		return p.fail(err, platform.RebaseError, "rebase")
	}
	below, err := remote.NewImage(p.inputs.RunImageRef, nobody{}, remote.FromBaseImage(p.inputs.RunImageRef))
	if err != nil {
		return p.fail(err, platform.RebaseError, "rebase")
	}
	pinned := &pinnedImage{Image: app, repository: p.inputs.OutputImageRef}
	// The operator named the run image: that the builder knows another is no reason to refuse.
	rebaser := &phase.Rebaser{Logger: p.log, PlatformAPI: p.inputs.PlatformAPI, Force: true}
	if _, err := rebaser.Rebase(pinned, namedImage{below, p.order.RunImageName}, p.inputs.OutputImageRef, nil); err != nil {
		return p.fail(err, platform.RebaseError, "rebase")
	}
	return os.WriteFile(filepath.Join(Notes, DigestNote), []byte(pinned.digest), 0o600)
}

// namedImage is an image under the name it has elsewhere.
type namedImage struct {
	imgutil.Image
	name string
}

// Name is the name elsewhere.
func (i namedImage) Name() string { return i.name }
