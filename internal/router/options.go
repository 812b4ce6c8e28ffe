package router

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Options are the settings of a Router. The zero value of each field stands
// for its default.
type Options struct {
	// HeaderTimeout is how long a client has for a request's whole head (and
	// for the TLS handshake), from the first byte to the last. Default 10 s.
	// Longer lets slow senders hold connections; shorter cuts off bad networks.
	HeaderTimeout time.Duration

	// IdleTimeout is how long a client's connection is kept between two
	// requests. Default 75 s. It should be longer than that of a proxy in
	// front, or that proxy sends requests into closing connections.
	IdleTimeout time.Duration

	// ConnectTimeout is how long an instance has to accept a connection before
	// another instance is tried. Default 2 s.
	ConnectTimeout time.Duration

	// AnswerTimeout is how long an app has, once it has the whole request, to
	// begin its answer; then the client gets 504. Default 1300 s. It does not
	// bound the answer's length, WebSockets, or the control plane.
	AnswerTimeout time.Duration

	// UpstreamIdle is how long a connection to an instance is kept for the next
	// request. Default 1.5 s. It must be shorter than the keep-alive of the
	// app's own server (2 s is the shortest in common use), or now and then a
	// request is sent into a connection the app is closing, and one that may
	// not be repeated then fails with 502.
	UpstreamIdle time.Duration

	// Quiet is how long a client's connection must have been without a request
	// before a draining router closes it. Default 5 s. Until then the next
	// request on it is served, and its answer tells the client to reconnect.
	Quiet time.Duration

	// MaxHeaderBytes bounds a request's head; over it the client gets 431.
	// Default 64 KiB. Each connection may hold that much memory.
	MaxHeaderBytes int

	// MaxTarget bounds a request's target, over it the client gets 414, and
	// MaxFields the fields of its head: 431. Default 16 KiB and 200.
	MaxTarget, MaxFields int

	// MinRate is how many bytes a second a client has to send of a body, until
	// the app begins to answer, and to take of an answer, and RateGrace for how
	// long it may fall behind. Default 240 and 30 s. Higher cuts off bad
	// networks and players that pause; lower lets a few clients hold many
	// connections open.
	MinRate   int
	RateGrace time.Duration

	// UpgradeIdle is how long an upgraded connection may carry nothing in either
	// direction, where its app says nothing else. Default 1 h.
	UpgradeIdle time.Duration

	// MaxConnections is how many clients may be connected. More take the places
	// of those that have been Quiet; when nobody has, they get 503, or are closed
	// where they came for HTTPS. Default 100,000. One that is idle costs
	// some 10 KB and a descriptor, as does one of HTTPS; one of HTTP/2 24 KB.
	MaxConnections int

	// MaxPerAddress is how many of them may be from one address, or one /64 of
	// IPv6; more are closed at once. Those of ProxyNetworks and TrustedProxies may
	// have any number. Default: a quarter of MaxConnections, and 256 at least.
	// Fewer turn away those who share an address, as large offices do.
	MaxPerAddress int

	// Loops is how many threads lead plain HTTP/1.1 by epoll, which costs less
	// than a goroutine for each connection and keeps a thread of the machine
	// awake while there is traffic. 0: none, all goes by goroutines.
	Loops int

	// Processors is how many Go's runtime may use besides the loops' while there
	// is much to do: the router sets GOMAXPROCS then, with Loops above 0, to
	// both, and while there is little to the loops' and a quarter of these. Default
	// 0: GOMAXPROCS is left alone; loops that find none to spare wait as all others do.
	Processors int

	// ProxyNetworks are those whose connections begin with a header of the PROXY
	// protocol, version 1 or 2, and are closed without. Default none: such a
	// header is no request. Listing a network that clients can reach from lets
	// them forge their address.
	ProxyNetworks []netip.Prefix

	// TrustedProxies are the networks whose X-Forwarded-For, -Proto, -Host and
	// -Port are believed and continued. Default none: whatever a client says
	// about itself is replaced. Listing a network that clients can reach from
	// lets them forge their address.
	TrustedProxies []netip.Prefix

	// HTTPSPort is the port of the redirects to HTTPS, for when clients reach
	// ServeTLS by another than it listens at. Default: where it listens, and
	// 443 without a listener.
	HTTPSPort int

	// HoldRequests is how many requests of one app may wait while an instance
	// takes over from another that had to end first; more get 503. Default
	// 1,000. Each costs a goroutine and its head, some 20 KB; 10,000 wait at
	// most of all apps together.
	HoldRequests int

	// HoldTime is how long an app may have nobody up meanwhile; who has waited
	// for as long gets 503, and then who comes. Default 30 s. Shorter than an
	// app takes to end and to start, its deploys fail requests.
	HoldTime time.Duration

	// TCPConnections is how many connections the TCP routes of one app may have
	// open; more are closed at once. Default 1,000. Each costs two descriptors
	// and two goroutines.
	TCPConnections int

	// TCPIdle is how long one may carry nothing in either direction. Default
	// 1 h. Shorter cuts off pools that keep connections for later.
	TCPIdle time.Duration

	// TLSProfile is platform.TLSModern, which takes TLS 1.3 alone, or
	// TLSIntermediate, which takes 1.2 too. Default intermediate: what cannot
	// speak 1.3 is old, and still there.
	TLSProfile string

	// Handshakes is how many TLS handshakes may be under way. Default 4,000. Each
	// costs some 30 KB while it lasts, and a signature; more wait, within
	// HeaderTimeout, and those that take longer than a client needs make room.
	Handshakes int

	// Access is told of every request once it has ended, in the goroutine that
	// served it: it must not block. Default nil: nobody is told.
	Access func(Access)

	// LedBack is called when the router has led an app's requests back, which
	// Cutovers tells then: see platform.Shift.Budget. It must not block. Default
	// nil: nobody is told.
	LedBack func()

	// Stirred is called when there is something to tell other routers, which News
	// tells from then on until there is nothing more. It must not block. Default
	// nil: there are none.
	Stirred func()

	// Sampled says whether Access is told of a request that ended. Share is the
	// app's own word, how many of a thousand; nil: it has none. Default nil:
	// Access is told of all.
	Sampled func(share *int, failed bool) bool
}

func (o Options) withDefaults() Options {
	orDefault(&o.HeaderTimeout, 10*time.Second)
	orDefault(&o.IdleTimeout, 75*time.Second)
	orDefault(&o.ConnectTimeout, 2*time.Second)
	orDefault(&o.AnswerTimeout, 1300*time.Second)
	orDefault(&o.UpstreamIdle, 1500*time.Millisecond)
	orDefault(&o.Quiet, 5*time.Second)
	orDefault(&o.MaxHeaderBytes, 64<<10)
	orDefault(&o.MaxTarget, 16<<10)
	orDefault(&o.MaxFields, 200)
	orDefault(&o.MinRate, 240)
	orDefault(&o.RateGrace, 30*time.Second)
	orDefault(&o.UpgradeIdle, time.Hour)
	orDefault(&o.MaxConnections, 100_000)
	orDefault(&o.MaxPerAddress, max(o.MaxConnections/4, 256))
	orDefault(&o.HoldRequests, 1000)
	orDefault(&o.TCPConnections, 1000)
	orDefault(&o.TCPIdle, time.Hour)
	orDefault(&o.HoldTime, 30*time.Second)
	orDefault(&o.Handshakes, 4000)
	o.TLSProfile = cmp.Or(o.TLSProfile, platform.TLSIntermediate)
	return o
}

func orDefault[T ~int | ~int64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Access is one request as it ended.
type Access = access.Record
