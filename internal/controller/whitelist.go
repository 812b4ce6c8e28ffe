package controller

import (
	"context"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

const maxAddresses = 1000 // of one app

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
		if _, ok := platform.ParseNetwork(address); !ok {
			return platform.Invalid(field, "The address %s is not valid", address[:min(len(address), platform.MaxNetwork)])
		}
	}
	return nil
}

// allowed are the networks of a whitelist as routers read them, in order. An
// entry of an older kind that cannot be read is left out; if none can, nobody
// is served, for the list was meant to keep people out.
func allowed(whitelist []string) []string {
	var networks []string
	for _, entry := range whitelist {
		if prefix, ok := platform.ParseNetwork(entry); ok {
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
