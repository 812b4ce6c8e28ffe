package controller

import (
	"context"
	mathbits "math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

const (
	maxAddress   = 50   // characters of one entry
	maxAddresses = 1000 // of one app
)

// Whitelist lists the addresses and networks the app is served to; empty: all.
func (c *Controller) Whitelist(ctx context.Context, caller platform.Caller, app string) ([]string, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) ([]string, error) {
		settings, err := tx.Settings(app)
		return settings.Whitelist, err
	})
}

// AddWhitelist adds addresses and returns all. ErrConflict when all are there.
func (c *Controller) AddWhitelist(ctx context.Context, caller platform.Caller, app string, addresses []string) ([]string, error) {
	if err := validAddresses("addresses", addresses); err != nil {
		return nil, err
	}
	settings, err := c.changeSettings(ctx, caller, app, platform.RoleOperator, "whitelist.changed", func(s platform.Settings) (platform.Settings, error) {
		s.Whitelist = union(s.Whitelist, addresses)
		if len(s.Whitelist) > maxAddresses {
			return s, platform.Invalid("addresses", "A whitelist has at most %d addresses.", maxAddresses)
		}
		return s, nil
	})
	return settings.Whitelist, err
}

// RemoveWhitelist removes addresses. ErrUnprocessable when one is not there.
func (c *Controller) RemoveWhitelist(ctx context.Context, caller platform.Caller, app string, addresses []string) error {
	if err := validAddresses("addresses", addresses); err != nil {
		return err
	}
	_, err := c.changeSettings(ctx, caller, app, platform.RoleAdmin, "whitelist.changed", func(s platform.Settings) (platform.Settings, error) {
		var missing []string
		for _, address := range union(nil, addresses) {
			if !slices.Contains(s.Whitelist, address) {
				missing = append(missing, "'"+address+"'")
			}
		}
		if len(missing) > 0 {
			text := "addresses {" + strings.Join(missing, ", ") + "} does not exist in whitelist"
			return s, &platform.UserError{Kind: platform.ErrUnprocessable, Message: text}
		}
		s.Whitelist = slices.DeleteFunc(slices.Clone(s.Whitelist), func(address string) bool { return slices.Contains(addresses, address) })
		return s, nil
	})
	return err
}

// validAddresses checks entries of a whitelist; field is the one they came in.
func validAddresses(field string, addresses []string) error {
	switch {
	case len(addresses) == 0:
		return platform.Invalid(field, "This list may not be empty.")
	case len(addresses) > maxAddresses:
		return platform.Invalid(field, "A whitelist has at most %d addresses.", maxAddresses)
	}
	for _, address := range addresses {
		if _, ok := network(address); !ok {
			return platform.Invalid(field, "The address %s is not valid", address[:min(len(address), maxAddress)])
		}
	}
	return nil
}

// network reads an address (10.0.0.5), a network (10.0.0.0/8) or an interface
// (10.0.0.5/8), of IPv4 or IPv6, the prefix as a length or, for IPv4, as a
// mask. It returns the network that is meant, without host bits.
func network(entry string) (netip.Prefix, bool) {
	text, length, long := strings.Cut(entry, "/")
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" || len(entry) > maxAddress {
		return netip.Prefix{}, false
	}
	bits := address.BitLen()
	if long {
		var ok bool
		if bits, ok = prefixLength(length, address); !ok {
			return netip.Prefix{}, false
		}
	}
	// Routers compare clients by their IPv4 address where they have one.
	if address.Is4In6() && bits >= 96 {
		address, bits = address.Unmap(), bits-96
	}
	prefix, err := address.Prefix(bits)
	return prefix, err == nil
}

// prefixLength reads 8, or 255.0.0.0, or 0.255.255.255.
func prefixLength(text string, address netip.Addr) (bits int, ok bool) {
	if text != "" && strings.Trim(text, "0123456789") == "" {
		bits, err := strconv.Atoi(text)
		return bits, err == nil && bits <= address.BitLen()
	}
	mask, err := netip.ParseAddr(text)
	if err != nil || !mask.Is4() || !address.Is4() {
		return 0, false
	}
	raw := mask.As4()
	number := uint32(raw[0])<<24 | uint32(raw[1])<<16 | uint32(raw[2])<<8 | uint32(raw[3])
	for _, mask := range []uint32{number, ^number} { // 0.0.0.0 is a mask before it is the inverse of one
		if bits := mathbits.LeadingZeros32(^mask); mask == ^uint32(0)<<(32-bits) {
			return bits, true
		}
	}
	return 0, false
}

// allowed are the networks of a whitelist as routers read them, in order. An
// entry of an older kind that cannot be read is left out; if none can, nobody
// is served, for the list was meant to keep people out.
func allowed(whitelist []string) []string {
	var networks []string
	for _, entry := range whitelist {
		if prefix, ok := network(entry); ok {
			networks = append(networks, prefix.String())
		}
	}
	if len(whitelist) > 0 && len(networks) == 0 {
		return []string{"0.0.0.0/32"}
	}
	return union(nil, networks)
}

// union is a with those of b that it lacks, each once.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, item := range b {
		if !slices.Contains(all, item) {
			all = append(all, item)
		}
	}
	return all
}

// set is a list as the keys of a map.
func set(list []string) map[string]struct{} {
	m := make(map[string]struct{}, len(list))
	for _, item := range list {
		m[item] = struct{}{}
	}
	return m
}
