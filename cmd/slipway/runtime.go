package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/spf13/pflag"

	"github.com/slipway-paas/slipway/internal/runtime/containerd"
	"github.com/slipway-paas/slipway/internal/runtime/pick"
	"github.com/slipway-paas/slipway/internal/runtime/process"
	"github.com/slipway-paas/slipway/internal/sandbox"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/volume"
)

// runtimeOptions say how a node runs instances.
type runtimeOptions struct {
	// Runtime is auto, containerd or process: see pick.
	Runtime string
	// Containerd is the socket of a containerd to use. Empty: the machine's, or
	// one that the node starts.
	Containerd string
	// InstanceNetwork is where containers have their addresses, as a CIDR.
	// Empty: one that is free is chosen. Changed, it counts once no instance runs.
	InstanceNetwork string
}

func (o *runtimeOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Runtime, "runtime", string(pick.Auto), "how apps run: containerd (in containers), process (as processes of the machine), auto (in containers what can)")
	flags.StringVar(&o.Containerd, "containerd", "", "socket of the containerd to use; empty: the machine's if it runs, else one of the node's own")
	flags.StringVar(&o.InstanceNetwork, "instance-network", "", "network of containers, such as 10.88.0.0/16; empty: one that is free")
}

// arguments hand the options on to a node.
func (o *runtimeOptions) arguments() []string {
	return []string{"--runtime", o.Runtime, "--containerd", o.Containerd, "--instance-network", o.InstanceNetwork}
}

func (o *runtimeOptions) network() (netip.Prefix, error) {
	if o.InstanceNetwork == "" {
		return netip.Prefix{}, nil
	}
	prefix, err := netip.ParsePrefix(o.InstanceNetwork)
	if err != nil || !prefix.Addr().Is4() || prefix.Bits() < 8 || prefix.Bits() > 28 {
		return netip.Prefix{}, fmt.Errorf("--instance-network: %q is no IPv4 network from /8 to /28; write one such as 10.88.0.0/16", o.InstanceNetwork)
	}
	return prefix.Masked(), nil
}

func (o *runtimeOptions) validate() error {
	if _, err := pick.ParseMode(o.Runtime); err != nil {
		return err
	}
	_, err := o.network()
	return err
}

// newRuntime opens both runtimes and the choice between them.
func (o *options) newRuntime(ctx context.Context, log *slog.Logger, ring *secret.Ring) (*pick.Runtime, error) {
	mode, err := pick.ParseMode(o.runtime.Runtime)
	if err != nil {
		return nil, err
	}
	network, err := o.runtime.network()
	if err != nil {
		return nil, err
	}
	volumes := volume.Dir(o.path("volumes"))
	processes, err := process.New(log, process.Options{Dir: o.path("runtime"), Volumes: volumes, NotFirst: o.tcpPorts.First, NotLast: o.tcpPorts.Last, Sandbox: sandbox.New(ctx, log, o.State), Keys: ring, Version: version})
	if err != nil {
		return nil, err
	}
	containers, err := containerd.New(log, containerd.Options{
		Dir: o.path("containers"), Socket: o.runtime.Containerd, Network: network, Volumes: volumes, Keys: ring, Version: version,
	})
	if err != nil {
		return nil, errors.Join(err, processes.Close())
	}
	return pick.New(mode, processes, containers, containerd.Missing(o.runtime.Containerd)), nil
}
