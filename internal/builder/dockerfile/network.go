package dockerfile

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"

	"github.com/slipway-paas/slipway/internal/builder/buildkitd"
	"github.com/slipway-paas/slipway/internal/platform"
)

// networks hands out the addresses of builds, and has the machine forward and
// translate them while there is a build, and not longer.
type networks struct {
	mu   sync.Mutex
	id   string       // of the state directory, in the names of links and rules
	all  netip.Prefix // a /24: a /31 a build
	used map[int]bool
	mark *net.UnixConn // while there are rules: others see by it that they are in use
}

func newNetworks(dir string) *networks {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(dir)) // never fails
	n := &networks{id: fmt.Sprintf("%08x", sum.Sum32()), used: make(map[int]bool)}
	return n
}

// open reserves a network for one build; close gives it back.
func (n *networks) open(ctx context.Context) (_ buildkitd.Network, close func(), err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.used) == 0 {
		if err := n.begin(ctx); err != nil {
			return buildkitd.Network{}, nil, err
		}
	}
	for i := range 128 {
		if n.used[i] {
			continue
		}
		n.used[i] = true
		return n.network(i), sync.OnceFunc(func() { n.give(i) }), nil
	}
	return buildkitd.Network{}, nil, errors.New("128 builds run already")
}

func (n *networks) network(i int) buildkitd.Network {
	base := n.all.Addr().As4()
	base[3] = byte(2 * i)
	host := netip.AddrFrom4(base)
	return buildkitd.Network{
		Host: host, Step: host.Next(), DNS: nameServers(),
		Closed: append(localNetworks(), n.all, netip.MustParsePrefix("169.254.0.0/16")),
	}
}

func (n *networks) link(i int) string { return fmt.Sprintf("sb%s-%d", n.id, i) }

// join links the network namespace of a process to the machine.
func (n *networks) join(network buildkitd.Network, pid int) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = n.link(int(network.Host.As4()[3])/2), uplinkMTU()
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: buildkitd.StepLink, PeerMTU: uint32(attributes.MTU), PeerNamespace: netlink.NsPid(pid)}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("interface %s: %w", attributes.Name, err)
	}
	link, err := netlink.LinkByName(attributes.Name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", attributes.Name, err)
	}
	own := &netlink.Addr{IPNet: &net.IPNet{IP: network.Host.AsSlice(), Mask: net.CIDRMask(31, 32)}}
	if err := errors.Join(netlink.AddrAdd(link, own), netlink.LinkSetUp(link)); err != nil {
		return fmt.Errorf("interface %s: %w", attributes.Name, err)
	}
	return nil
}

func (n *networks) give(i int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.used, i)
	if link, err := netlink.LinkByName(n.link(i)); err == nil {
		_ = netlink.LinkDel(link) // most often it went with the namespace
	}
	if len(n.used) == 0 {
		n.clear()
		_ = n.mark.Close()
	}
}

// begin chooses a network nobody on this machine has and lets it out.
func (n *networks) begin(ctx context.Context) (err error) {
	n.clear()
	if err := n.choose(); err != nil {
		return err
	}
	if n.mark, err = net.ListenUnixgram("unixgram", n.sign()); err != nil {
		return fmt.Errorf("claim the network %s: %w", n.all, err)
	}
	defer func() {
		if err != nil {
			_ = n.mark.Close()
		}
	}()
	if strings.TrimSpace(readForwarding()) != "1" {
		if err := os.WriteFile(forwarding, []byte("1"), 0o644); err != nil {
			return fmt.Errorf("let builds out to the network: %w", err)
		}
	}
	for _, rule := range n.rules() {
		if err := iptables(ctx, append([]string{"-t", rule.table, "-I"}, rule.words...)...); err != nil {
			n.clear()
			return err
		}
	}
	return nil
}

// choose takes the first free of 2,048 networks, beginning at one that depends
// on the state directory.
func (n *networks) choose() error {
	taken, err := takenNetworks()
	if err != nil {
		return err
	}
	var start uint32
	_, _ = fmt.Sscanf(n.id, "%x", &start) // it is hexadecimal
	for i := range uint32(2048) {
		at := (start + i) % 2048
		all := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(200 + at/256), byte(at), 0}), 24)
		free := true
		for _, other := range taken {
			free = free && !other.Overlaps(all)
		}
		if free {
			n.all = all
			return nil
		}
	}
	return errors.New("no network between 10.200.0.0 and 10.207.255.255 is free for builds")
}

type rule struct {
	table string
	words []string
}

func (n *networks) rules() []rule {
	about := []string{"-m", "comment", "--comment", n.comment()}
	all := n.all.String()
	return []rule{
		{"nat", append([]string{"POSTROUTING", "-s", all, "!", "-d", all}, append(about, "-j", "MASQUERADE")...)},
		{"filter", append([]string{"FORWARD", "-s", all, "!", "-d", all}, append(about, "-j", "ACCEPT")...)},
		{"filter", append([]string{"FORWARD", "-d", all, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"}, append(about, "-j", "ACCEPT")...)},
	}
}

func (n *networks) comment() string { return "slipway-build-" + n.id }

// sign is a name of the kernel's, which goes with the process that has it.
func (n *networks) sign() *net.UnixAddr {
	return &net.UnixAddr{Net: "unixgram", Name: "@" + n.comment()}
}

// abandoned reports whether the process that made the rules is gone.
func (n *networks) abandoned() bool {
	conn, err := net.DialUnix("unixgram", nil, n.sign())
	if err == nil {
		_ = conn.Close()
	}
	return err != nil && len(n.links()) == 0
}

// sweep removes what platforms of this machine left that were killed, and whose
// state directory nobody starts with any more.
func (n *networks) sweep() {
	gone := make(map[string]bool)
	for _, line := range append(ruleLines("nat"), ruleLines("filter")...) {
		_, id, found := strings.Cut(line, (&networks{}).comment())
		if len(id) < len(n.id) {
			continue
		}
		other := &networks{id: id[:len(n.id)]}
		if found && other.id != n.id && !gone[other.id] && other.abandoned() {
			gone[other.id] = true
			other.clear()
		}
	}
}

// clear removes every rule and link of this state directory's builds.
func (n *networks) clear() {
	for _, table := range []string{"nat", "filter"} {
		for _, line := range ruleLines(table) {
			if words := strings.Fields(line); strings.Contains(line, n.comment()) {
				_ = iptables(context.Background(), append([]string{"-t", table, "-D"}, words[1:]...)...) // another may have been quicker
			}
		}
	}
	for _, link := range n.links() {
		_ = netlink.LinkDel(link) // as above
	}
}

// ruleLines are the rules of a table, as they would be appended.
func ruleLines(table string) (lines []string) {
	out, _ := command(context.Background(), "iptables", "-w", "10", "-t", table, "-S").Output() // without there are none
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "-A ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func (n *networks) links() (own []netlink.Link) {
	all, _ := platform.Uninterrupted(netlink.LinkList)
	for _, link := range all {
		if strings.HasPrefix(link.Attrs().Name, "sb"+n.id+"-") {
			own = append(own, link)
		}
	}
	return own
}

func iptables(ctx context.Context, words ...string) error {
	out, err := command(ctx, "iptables", append([]string{"-w", "10"}, words...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("iptables %s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func command(ctx context.Context, name string, words ...string) *exec.Cmd {
	path, err := lookPath(name)
	if err != nil {
		path = name
	}
	return exec.CommandContext(ctx, path, words...)
}

const forwarding = "/proc/sys/net/ipv4/ip_forward"

func readForwarding() string {
	text, _ := os.ReadFile(forwarding)
	return string(text)
}

// routesOf are those over a link, or over all.
func routesOf(link netlink.Link) ([]netlink.Route, error) {
	return platform.Uninterrupted(func() ([]netlink.Route, error) { return netlink.RouteList(link, netlink.FAMILY_V4) })
}

// addressesOf are those of a link, or of all.
func addressesOf(link netlink.Link) ([]netlink.Addr, error) {
	return platform.Uninterrupted(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_V4) })
}

// takenNetworks are those this machine has addresses in or routes to.
func takenNetworks() ([]netip.Prefix, error) {
	routes, err := routesOf(nil)
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	var taken []netip.Prefix
	for _, route := range routes {
		if prefix, ok := asPrefix(route.Dst); ok && prefix.Bits() > 0 {
			taken = append(taken, prefix)
		}
	}
	addresses, err := addressesOf(nil)
	for _, address := range addresses {
		if prefix, ok := asPrefix(address.IPNet); ok {
			taken = append(taken, prefix)
		}
	}
	return taken, err
}

func asPrefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	address, ok := netip.AddrFromSlice(n.IP.To4())
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(address, bits).Masked(), ok
}

// localNetworks are those of bridges and other links that lead nowhere but to
// this machine: of containers, of the platform's instances.
func localNetworks() []netip.Prefix {
	links, _ := platform.Uninterrupted(netlink.LinkList)
	var local []netip.Prefix
	for _, link := range links {
		switch link.Type() {
		case "bridge", "veth", "dummy", "macvlan", "ipvlan", "tuntap":
		default:
			continue
		}
		addresses, _ := addressesOf(link)
		for _, address := range addresses {
			if prefix, ok := asPrefix(address.IPNet); ok && !isUplink(link) {
				local = append(local, prefix)
			}
		}
	}
	return local
}

// uplinkMTU is the MTU of the way out: what is larger gets lost on the way.
func uplinkMTU() int {
	links, _ := platform.Uninterrupted(netlink.LinkList)
	for _, link := range links {
		if isUplink(link) {
			return link.Attrs().MTU
		}
	}
	return 1500
}

func isUplink(link netlink.Link) bool {
	routes, _ := routesOf(link)
	for _, route := range routes {
		if prefix, ok := asPrefix(route.Dst); route.Dst == nil || ok && prefix.Bits() == 0 {
			return true
		}
	}
	return false
}

// nameServers are the machine's, but for those on its loopback.
func nameServers() []netip.Addr {
	for _, path := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		text, _ := os.ReadFile(path)
		var servers []netip.Addr
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "nameserver" {
				continue
			}
			if address, err := netip.ParseAddr(words[1]); err == nil && address.Is4() && !address.IsLoopback() {
				servers = append(servers, address)
			}
		}
		if len(servers) > 0 {
			return servers
		}
	}
	return nil // BuildKit names public ones then
}
