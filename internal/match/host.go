package match

import (
	"fmt"
	"strings"
)

// Host is a pattern of host names. The zero value matches all. Immutable.
type Host struct {
	name     string // in lower case; of a wildcard what follows the star
	wildcard bool
}

// CompileHost reads a name, "*.example.com" for one label or more before it, or
// nothing for all.
func CompileHost(pattern string) (Host, error) {
	h := Host{name: strings.TrimSuffix(lower(strings.TrimSpace(pattern)), ".")}
	if h.name == "" {
		return Host{}, nil
	}
	h.name, h.wildcard = strings.CutPrefix(h.name, "*")
	bare := strings.TrimPrefix(h.name, ".")
	if h.wildcard == (bare == h.name) || bare == "" || len(bare) > 253 || strings.Trim(bare, "abcdefghijklmnopqrstuvwxyz0123456789-_.:") != "" || bare[0] == '.' {
		return Host{}, fmt.Errorf("%.80q is no host name", pattern)
	}
	return h, nil
}

// Matches reports whether a host in normal form (lower case, without a port and
// a final dot) is one of the pattern's.
func (h *Host) Matches(host string) bool {
	if h.wildcard {
		return len(host) > len(h.name) && strings.HasSuffix(host, h.name)
	}
	return h.name == "" || h.name == host
}
