package containerd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// The subnets that are chosen from where none is asked for.
var choices = netip.MustParsePrefix("10.64.0.0/10")

const chosenBits = 20

// network is the bridge that instances are on, and the addresses they have.
type network struct {
	path   string // where the choice is kept
	seed   uint32 // of the state directory
	bridge string
	chain  string       // begins the names of its packet rules
	asked  netip.Prefix // zero: choose

	mu     sync.Mutex
	up     bool
	prefix netip.Prefix
	taken  map[netip.Addr]bool
}

func newNetwork(dir, name string, seed uint32, asked netip.Prefix) *network {
	return &network{
		path: filepath.Join(dir, "network.json"), seed: seed, asked: asked.Masked(),
		bridge: "sl-" + name, chain: "SLIPWAY-" + strings.ToUpper(name), taken: make(map[netip.Addr]bool),
	}
}

// gateway is the machine's own address on the bridge.
func (n *network) gateway() netip.Addr { return n.prefix.Addr().Next() }

// begin makes the bridge and its rules as they must be, whatever is left of
// an earlier life. in use says that instances run with addresses of it.
func (n *network) begin(inUse bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.up {
		return nil
	}
	// Two platforms that choose at the same time must not choose the same.
	lock, err := os.OpenFile("/run/slipway-network.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if err := n.choose(inUse); err != nil {
		return err
	}
	if err := n.makeBridge(); err != nil {
		return fmt.Errorf("make the bridge %s: %w", n.bridge, err)
	}
	if err := n.makeRules(); err != nil {
		return err
	}
	n.up = true
	return nil
}

type keptNetwork struct {
	Subnet netip.Prefix `json:"subnet"`
}

// choose settles the subnet: what is asked for, what was used before, or what
// is free.
func (n *network) choose(inUse bool) error {
	var kept keptNetwork
	text, err := os.ReadFile(n.path)
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: remove it when no instance runs", n.path, errors.Join(runtime.ErrDamaged, err))
	}
	used, err := n.used()
	if err != nil {
		return err
	}
	switch {
	case inUse && kept.Subnet.IsValid():
		n.prefix = kept.Subnet // another one counts once nothing has an address of this
		return nil
	case n.asked.IsValid():
		if by := overlaps(used, n.asked); by != "" {
			return &platform.UserError{
				Kind: platform.ErrConflict, Message: fmt.Sprintf("the network %s of instances is taken by %s", n.asked, by),
				Cure: "Choose another with --instance-network.",
			}
		}
		n.prefix = n.asked
	case kept.Subnet.IsValid() && overlaps(used, kept.Subnet) == "":
		n.prefix = kept.Subnet
	default:
		if n.prefix, err = n.free(used); err != nil {
			return err
		}
	}
	text, err = json.Marshal(keptNetwork{n.prefix})
	if err != nil {
		return err
	}
	return runtime.WriteFile(n.path, text)
}

// free is the first free subnet from one on that the state directory names.
func (n *network) free(used map[netip.Prefix]string) (netip.Prefix, error) {
	count := 1 << (chosenBits - choices.Bits())
	base := big.NewInt(0).SetBytes(choices.Addr().AsSlice())
	for i := range count {
		offset := big.NewInt(int64((int(n.seed)%count+count+i)%count) << (32 - chosenBits))
		addr, _ := netip.AddrFromSlice(big.NewInt(0).Add(base, offset).FillBytes(make([]byte, 4)))
		if prefix := netip.PrefixFrom(addr, chosenBits); overlaps(used, prefix) == "" {
			return prefix, nil
		}
	}
	return netip.Prefix{}, &platform.UserError{
		Kind: platform.ErrConflict, Message: fmt.Sprintf("no network of %s is free for instances", choices),
		Cure: "Name one with --instance-network.",
	}
}

// used are the networks this machine reaches but by the default route, other
// than over our own bridge, and by what.
func (n *network) used() (map[netip.Prefix]string, error) {
	links, err := platform.Uninterrupted(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list network devices: %w", err)
	}
	names := make(map[int]string)
	for _, link := range links {
		names[link.Attrs().Index] = link.Attrs().Name
	}
	used := make(map[netip.Prefix]string)
	routes, err := platform.Uninterrupted(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, route := range routes {
		if route.Dst == nil || names[route.LinkIndex] == n.bridge {
			continue
		}
		addr, _ := netip.AddrFromSlice(route.Dst.IP.To4())
		bits, _ := route.Dst.Mask.Size()
		if addr.IsValid() && bits > 0 {
			used[netip.PrefixFrom(addr, bits)] = "the route to " + route.Dst.String() + " over " + names[route.LinkIndex]
		}
	}
	return used, nil
}

func overlaps(used map[netip.Prefix]string, prefix netip.Prefix) string {
	for other, by := range used {
		if other.Overlaps(prefix) {
			return by
		}
	}
	return ""
}

func (n *network) makeBridge() error {
	link, err := netlink.LinkByName(n.bridge)
	if err != nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = n.bridge
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			return err
		}
		if link, err = netlink.LinkByName(n.bridge); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetHardwareAddr(link, n.hardware(link)); err != nil {
		return err
	}
	// Instances speak IPv4 alone: no second way to the machine.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+n.bridge+"/disable_ipv6", []byte("1"), 0)
	address := &netlink.Addr{IPNet: &net.IPNet{IP: n.gateway().AsSlice(), Mask: net.CIDRMask(n.prefix.Bits(), 32)}}
	if err := n.onlyAddress(link, address); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// hardware is the address that the bridge is to keep: the one it has. A bridge for
// which none was set has the lowest of its ports', so that with each instance that
// came or went what all others sent could go to nobody, until they asked again
// where the machine is.
func (n *network) hardware(link netlink.Link) net.HardwareAddr {
	if has := link.Attrs().HardwareAddr; !bytes.Equal(has, make([]byte, len(has))) {
		return has
	}
	return append(net.HardwareAddr{0x02, 0}, n.gateway().AsSlice()...) // it had ports
}

// onlyAddress takes addresses of an earlier choice away.
func (n *network) onlyAddress(link netlink.Link, address *netlink.Addr) error {
	has, err := platform.Uninterrupted(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_V4) })
	if err != nil {
		return err
	}
	for _, old := range has {
		if old.IPNet.String() == address.IPNet.String() {
			return nil
		}
		if err := netlink.AddrDel(link, &old); err != nil {
			return err
		}
	}
	return netlink.AddrAdd(link, address)
}

// end takes the bridge and its rules away.
func (n *network) end() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up = false
	failed := n.removeRules()
	if link, err := netlink.LinkByName(n.bridge); err == nil {
		failed = errors.Join(failed, netlink.LinkDel(link))
	}
	return failed
}

// take gives an address that no live instance has, wanted if that is free.
func (n *network) take(wanted netip.Addr) (netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.usable(wanted) {
		n.taken[wanted] = true
		return wanted, nil
	}
	// From anywhere: an address is not used again soon, by clients that still
	// believe in the instance that had it.
	size := 1 << (32 - n.prefix.Bits())
	start := rand.IntN(size)
	base := big.NewInt(0).SetBytes(n.prefix.Addr().AsSlice())
	for i := range size {
		sum := big.NewInt(0).Add(base, big.NewInt(int64((start+i)%size)))
		if addr, _ := netip.AddrFromSlice(sum.FillBytes(make([]byte, 4))); n.usable(addr) {
			n.taken[addr] = true
			return addr, nil
		}
	}
	return netip.Addr{}, &platform.UserError{
		Kind: platform.ErrUnavailable, Message: fmt.Sprintf("every address of %s is in use", n.prefix),
		Cure: "Stop the node's instances and give it a larger --instance-network.",
	}
}

// usable: of the subnet, and neither its ends, the machine's own, nor taken.
func (n *network) usable(addr netip.Addr) bool {
	return n.prefix.Contains(addr) && addr != n.prefix.Addr() && addr != n.gateway() && n.prefix.Contains(addr.Next()) && !n.taken[addr]
}

// keep marks the address of an adopted instance.
func (n *network) keep(addr netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taken[addr] = true
}

func (n *network) giveBack(addr netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.taken, addr)
}

// connect gives the network namespace of a process its device and address.
// Both ends go with the namespace, which goes with the instance's last process.
func (n *network) connect(pid int, name string, addr netip.Addr) error {
	bridge, err := netlink.LinkByName(n.bridge)
	if err != nil {
		return fmt.Errorf("the bridge %s is gone: restart the node: %w", n.bridge, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = name, bridge.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsPid(pid)}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make the device %s: %w", name, err)
	}
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
	if err := netlink.LinkSetIsolated(veth, true); err != nil { // from the other instances
		return fmt.Errorf("isolate the device %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return err
	}
	return n.configure(pid, addr)
}

// configure is connect's part inside.
func (n *network) configure(pid int, addr netip.Addr) error {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return err
	}
	defer ns.Close()
	inside, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer inside.Close()
	for _, name := range []string{"lo", "eth0"} {
		link, err := inside.LinkByName(name)
		if err != nil {
			return fmt.Errorf("device %s inside: %w", name, err)
		}
		if name == "eth0" {
			address := &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(n.prefix.Bits(), 32)}}
			if err := inside.AddrAdd(link, address); err != nil {
				return err
			}
		}
		if err := inside.LinkSetUp(link); err != nil {
			return err
		}
	}
	return inside.RouteAdd(&netlink.Route{Gw: n.gateway().AsSlice()})
}
