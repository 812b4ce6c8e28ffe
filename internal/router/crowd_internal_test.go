package router

import (
	"hash/maphash"
	"net/netip"
	"testing"
)

func TestPlacesAreAddressesAndThoseOfIPv6WholeNetworks(t *testing.T) {
	c := crowd{seed: maphash.MakeSeed()}
	at := func(text string) spots { return c.spots(netip.MustParseAddr(text)) }
	if at("2001:db8::1") != at("2001:db8:0:0:ffff::2") {
		t.Error("two addresses of a /64 are two places")
	}
	for range 3 {
		c.add(at("192.0.2.1"), 1)
	}
	others := 0 // a spot may be shared, both are by one of 16 million
	for i := range 16 {
		others += c.count(c.spots(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})))
		others += c.count(c.spots(netip.AddrFrom16([16]byte{7: byte(i)})))
	}
	if got := c.count(at("192.0.2.1")); got != 3 || others != 0 {
		t.Errorf("it has %d, and others %d", got, others)
	}
	if c.add(at("192.0.2.1"), -3); c.count(at("192.0.2.1")) != 0 {
		t.Error("those that left are still counted")
	}
}
