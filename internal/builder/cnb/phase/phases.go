package phase

import (
	"errors"
	"path/filepath"

	"github.com/buildpacks/lifecycle/api"
	"github.com/buildpacks/lifecycle/buildpack"
	"github.com/buildpacks/lifecycle/cache"
	"github.com/buildpacks/lifecycle/cmd"
	"github.com/buildpacks/lifecycle/image"
	"github.com/buildpacks/lifecycle/launch"
	"github.com/buildpacks/lifecycle/log"
	"github.com/buildpacks/lifecycle/phase"
	"github.com/buildpacks/lifecycle/platform"
	"github.com/buildpacks/lifecycle/platform/files"
)

// phases are the lifecycle's, as its own command line wires them.
type phases struct {
	order  Order
	inputs platform.LifecycleInputs
	log    *log.DefaultLogger
	exits  platform.Exiter
}

func newPhases(o Order, version *api.Version) *phases {
	// The builder image's environment says where its buildpacks are.
	in := *platform.NewLifecycleInputs(version)
	in.AppDir, in.LayersDir, in.PlatformDir = Workspace, Layers, Platform
	in.AnalyzedPath = filepath.Join(Notes, platform.DefaultAnalyzedFile)
	in.GroupPath = filepath.Join(Layers, platform.DefaultGroupFile)
	in.PlanPath = filepath.Join(Layers, platform.DefaultPlanFile)
	in.OrderPath, in.CacheDir = o.Orders, Cache
	in.UID, in.GID = o.UID, o.GID
	in.OutputImageRef, in.RunImageRef = Registry+"/"+o.Repository, Registry+"/"+o.RunImage
	in.PreviousImageRef = ""
	if o.Previous != "" {
		in.PreviousImageRef = in.OutputImageRef + "@" + o.Previous
	}
	in.UseDaemon, in.UseLayout, in.SkipLayers, in.InsecureRegistries = false, false, false, nil
	logger := log.NewDefaultLogger(quiet{cmd.Stdout})
	_ = logger.SetLevel("info") // a level there is
	return &phases{order: o, inputs: in, log: logger, exits: platform.NewExiter(o.API)}
}

func (p *phases) fail(err error, kind platform.LifecycleExitError, action string) error {
	if failed := (*cmd.ErrorFail)(nil); errors.As(err, &failed) {
		return failed
	}
	return cmd.FailErrCode(err, p.exits.CodeFor(kind), action)
}

// analyze notes what the previous image and the run image are.
func (p *phases) analyze() error {
	useSocket()
	factory := phase.NewConnectedFactory(p.inputs.PlatformAPI, &cmd.BuildpackAPIVerifier{}, nil, files.Handler,
		image.NewHandler(nil, nobody{}, "", false, nil), trusted{})
	analyzer, err := factory.NewAnalyzer(p.inputs, p.log)
	if err != nil {
		return p.fail(err, platform.AnalyzeError, "analyze")
	}
	analyzed, err := analyzer.Analyze()
	if err != nil {
		return p.fail(err, platform.AnalyzeError, "analyze")
	}
	return files.Handler.WriteAnalyzed(p.inputs.AnalyzedPath, &analyzed, p.log)
}

// detect finds the buildpacks that fit. It runs their code.
func (p *phases) detect() error {
	store := platform.NewDirStore(p.inputs.BuildpacksDir, p.inputs.ExtensionsDir)
	detector, err := phase.NewHermeticFactory(p.inputs.PlatformAPI, &cmd.BuildpackAPIVerifier{}, files.Handler, store).NewDetector(p.inputs, p.log)
	if err != nil {
		return p.fail(err, platform.DetectError, "detect")
	}
	group, plan, err := detector.Detect()
	if err != nil {
		kind := platform.DetectError
		if failed := (*buildpack.Error)(nil); errors.As(err, &failed) && failed.Type == buildpack.ErrTypeFailedDetection {
			kind = platform.FailedDetect
		} else if failed != nil && failed.Type == buildpack.ErrTypeBuildpack {
			kind = platform.FailedDetectWithErrors
		}
		return p.fail(err, kind, "detect")
	}
	if group.HasExtensions() {
		return p.fail(errors.New("the builder extends images for this tree, which this platform does not do"), platform.DetectError, "detect")
	}
	if err := files.Handler.WriteGroup(p.inputs.GroupPath, &group); err != nil {
		return err
	}
	return files.Handler.WritePlan(p.inputs.PlanPath, &plan)
}

// restore brings back what earlier builds kept of the layers.
func (p *phases) restore() error {
	useSocket()
	group, analyzed, err := p.found()
	if err != nil {
		return err
	}
	kept, err := cache.NewVolumeCache(p.inputs.CacheDir, p.log)
	if err != nil {
		return p.fail(err, platform.RestoreError, "restore")
	}
	restorer := &phase.Restorer{
		LayersDir: p.inputs.LayersDir, Buildpacks: group.Group, Logger: p.log, PlatformAPI: p.inputs.PlatformAPI, LayersMetadata: analyzed.LayersMetadata,
	}
	if err := restorer.Restore(kept); err != nil {
		return p.fail(err, platform.RestoreError, "restore")
	}
	return nil
}

// build runs the buildpacks.
func (p *phases) build() error {
	group, analyzed, err := p.found()
	if err != nil {
		return err
	}
	plan, err := files.Handler.ReadPlan(p.inputs.PlanPath)
	if err != nil {
		return err
	}
	builder := &phase.Builder{
		AppDir: p.inputs.AppDir, BuildConfigDir: p.inputs.BuildConfigDir, LayersDir: p.inputs.LayersDir, PlatformDir: p.inputs.PlatformDir,
		ExecEnv: p.inputs.ExecEnv, BuildExecutor: &buildpack.DefaultBuildExecutor{}, DirStore: platform.NewDirStore(p.inputs.BuildpacksDir, ""),
		Group: group, Logger: p.log, Out: cmd.Stdout, Err: cmd.Stderr, Plan: plan, PlatformAPI: p.inputs.PlatformAPI, AnalyzeMD: analyzed,
	}
	made, err := builder.Build()
	if err != nil {
		kind := platform.BuildError
		if failed := (*buildpack.Error)(nil); errors.As(err, &failed) && failed.Type == buildpack.ErrTypeBuildpack {
			kind = platform.FailedBuildWithErrors
		}
		return p.fail(err, kind, "build")
	}
	return files.Handler.WriteBuildMetadata(launch.GetMetadataFilePath(p.inputs.LayersDir), made)
}

// found is what the phases before left.
func (p *phases) found() (buildpack.Group, files.Analyzed, error) {
	group, err := files.Handler.ReadGroup(p.inputs.GroupPath)
	if err != nil {
		return group, files.Analyzed{}, err
	}
	for _, one := range group.Group {
		if err := cmd.VerifyBuildpackAPI(one.Kind(), one.String(), one.API, p.log); err != nil {
			return group, files.Analyzed{}, err
		}
	}
	analyzed, err := files.Handler.ReadAnalyzed(p.inputs.AnalyzedPath, p.log)
	return group, analyzed, err
}
