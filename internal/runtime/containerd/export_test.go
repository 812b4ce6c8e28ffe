package containerd

import (
	"context"
	"log/slog"

	"github.com/containerd/containerd/v2/core/snapshots"
)

// StartEngine starts a containerd for several runtimes.
func StartEngine(dir string) (socket string, end func() error, err error) {
	e, err := newEngine(slog.New(slog.DiscardHandler), dir, "", "slipway-tests")
	if err != nil {
		return "", nil, err
	}
	e.own, e.socket = true, dir+"/containerd.sock"
	return e.socket, func() error { return e.retire(context.Background()) }, e.serving(context.Background())
}

// Names of what a runtime makes on the machine.
func (r *Runtime) Names() (namespace, bridge, chain string) {
	return r.namespace(), r.network.bridge, r.network.chain
}

// EngineSocket is where its containerd listens.
func (r *Runtime) EngineSocket() string { return r.engine.socket }

// Listener is the process that listens at a unix socket.
func Listener(socket string) (int, error) { return listener(socket) }

// Leftovers counts the containers and the writable snapshots there are.
func (r *Runtime) Leftovers(ctx context.Context) (count int, err error) {
	ctx = r.in(ctx)
	containers, err := r.engine.client.Containers(ctx)
	if err != nil {
		return 0, err
	}
	count = len(containers)
	return count, r.engine.client.SnapshotService(snapshotter).Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		if info.Kind == snapshots.KindActive {
			count++
		}
		return nil
	})
}

// Engines are the processes of its own containerd.
func (r *Runtime) Engines() []int { return r.engine.processes() }
