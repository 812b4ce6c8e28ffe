package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestTrustedProxiesAreAddressesAndNetworks(t *testing.T) {
	o := filled(t, "", "--trusted-proxies", " 192.0.2.7,, 10.0.0.0/8 ,2001:db8::/32,::1, ::ffff:198.51.100.0/120,::ffff:192.0.2.8,")
	if got := fmt.Sprint(o.trustedProxies); got != "[192.0.2.7/32 10.0.0.0/8 2001:db8::/32 ::1/128 198.51.100.0/24 192.0.2.8/32]" {
		t.Errorf("got %s", got)
	}
	if o = filled(t, "", "--trusted-proxies", ""); len(o.trustedProxies) != 0 {
		t.Errorf("an empty list trusts %v", o.trustedProxies)
	}
}

func TestAWrongProxyIsNamed(t *testing.T) {
	for _, entry := range []string{"proxy.example.com", "10.0.0", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.1:80", "fe80::1%eth0", "*", "::ffff:10.0.0.1/104"} {
		o := options{TrustedProxies: "192.0.2.7, " + entry + ",::1"}
		if err := o.checkProxies(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("--trusted-proxies: %q", entry)) {
			t.Errorf("%s: got %v", entry, err)
		}
	}
}

func TestThePortOfHTTPSIsTheMappedOneWhereThereIsOne(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"--https", ":8443"}, 8443},
		{[]string{"--https", ":8443", "--https-port", "443"}, 443},
		{[]string{"--https", ""}, 0},
		{[]string{"--https", "", "--https-port", "443"}, 443},
	} {
		if got := filled(t, "", c.args...).httpsPort(); got != c.want {
			t.Errorf("%v: clients reach %d, want %d", c.args, got, c.want)
		}
	}
}
