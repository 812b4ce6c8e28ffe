package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
)

// checkProxies reads --trusted-proxies and --https-port.
func (o *options) checkProxies() error {
	if o.HTTP3 && o.HTTPS == "" {
		return errors.New("--http3: there is no HTTPS to serve it beside; give --https an address")
	}
	if o.HTTPSPort < 0 || o.HTTPSPort > 65535 {
		return fmt.Errorf("--https-port: %d is not a port; write one from 1 to 65535, or 0 for the port of --https", o.HTTPSPort)
	}
	if o.HoldRequests < 0 || o.HoldTime < 0 {
		return fmt.Errorf("--hold-requests and --hold-time: %d and %s: neither can be below 0", o.HoldRequests, o.HoldTime)
	}
	if err := o.checkPorts(); err != nil {
		return err
	}
	networks, err := proxyNetworks("trusted-proxies", o.TrustedProxies)
	o.trustedProxies = networks
	return err
}

// proxyNetwork is an address or a network, IPv4 also in its IPv6 form. One
// that is written as both is refused: who is trusted is nothing to guess.
func proxyNetwork(entry string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(entry)
	if err != nil {
		addr, err := netip.ParseAddr(entry)
		if err != nil || addr.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is no address and no network; write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32, with commas between them", entry)
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if network != network.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q is an address in a network; write %s or %s", entry, network.Addr(), network.Masked())
	}
	if network.Addr().Is4In6() && network.Bits() >= 96 {
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-96)
	}
	return network, nil
}

// httpsPort is where clients reach HTTPS; 0 when nothing is known to speak it.
func (o *options) httpsPort() int { return cmp.Or(o.HTTPSPort, port(o.HTTPS)) }
