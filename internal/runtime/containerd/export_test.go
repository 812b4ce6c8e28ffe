package containerd

import (
	"context"
	"log/slog"
)

// StartEngine starts a containerd for several runtimes.
func StartEngine(dir string) (socket string, end func() error, err error) {
	e, err := newEngine(slog.New(slog.DiscardHandler), dir, "", "slipway-tests")
	if err != nil {
		return "", nil, err
	}
	e.own, e.socket = true, dir+"/containerd.sock"
	return e.socket, func() error { return e.retire(context.Background()) }, e.ready(context.Background())
}

// Names of what a runtime makes on the machine.
func (r *Runtime) Names() (namespace, bridge, chain string) {
	return r.namespace(), r.network.bridge, r.network.chain
}

// EngineSocket is where its containerd listens.
func (r *Runtime) EngineSocket() string { return r.engine.socket }

// Listener is the process that listens at a unix socket.
func Listener(socket string) (int, error) { return listener(socket) }
