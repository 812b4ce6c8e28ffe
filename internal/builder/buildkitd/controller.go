package buildkitd

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	ctdsnapshot "github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins/snapshots/native"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay/overlayutils"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/executor/oci"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/network/netproviders"
	"github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	"github.com/moby/buildkit/worker/runc"
	bolt "go.etcd.io/bbolt"
)

// newController puts BuildKit together: one worker with runc, the frontend of
// Dockerfiles, and the one that runs frontends named by `# syntax=`.
func newController(c Config, space *space, stop <-chan struct{}) (*control.Controller, error) {
	sessions, err := session.NewManager()
	if err != nil {
		return nil, err
	}
	only, err := newWorker(c, space)
	if err != nil {
		return nil, err
	}
	workers := &worker.Controller{}
	if err := workers.Add(only); err != nil {
		return nil, err
	}
	named, err := gateway.NewGatewayFrontend(workers.Infos(), nil)
	if err != nil {
		return nil, err
	}
	cache, err := bboltcachestorage.NewStore(filepath.Join(c.Root, "cache.db"))
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	history, err := boltutil.SafeOpen(filepath.Join(c.Root, "history.db"), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	none := int64(0)
	return control.NewController(control.Opt{
		SessionManager:   sessions,
		WorkerController: workers,
		Frontends: map[string]frontend.Frontend{
			"dockerfile.v0": forwarder.NewGatewayForwarder(workers.Infos(), dockerfile.Build),
			"gateway.v0":    named,
		},
		CacheManager: solver.NewCacheManager(context.Background(), "local", cache, worker.NewCacheResultStorage(workers)),
		HistoryDB:    history,
		CacheStore:   cache,
		LeaseManager: only.LeaseManager(),
		ContentStore: only.ContentStore(),
		// What a step printed is the push's; here it would be kept unasked.
		HistoryConfig:  &config.HistoryConfig{MaxAge: config.Duration{Duration: time.Second}, MaxEntries: &none},
		GarbageCollect: only.GarbageCollect,
		GracefulStop:   stop,
	})
}

func newWorker(c Config, space *space) (*base.Worker, error) {
	dns := &oci.DNSConfig{}
	for _, server := range c.Network.DNS {
		dns.Nameservers = append(dns.Nameservers, server.String())
	}
	opt, err := runc.NewWorkerOpt(c.Root, snapshotter(c.Root), false, oci.ProcessSandbox, nil, nil,
		netproviders.Opt{Mode: "host"}, dns, c.Binary, "", false, nil, "", "", nil)
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	// The networks made above include the machine's own: none of them stays.
	opt.ProxyProvider = nil
	opt.NetworkProviders = space.providers()
	if opt.Executor, err = newExecutor(c, opt, dns); err != nil {
		return nil, fmt.Errorf("executor: %w", err)
	}
	opt.RegistryHosts = newHosts(c, space.machine).find
	opt.GCPolicy = []client.PruneInfo{
		{Filter: []string{"type==source.local,type==source.git.checkout"}, KeepDuration: 48 * time.Hour, MaxUsedSpace: c.CacheBytes / 8},
		{MaxUsedSpace: c.CacheBytes},
		{All: true, MaxUsedSpace: c.CacheBytes},
	}
	return base.NewWorker(context.Background(), opt)
}

// snapshotter is overlayfs where Root's file system carries it, else copies.
func snapshotter(root string) runc.SnapshotterFactory {
	if overlayutils.Supported(root) == nil {
		return runc.SnapshotterFactory{Name: "overlayfs", New: func(dir string) (ctdsnapshot.Snapshotter, error) {
			return overlay.NewSnapshotter(dir, overlay.AsynchronousRemove)
		}}
	}
	return runc.SnapshotterFactory{Name: "native", New: native.NewSnapshotter}
}
