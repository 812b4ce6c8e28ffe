package buildkitd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"

	"github.com/containerd/containerd/v2/pkg/oci"
	resources "github.com/moby/buildkit/executor/resources/types"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/network"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/sandbox"
)

// space is the network namespace of the child, which all steps of the build
// share. Its loopback is its own: nothing that listens on the machine's is
// there, for a step, and for what the child itself fetches in a step's name.
type space struct {
	machine   *os.File // the machine's network namespace
	own       *os.File
	processes int64
	steps     atomic.Int64
}

// StepLink is the interface of the namespace.
const StepLink = "eth0"

// configure gives the namespace its addresses and its way out.
func configure(n Network) error {
	if err := up("lo", netip.Addr{}); err != nil {
		return err
	}
	if err := up(StepLink, n.Step); err != nil {
		return err
	}
	link, err := netlink.LinkByName(StepLink)
	if err != nil {
		return err
	}
	everywhere := &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
	if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: everywhere, Gw: n.Host.AsSlice()}); err != nil {
		return fmt.Errorf("route: %w", err)
	}
	for _, closed := range n.Closed {
		dst := &net.IPNet{IP: closed.Masked().Addr().AsSlice(), Mask: net.CIDRMask(closed.Bits(), 32)}
		if err := netlink.RouteAdd(&netlink.Route{Dst: dst, Type: unix.RTN_PROHIBIT}); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("close %s: %w", closed, err)
		}
	}
	return nil
}

func up(name string, address netip.Addr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	if address.IsValid() {
		own := &netlink.Addr{IPNet: &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(31, 32)}}
		if err := netlink.AddrAdd(link, own); err != nil {
			return fmt.Errorf("address of %s: %w", name, err)
		}
	}
	return netlink.LinkSetUp(link)
}

// inside runs f in a network namespace, on a thread that is thrown away.
func inside(namespace *os.File, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			// But for the first, which stays, and is what others take for all of the
			// process. While it is held here, another goroutine gets another.
			done <- inside(namespace, f)
			runtime.UnlockOSThread()
			return
		}
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// providers are the networks a step may have: the build's, or none.
func (s *space) providers() map[pb.NetMode]network.Provider {
	return map[pb.NetMode]network.Provider{
		pb.NetMode_UNSET: provider{s, false},
		pb.NetMode_NONE:  provider{s, true},
	}
}

// provider gives steps their network; with that their group.
type provider struct {
	*space
	none bool
}

func (p provider) New(context.Context, string, network.NamespaceOptions) (network.Namespace, error) {
	return p, nil
}

func (provider) Close() error                              { return nil }
func (provider) Sample() (*resources.NetworkSample, error) { return nil, nil }

// Set is the last to word how a step is run: in the build's network, in a
// group below the build's, with the build's bounds.
func (p provider) Set(s *specs.Spec) error {
	s.Linux.CgroupsPath = sandbox.GroupPath("step-" + strconv.FormatInt(p.steps.Add(1), 10))
	s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &p.processes}
	if p.none {
		return nil // a namespace of its own, with nothing in it
	}
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), p.own.Fd())
	return oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: path})(context.Background(), nil, nil, s)
}
