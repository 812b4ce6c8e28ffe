package phase

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/buildpacks/imgutil"
	"github.com/buildpacks/imgutil/remote"
	"github.com/buildpacks/lifecycle/cache"
	"github.com/buildpacks/lifecycle/cmd"
	"github.com/buildpacks/lifecycle/launch"
	"github.com/buildpacks/lifecycle/layers"
	"github.com/buildpacks/lifecycle/phase"
	"github.com/buildpacks/lifecycle/platform"
	"github.com/buildpacks/lifecycle/platform/files"
)

// defaultType is what an image starts by itself, where it has it.
const defaultType = "web"

// export makes the image of what the buildpacks left, and keeps what they want
// kept. No code of theirs runs any more.
func (p *phases) export() error {
	useSocket()
	group, analyzed, err := p.found()
	if err != nil {
		return err
	}
	standard, err := p.declare()
	if err != nil {
		return p.fail(err, platform.ExportError, "export")
	}
	work, err := os.MkdirTemp("", "layers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	exporter := &phase.Exporter{
		Buildpacks: group.Group, Logger: p.log, PlatformAPI: p.inputs.PlatformAPI,
		LayerFactory: &layers.Factory{ArtifactsDir: work, UID: p.inputs.UID, GID: p.inputs.GID, Logger: p.log},
	}
	if err := p.ship(exporter, analyzed, standard); err != nil {
		return p.fail(err, platform.ExportError, "export")
	}
	return p.keep(exporter)
}

// declare adds the types of the tree's Procfile, which count before the
// buildpacks', to what the buildpacks declare, and tells which type is the
// standard one, if any has to be.
func (p *phases) declare() (standard string, err error) {
	path := launch.GetMetadataFilePath(p.inputs.LayersDir)
	made, err := files.Handler.ReadBuildMetadata(path, p.inputs.PlatformAPI)
	if err != nil {
		return "", err
	}
	for _, name := range slices.Sorted(maps.Keys(p.order.Types)) {
		line := p.order.Types[name]
		at := slices.IndexFunc(made.Processes, func(one launch.Process) bool { return one.Type == name })
		// What a buildpack made of the same Procfile knows more than the line.
		if at >= 0 && says(made.Processes[at], line) {
			continue
		}
		one := launch.Process{Type: name, Command: launch.NewRawCommand([]string{line})}.WithPlatformAPI(p.inputs.PlatformAPI)
		if at >= 0 {
			made.Processes[at] = one
		} else {
			made.Processes = append(made.Processes, one)
		}
	}
	if slices.ContainsFunc(made.Processes, func(one launch.Process) bool { return one.Type == defaultType }) {
		standard = defaultType
	}
	return standard, files.Handler.WriteBuildMetadata(path, made)
}

// says reports whether a process is a Procfile's line, handed to a shell.
func says(one launch.Process, line string) bool {
	return slices.Contains(append(slices.Clone(one.Command.Entries), one.Args...), line)
}

// ship pushes the image and notes its digest.
func (p *phases) ship(exporter *phase.Exporter, analyzed files.Analyzed, standard string) error {
	options := []imgutil.ImageOption{remote.FromBaseImage(p.inputs.RunImageRef)}
	if p.inputs.PlatformAPI.AtLeast("0.12") {
		options = append(options, remote.WithHistory())
	}
	if previous := analyzed.PreviousImageRef(); previous != "" {
		options = append(options, remote.WithPreviousImage(previous))
	}
	image, err := remote.NewImage(p.inputs.OutputImageRef, nobody{}, options...)
	if err != nil {
		return err
	}
	pinned := &pinnedImage{Image: image, repository: p.inputs.OutputImageRef}
	_, err = exporter.Export(phase.ExportOptions{
		AppDir: p.inputs.AppDir, LayersDir: p.inputs.LayersDir, ExecEnv: p.inputs.ExecEnv,
		DefaultProcessType: standard,
		LauncherConfig:     phase.LauncherConfig{Path: p.inputs.LauncherPath, SBOMDir: p.inputs.LauncherSBOMDir, Metadata: files.LauncherMetadata{Version: cmd.Version}},
		OrigMetadata:       analyzed.LayersMetadata,
		RunImageRef:        p.inputs.RunImageRef,
		RunImageForExport:  files.RunImageForExport{Image: p.order.RunImageName, Mirrors: p.order.RunImageMirrors},
		WorkingImage:       pinned,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(Notes, DigestNote), []byte(pinned.digest), 0o600)
}

// keep fills the cache. An app runs without it.
func (p *phases) keep(exporter *phase.Exporter) error {
	kept, err := cache.NewVolumeCache(p.inputs.CacheDir, p.log)
	if err == nil {
		err = exporter.Cache(p.inputs.LayersDir, kept)
	}
	if err != nil {
		p.log.Warnf("the cache is not kept: %v", err)
	}
	return nil
}

// pinnedImage is saved under its digest alone, with no tag that would move.
type pinnedImage struct {
	*remote.Image
	repository, digest string
}

var _ imgutil.Image = (*pinnedImage)(nil)

// SaveAs pushes the image, whatever the names.
func (i *pinnedImage) SaveAs(string, ...string) error {
	// The last change of the configuration; Image makes the same once more.
	if err := i.SetCreatedAtAndHistory(); err != nil {
		return err
	}
	digest, err := i.Digest()
	if err != nil {
		return err
	}
	i.digest = digest.String()
	i.Rename(i.repository + "@" + i.digest)
	return i.Image.SaveAs(i.Name())
}
