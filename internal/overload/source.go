package overload

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/slipway-paas/slipway/internal/match"
)

// source is what of a request a client is known by.
type source struct {
	kind kind
	name string
}

type kind uint8

const (
	byClient kind = iota
	byHeader
	byCookie
	byApp
)

// parseSource reads client, app, header:NAME or cookie:NAME; empty is usual.
func parseSource(text, usual string) (source, error) {
	if text == "" {
		text = usual
	}
	what, name, named := strings.Cut(text, ":")
	switch {
	case what == "client" && !named:
		return source{kind: byClient}, nil
	case what == "app" && !named:
		return source{kind: byApp}, nil
	case what == "header" && name != "":
		return source{byHeader, strings.ToLower(name)}, nil
	case what == "cookie" && name != "":
		return source{byCookie, name}, nil
	}
	return source{}, fmt.Errorf("%.80q is none of client, app, header:NAME and cookie:NAME", text)
}

// of is the value of the header or cookie; nil when there is none.
func (s source) of(v *Visit) []byte {
	switch s.kind {
	case byHeader:
		return v.Head.Get(s.name)
	case byCookie:
		value, _ := match.Cookie(v.Head.Fields, s.name)
		return value
	case byClient, byApp:
	}
	return nil
}

// networkOf is what one client can be thought to have: an IPv4 address, or the
// /64 of an IPv6 address.
func networkOf(addr netip.Addr) [16]byte {
	addr = addr.Unmap()
	if !addr.IsValid() {
		return [16]byte{}
	}
	bytes := addr.As16()
	if !addr.Is4() {
		clear(bytes[8:])
	}
	return bytes
}
