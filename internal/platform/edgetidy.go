package platform

import (
	"slices"
	"strings"
)

// Tidy is e as routers read it: networks without host bits, names in the form
// that is compared, the order of conditions and rules as it was.
func (e Edge) Tidy() Edge {
	e.Deny = slices.Clone(e.Deny)
	for i, entry := range e.Deny {
		if network, ok := ParseNetwork(strings.TrimSpace(entry)); ok {
			e.Deny[i] = network.String()
		}
	}
	slices.Sort(e.Deny)
	e.Deny = slices.Compact(e.Deny)
	e.Compress = slices.Clone(e.Compress)
	for i, coding := range e.Compress {
		e.Compress[i] = strings.ToLower(strings.TrimSpace(coding))
	}
	e.Redirects = slices.Clone(e.Redirects)
	for i := range e.Redirects {
		e.Redirects[i].Host = strings.TrimSuffix(strings.ToLower(e.Redirects[i].Host), ".")
	}
	if named, twice := canonical(e.Headers); twice == "" {
		e.Headers = named
	}
	switch strings.ToLower(e.Protocol) {
	case "http", "http1", "http/1.1", "h1":
		e.Protocol = ""
	}
	if e.Auth != nil && len(e.Auth.Users) == 0 && e.Auth.Realm == "" {
		e.Auth = nil
	}
	return e
}
