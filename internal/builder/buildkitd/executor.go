package buildkitd

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/executor/oci"
	resources "github.com/moby/buildkit/executor/resources/types"
	"github.com/moby/buildkit/executor/runcexecutor"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/worker/base"
)

// stepOOMScore makes the kernel end a step before the daemon, and both before
// the platform.
const stepOOMScore = 900

func newExecutor(c Config, opt base.WorkerOpt, dns *oci.DNSConfig) (executor.Executor, error) {
	score := stepOOMScore
	inner, err := runcexecutor.New(runcexecutor.Opt{
		Root:              filepath.Join(opt.Root, "executor"),
		CommandCandidates: []string{c.Binary},
		ProcessMode:       oci.ProcessSandbox,
		DNS:               dns,
		OOMScoreAdj:       &score,
		ResourceMonitor:   opt.ResourceMonitor,
	}, opt.NetworkProviders)
	return confined{inner}, err
}

// confined is an executor that takes from a step what a frontend of somebody
// else's could ask for to leave the build's bounds.
type confined struct{ executor.Executor }

func (e confined) Run(ctx context.Context, id string, root executor.Mount, mounts []executor.Mount, process executor.ProcessInfo, started chan<- struct{}) (resources.Recorder, error) {
	meta := &process.Meta
	if meta.SecurityMode != pb.SecurityMode_SANDBOX || meta.NetMode == pb.NetMode_HOST || len(meta.CDIDevices) > 0 {
		return nil, errors.New("steps with the machine's network, its devices or more rights than usual are not run here")
	}
	meta.CgroupParent, meta.LinuxResources, meta.Ulimit = "", nil, nil
	return e.Executor.Run(ctx, id, root, mounts, process, started)
}
