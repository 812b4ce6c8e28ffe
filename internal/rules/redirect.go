package rules

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/match"
	"github.com/slipway-paas/slipway/internal/platform"
)

// redirect answers what is for its host and path with another place.
type redirect struct {
	host   match.Host
	path   match.Path
	status int
	to     []part
	meant  bool // to begins with "//" by its team's will
}

// part is text as it stands, or what fills a word in.
type part struct {
	text string
	fill filling
}

type filling int

const (
	asIs filling = iota
	theHost
	thePath
	theQuery
)

func (r *Rules) setRedirects() {
	left := platform.MaxPathWeight
	for i, w := range bounded(r, "redirects", r.wish.redirects, maxRedirects) {
		compiled, err := compileRedirect(w, &left)
		if err != nil {
			r.complain("redirect %d to %.80q: %v", i+1, w.To, err)
			continue
		}
		r.redirects = append(r.redirects, compiled)
	}
}

func compileRedirect(w platform.Redirect, left *int) (d redirect, err error) {
	switch d.status = w.Status; d.status {
	case 0:
		d.status = 308
	case 301, 302, 307, 308:
	default:
		return d, fmt.Errorf("%d is none of 301, 302, 307 and 308", w.Status)
	}
	if d.host, err = match.CompileHost(w.Host); err != nil {
		return d, err
	}
	if w.Path != "" {
		if d.path, err = match.CompilePath(w.Path, left); err != nil {
			return d, fmt.Errorf("path %.80q: %w", w.Path, err)
		}
	}
	d.meant = strings.HasPrefix(w.To, "//")
	d.to, err = compileTarget(w.To)
	return d, err
}

// compileTarget reads a URL with words to be filled in. Path and query of a
// request are filled in only after the authority has ended, so that no request
// chooses the server it is led to.
func compileTarget(to string) (parts []part, err error) {
	if len(to) > maxText {
		return nil, fmt.Errorf("it is longer than %d bytes", maxText)
	}
	if strings.ContainsFunc(to, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("\"<>\\^`|", c) }) {
		return nil, errors.New("it has a character that no URL has")
	}
	for rest := to; rest != ""; {
		text, word, found := strings.Cut(rest, "{")
		if strings.Contains(text, "}") {
			return nil, errors.New("a brace is closed that was not opened")
		}
		if text != "" {
			parts = append(parts, part{text: text})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(word, "}")
		fill := map[string]filling{"host": theHost, "path": thePath, "query": theQuery}[name]
		if !closed || fill == asIs {
			return nil, fmt.Errorf("{%.20s is none of {host}, {path} and {query}", word)
		}
		parts = append(parts, part{fill: fill})
		rest = after
	}
	return parts, checkTarget(to)
}

// checkTarget looks at what no request can change: scheme and authority.
func checkTarget(to string) error {
	rest, absolute := strings.CutPrefix(to, "https://")
	if !absolute {
		rest, absolute = strings.CutPrefix(to, "http://")
	}
	if !absolute {
		rest, absolute = strings.CutPrefix(to, "//")
	}
	if !absolute {
		if strings.HasPrefix(to, "/") || strings.HasPrefix(to, "{path}") {
			return nil
		}
		return errors.New("it begins with none of https://, http:// and /")
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	authority, _, _ = strings.Cut(authority, "{path}")  // which begins with a slash
	authority, _, _ = strings.Cut(authority, "{query}") // or with its sign
	bare := strings.ReplaceAll(authority, "{host}", "h")
	switch {
	case bare == "":
		return errors.New("it names no host")
	case strings.ContainsAny(bare, "{}@"):
		return errors.New("its host is not one that its team chose")
	}
	return nil
}

// redirect is where a request is led to, if it is. One that would be led to
// where it is goes on.
func (r *Rules) redirect(req *h1.Request, v *Visit) (Refusal, bool) {
	for i := range r.redirects {
		d := &r.redirects[i]
		if !d.host.Matches(v.Host) || !d.path.Matches(v.Path) {
			continue
		}
		to := d.location(req, v)
		if here(to, req, v) {
			continue
		}
		return Refusal{Status: d.status, Location: to}, true
	}
	return Refusal{}, false
}

func (d *redirect) location(req *h1.Request, v *Visit) string {
	path, query := split(req.Target)
	to := make([]byte, 0, 128)
	for _, p := range d.to {
		switch p.fill {
		case asIs:
			to = append(to, p.text...)
		case theHost:
			to = appendHost(to, v.Host)
		case thePath:
			to = appendSafe(to, path)
		case theQuery:
			to = appendQuery(to, query)
		}
	}
	if !d.meant && len(to) > 1 && to[0] == '/' { // "//x" would be another server
		i := 1
		for i < len(to) && to[i] == '/' {
			i++
		}
		to = to[i-1:]
	}
	return string(to)
}

// split is a target's path, "/" for what has none, and its query.
func split(target []byte) (path, query []byte) {
	path = target
	for i, b := range target {
		if b == '?' {
			path, query = target[:i], target[i+1:]
			break
		}
	}
	if len(path) == 0 || path[0] != '/' {
		path = []byte("/") // OPTIONS *
	}
	return path, query
}

func appendHost(dst []byte, host string) []byte {
	if strings.Contains(host, ":") {
		return append(append(append(dst, '['), host...), ']')
	}
	return append(dst, host...)
}

// appendQuery appends a query with the sign that it needs there, and none when
// it is empty.
func appendQuery(dst, query []byte) []byte {
	n := len(dst)
	signed := n > 0 && (dst[n-1] == '?' || dst[n-1] == '&')
	switch {
	case len(query) == 0 && signed:
		return dst[:n-1]
	case len(query) == 0:
		return dst
	case signed:
	case bytes.IndexByte(dst, '?') >= 0:
		dst = append(dst, '&')
	default:
		dst = append(dst, '?')
	}
	return appendSafe(dst, query)
}

// appendSafe appends part of a target, and what a browser or a parser of heads
// might read as something else as percent signs.
func appendSafe(dst, text []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, b := range text {
		switch {
		case b <= ' ', b >= 0x7f, b == '\\', b == '"', b == '<', b == '>', b == '^', b == '`', b == '{', b == '|', b == '}', b == '#':
			dst = append(dst, '%', digits[b>>4], digits[b&15])
		default:
			dst = append(dst, b)
		}
	}
	return dst
}

// here reports whether a place is the one that was asked for.
func here(to string, req *h1.Request, v *Visit) bool {
	scheme := "http://"
	if v.HTTPS {
		scheme = "https://"
	}
	if rest, ok := strings.CutPrefix(to, scheme); ok {
		name := string(appendHost(nil, v.Host))
		if to, ok = strings.CutPrefix(rest, name); !ok {
			return false
		}
		if to == "" {
			to = "/"
		}
	}
	path, query := split(req.Target)
	asked := appendSafe(nil, path)
	if len(query) > 0 {
		asked = appendSafe(append(asked, '?'), query)
	}
	return to == string(asked)
}
