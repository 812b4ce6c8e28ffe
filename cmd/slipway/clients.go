package main

import (
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/slipway-paas/slipway/internal/router"
)

// clientOptions bound what clients of the edge may do. A node heeds them when
// it starts; each has what it costs in router.Options.
type clientOptions struct {
	// ProxyProtocol are the addresses and networks, with commas between them, of
	// balancers whose connections begin with a header of the PROXY protocol.
	// Those that begin without one are closed. Whoever can send from one can
	// claim any address. Empty: nobody's do.
	ProxyProtocol string
	proxyNetworks []netip.Prefix // the same, read by validate
	// MaxConnections is how many clients may be connected; three for each five
	// files that the process may open, if that is less.
	MaxConnections int
	// MaxPerAddress is how many of them may be from one address, or one /64 of
	// IPv6, but for proxies; 0: a quarter.
	MaxPerAddress int
	// HeadTimeout is how long a client has for a request's head, and ClientIdle
	// how long its connection is kept without a request.
	HeadTimeout, ClientIdle time.Duration
	// MaxHead and MaxTarget bound a request's head and target, in KiB, and
	// MaxFields the fields of the head.
	MaxHead, MaxTarget, MaxFields int
	// MinRate is how many bytes a second clients have to send and to take, and
	// SlowGrace how long they may fall behind that.
	MinRate   int
	SlowGrace time.Duration
	// UpgradeIdle is how long a WebSocket may carry nothing.
	UpgradeIdle time.Duration
	// DrainTime is how long what passes to no other node goes on in one that
	// another took over from.
	DrainTime time.Duration
	// Loops is how many threads lead plain HTTP/1.1 by epoll; 0: none does.
	Loops int
}

func (o *clientOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.ProxyProtocol, "proxy-protocol", "", "addresses and networks, separated by commas, of balancers whose connections begin with the PROXY protocol; empty: nobody's")
	flags.IntVar(&o.MaxConnections, "max-connections", 100_000, "clients that may be connected to the edge")
	flags.IntVar(&o.MaxPerAddress, "max-per-address", 0, "how many of them may be from one address, or one /64 of IPv6; 0: a quarter")
	flags.DurationVar(&o.HeadTimeout, "head-timeout", 10*time.Second, "how long a client has for a request's head")
	flags.DurationVar(&o.ClientIdle, "client-idle", 75*time.Second, "how long a client's connection is kept without a request")
	flags.IntVar(&o.MaxHead, "max-head", 64, "largest head of a request, in KiB")
	flags.IntVar(&o.MaxTarget, "max-target", 16, "largest target of a request, in KiB")
	flags.IntVar(&o.MaxFields, "max-fields", 200, "most fields of a request's head")
	flags.IntVar(&o.MinRate, "min-rate", 240, "bytes a second that clients have to send of a body and take of an answer")
	flags.DurationVar(&o.SlowGrace, "slow-grace", 30*time.Second, "how long they may fall behind that")
	flags.IntVar(&o.Loops, "loops", max(1, runtime.NumCPU()/2), "threads of the edge that serve plain HTTP/1.1 by polling; 0: each connection has a goroutine, which costs more")
	flags.DurationVar(&o.DrainTime, "drain-time", time.Minute, "how long requests, WebSockets and TCP connections may go on in a node that another took over from")
	flags.DurationVar(&o.UpgradeIdle, "upgrade-idle", time.Hour, "how long a WebSocket may carry nothing, where its app says nothing else")
}

// arguments hand the options on to a node.
func (o *clientOptions) arguments() []string {
	return []string{
		"--proxy-protocol", o.ProxyProtocol, "--max-connections", strconv.Itoa(o.MaxConnections), "--max-per-address", strconv.Itoa(o.MaxPerAddress),
		"--head-timeout", o.HeadTimeout.String(), "--client-idle", o.ClientIdle.String(),
		"--max-head", strconv.Itoa(o.MaxHead), "--max-target", strconv.Itoa(o.MaxTarget), "--max-fields", strconv.Itoa(o.MaxFields),
		"--min-rate", strconv.Itoa(o.MinRate), "--slow-grace", o.SlowGrace.String(), "--upgrade-idle", o.UpgradeIdle.String(),
		"--loops", strconv.Itoa(o.Loops), "--drain-time", o.DrainTime.String(),
	}
}

func (o *clientOptions) validate() error {
	for _, number := range []struct {
		name       string
		value      int
		from, upTo int
	}{
		{"max-connections", o.MaxConnections, 1, 10_000_000},
		{"max-per-address", o.MaxPerAddress, 0, 10_000_000},
		{"max-head", o.MaxHead, 4, 1024},
		{"max-target", o.MaxTarget, 1, min(o.MaxHead, 1024)},
		{"max-fields", o.MaxFields, 20, 10_000},
		{"min-rate", o.MinRate, 1, 1 << 20},
		{"loops", o.Loops, 0, 256},
	} {
		if number.value < number.from || number.value > number.upTo {
			return fmt.Errorf("--%s: %d is not from %d to %d", number.name, number.value, number.from, number.upTo)
		}
	}
	for _, span := range []struct {
		name  string
		value time.Duration
	}{{"head-timeout", o.HeadTimeout}, {"client-idle", o.ClientIdle}, {"slow-grace", o.SlowGrace}, {"upgrade-idle", o.UpgradeIdle}, {"drain-time", o.DrainTime}} {
		if span.value < time.Second {
			return fmt.Errorf("--%s: %s is less than a second", span.name, span.value)
		}
	}
	networks, err := proxyNetworks("proxy-protocol", o.ProxyProtocol)
	o.proxyNetworks = networks
	return err
}

// proxyNetworks reads a list of addresses and networks.
func proxyNetworks(option, list string) (networks []netip.Prefix, err error) {
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		network, err := proxyNetwork(entry)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", option, err)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func (o *clientOptions) fill(r *router.Options) {
	r.ProxyNetworks, r.MaxConnections = o.proxyNetworks, withinFiles(o.MaxConnections)
	r.MaxPerAddress = o.MaxPerAddress
	r.HeaderTimeout, r.IdleTimeout = o.HeadTimeout, o.ClientIdle
	r.MaxHeaderBytes, r.MaxTarget, r.MaxFields = o.MaxHead<<10, o.MaxTarget<<10, o.MaxFields
	r.MinRate, r.RateGrace, r.UpgradeIdle = o.MinRate, o.SlowGrace, o.UpgradeIdle
	r.Loops, r.Processors = o.Loops, runtime.NumCPU()
}

// withinFiles is how many of most clients this process may have: each takes a
// descriptor, and one more while its request is at an instance. Without any left
// no request reaches an instance, and none can be started or probed.
func withinFiles(most int) int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 10*uint64(most) { //nolint:gosec // it is positive
		return most
	}
	return min(most, int(limit.Cur)*3/5) //nolint:gosec // it is small
}
