package rules

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
)

// field is set on answers, or taken away.
type field struct {
	name string // in lower case
	line []byte // "Name: value\r\n"; empty: taken away
}

// framing are fields that say where a message ends or what is done with its
// connection: not a team's to set.
var framing = []string{
	"connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "keep-alive", "proxy-connection",
	"host", "date", "content-encoding", "content-range", "x-request-id", "www-authenticate", "strict-transport-security",
}

func (r *Rules) setFields() {
	names := slices.Sorted(maps.Keys(r.wish.headers))
	for _, name := range bounded(r, "headers", names, maxHeaders) {
		value := strings.Trim(r.wish.headers[name], " \t")
		f := field{name: strings.ToLower(name)}
		switch {
		case !h1.IsToken([]byte(name)):
			r.complain("%.80q is no name of a header", name)
			continue
		case slices.Contains(framing, f.name):
			r.complain("header %s is the router's to set", f.name)
			continue
		case len(value) > maxText || !fieldValue(value):
			r.complain("the value of header %s is too long or has a control character", f.name)
			continue
		case value != "":
			f.line = fmt.Appendf(nil, "%s: %s\r\n", name, value)
		}
		r.fields = append(r.fields, f)
	}
}

func fieldValue(value string) bool {
	for i := range len(value) {
		if b := value[i]; b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}

// setHSTS writes Strict-Transport-Security's line (RFC 6797, 6.1).
func (r *Rules) setHSTS() {
	w := r.wish.hsts
	if w == nil {
		return
	}
	if w.MaxAge < 0 {
		r.complain("HSTS for %s is no time", w.MaxAge)
		return
	}
	line := strconv.AppendInt([]byte("Strict-Transport-Security: max-age="), int64(w.MaxAge/time.Second), 10)
	if w.Subdomains {
		line = append(line, "; includeSubDomains"...)
	}
	if w.Preload {
		line = append(line, "; preload"...)
	}
	r.hsts = append(line, "\r\n"...)
}

func (r *Rules) setPages() {
	for _, name := range bounded(r, "pages", slices.Sorted(maps.Keys(r.wish.pages)), maxPages) {
		text := r.wish.pages[name]
		switch {
		case !pageName(name):
			r.complain("%.80q is no status (404), no class (5xx) and not maintenance", name)
			continue
		case len(text) > maxPage:
			r.complain("page %s is longer than %d bytes", name, maxPage)
			continue
		}
		if r.pages == nil {
			r.pages = map[string][]byte{}
		}
		r.pages[name] = []byte(text)
	}
}

const maintenancePage = "maintenance"

func pageName(name string) bool {
	if name == maintenancePage {
		return true
	}
	if len(name) != 3 || name[0] != '4' && name[0] != '5' {
		return false
	}
	digits := name[1] >= '0' && name[1] <= '9' && name[2] >= '0' && name[2] <= '9'
	return digits || name[1:] == "xx"
}

// Page is the team's HTML for an answer of the router's own; nil: none. That of
// a status counts before that of its class, and in maintenance its own before
// both.
func (r *Rules) Page(status int, maintenance bool) []byte {
	if r == nil || len(r.pages) == 0 {
		return nil
	}
	if maintenance {
		if page, ok := r.pages[maintenancePage]; ok {
			return page
		}
	}
	name := strconv.Itoa(status)
	if page, ok := r.pages[name]; ok {
		return page
	}
	return r.pages[name[:1]+"xx"]
}
