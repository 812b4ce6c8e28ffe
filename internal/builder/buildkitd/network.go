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

// space is the network namespace all steps of the build share. Its loopback
// is its own: nothing that listens on the machine's is there.
type space struct {
	file      *os.File
	processes int64
	steps     atomic.Int64
}

// openNetwork makes the namespace and links it to the machine.
func openNetwork(n Network, processes int64) (*space, error) {
	s := &space{processes: processes}
	done := make(chan error, 1)
	// On a thread that is thrown away, for it lives in the new namespace.
	go func() {
		runtime.LockOSThread()
		done <- func() (err error) {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("network namespace: %w", err)
			}
			s.file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
			return err
		}()
	}()
	if err := <-done; err != nil {
		return nil, err
	}
	if err := s.link(n); err != nil {
		return nil, err
	}
	return s, inside(s.file, func() error { return configure(n) })
}

// link makes the pair of interfaces and brings the machine's side up.
func (s *space) link(n Network) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = n.Link, n.MTU
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: stepLink, PeerMTU: uint32(n.MTU), PeerNamespace: netlink.NsFd(s.file.Fd())}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("interface %s: %w", n.Link, err)
	}
	return up(n.Link, n.Host)
}

// stepLink is the interface a step sees.
const stepLink = "eth0"

// configure is run in the namespace.
func configure(n Network) error {
	if err := up("lo", netip.Addr{}); err != nil {
		return err
	}
	if err := up(stepLink, n.Step); err != nil {
		return err
	}
	link, err := netlink.LinkByName(stepLink)
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
		runtime.LockOSThread()
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
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), p.file.Fd())
	return oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: path})(context.Background(), nil, nil, s)
}
