package router

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/slipway-paas/slipway/internal/access"
)

// crowd counts the connections of clients by where they are from: an address of
// IPv4, or a /64 of IPv6, which is what one customer gets. So whoever opens as many
// as they can does not take all that there is room for. It is a sieve: each place
// is counted at two spots, which it may share with others, and has no more than the
// emptier one says. Nothing is locked or grows, however many come.
type crowd struct {
	seed maphash.Seed
	rows [2][crowdSpots]atomic.Int32
}

const crowdSpots = 1 << 12

// spots are a place's, one in each row.
type spots [2]uint16

func (c *crowd) spots(from netip.Addr) spots {
	bits := 32
	if from.Is6() {
		bits = 64
	}
	network, _ := from.Prefix(bits) // an address has as many
	raw := network.Addr().As16()
	sum := maphash.Bytes(c.seed, raw[:])
	return spots{uint16(sum % crowdSpots), uint16(sum / crowdSpots % crowdSpots)}
}

func (c *crowd) count(at spots) int {
	return int(min(c.rows[0][at[0]].Load(), c.rows[1][at[1]].Load()))
}

func (c *crowd) add(at spots, n int32) {
	for row := range at {
		c.rows[row][at[row]].Add(n)
	}
}

// entrance is how a client's connection is counted, until Close.
type entrance struct {
	*access.Door
	crowd *crowd // nil: it is not counted by where it is from
	at    spots
}

// Close ends that the connection is counted.
func (e entrance) Close() {
	if e.Door.Close(); e.crowd != nil {
		e.crowd.add(e.at, -1)
	}
}

// enter counts a connection that came. It reports false, and has not, when there
// are most of them from there already. Proxies have as many as they like.
func (r *Router) enter(from netip.Addr, secure bool, most int) (e entrance, ok bool) {
	from = from.Unmap().WithZone("")
	if !from.IsValid() || r.isProxy(from) {
		return entrance{Door: r.metrics.Open(secure)}, true
	}
	at := r.crowd.spots(from)
	if r.crowd.count(at) >= most {
		r.metrics.Crowded.Add(1)
		return e, false
	}
	r.crowd.add(at, 1)
	return entrance{r.metrics.Open(secure), &r.crowd, at}, true
}

func (r *Router) isProxy(addr netip.Addr) bool {
	in := func(network netip.Prefix) bool { return network.Contains(addr) }
	return slices.ContainsFunc(r.opt.ProxyNetworks, in) || slices.ContainsFunc(r.opt.TrustedProxies, in)
}
