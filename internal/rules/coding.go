package rules

import (
	"slices"

	"github.com/slipway-paas/slipway/internal/h1"
)

// coding is a content coding (RFC 9110, 8.4.1).
type coding int

const (
	identity coding = iota
	zstandard
	brotlied
	gzipped
	codings // how many there are
)

// tokens are their names in Accept-Encoding and Content-Encoding.
var tokens = [codings]string{"identity", "zstd", "br", "gzip"}

// shortest is the length under which compressing gains nothing, in bytes.
const shortest = 256

func (r *Rules) setCodings() {
	for _, name := range bounded(r, "codings", r.wish.compress, int(codings)) {
		c := coding(slices.Index(tokens[:], name))
		switch {
		case c == identity && len(r.wish.compress) == 1:
		case c <= identity:
			r.complain("%.80q is no coding that answers can be given; those are zstd, br and gzip", name)
		case !slices.Contains(r.codings, c):
			r.codings = append(r.codings, c)
		}
	}
}

// accepted is what Accept-Encoding says of each coding, in thousandths; -1: it
// does not name it.
type accepted struct {
	quality [codings]int
	any     int // of "*"
	asked   bool
}

// readAccepted reads all fields of that name as one list. An element that is
// not well formed counts for nothing.
func readAccepted(fields []h1.Field) accepted {
	a := accepted{quality: [codings]int{-1, -1, -1, -1}, any: -1}
	for i := range fields {
		if h1.Is(fields[i].Name, "accept-encoding") {
			a.asked = true
			a.read(fields[i].Value)
		}
	}
	return a
}

func (a *accepted) read(list []byte) {
	for len(list) > 0 {
		var element []byte
		element, list = cut(list, ',')
		name, weight := cut(element, ';')
		name = trim(name)
		quality, ok := qvalue(trim(weight), len(name) < len(trim(element)))
		if !ok {
			continue
		}
		if len(name) == 1 && name[0] == '*' {
			a.any = quality
			continue
		}
		for c, token := range tokens {
			if h1.Is(name, token) {
				a.quality[c] = quality
			}
		}
		if h1.Is(name, "x-gzip") { // RFC 9110, 8.4.1.3
			a.quality[gzipped] = quality
		}
	}
}

// qvalue reads "q=0.8" in thousandths: RFC 9110, 12.4.2. Without a weight it is 1.
func qvalue(weight []byte, given bool) (thousandths int, ok bool) {
	if !given {
		return 1000, true
	}
	n := len(weight)
	if n < 3 || n > 7 || weight[0] != 'q' && weight[0] != 'Q' || weight[1] != '=' {
		return 0, false
	}
	whole := weight[2]
	if whole != '0' && whole != '1' || n > 3 && weight[3] != '.' {
		return 0, false
	}
	thousandths = 1000 * int(whole-'0')
	unit := 100
	for _, b := range weight[min(4, n):] {
		if b < '0' || b > '9' || whole == '1' && b != '0' {
			return 0, false
		}
		thousandths += unit * int(b-'0')
		unit /= 10
	}
	return thousandths, true
}

// of is how much a client wants a coding; identity, when nothing is said of it,
// less than anything it wants at all (RFC 9110, 12.5.3).
func (a *accepted) of(c coding) int {
	switch q := a.quality[c]; {
	case q >= 0:
		return q
	case c == identity:
		return 0
	case a.any >= 0:
		return a.any
	}
	return 0
}

// choose takes the coding that the client wants most, of several the one that
// stands first in ours; identity when it wants none of them.
func (a *accepted) choose(ours []coding) coding {
	best, most := identity, a.of(identity)
	for _, c := range ours {
		if q := a.of(c); q > most || best == identity && q == most && q > 0 {
			best, most = c, q
		}
	}
	return best
}

// compressible reports whether content of a type gets smaller.
func compressible(contentType []byte) bool {
	kind, _ := cut(contentType, ';')
	kind = trim(kind)
	if len(kind) > 64 {
		return false
	}
	var room [64]byte
	for i, b := range kind {
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		room[i] = b
	}
	kind = room[:len(kind)]
	if hasPrefix(kind, "text/") || hasSuffix(kind, "+json") || hasSuffix(kind, "+xml") {
		return true
	}
	switch string(kind) {
	case "application/json", "application/javascript", "application/x-javascript", "application/xml", "application/wasm",
		"application/x-ndjson", "application/ndjson", "application/json-seq", "application/yaml", "application/toml",
		"application/vnd.ms-fontobject", "font/ttf", "font/otf", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon":
		return true
	}
	return false
}

// stream reports whether content is of server-sent events.
func stream(contentType []byte) bool {
	kind, _ := cut(contentType, ';')
	return h1.Is(trim(kind), "text/event-stream")
}

// has reports whether a comma list has a token.
func has(list []byte, token string) bool {
	for len(list) > 0 {
		var element []byte
		element, list = cut(list, ',')
		if h1.Is(trim(element), token) {
			return true
		}
	}
	return false
}

// cut is what stands before and after the first mark.
func cut(text []byte, mark byte) (before, after []byte) {
	for i, b := range text {
		if b == mark {
			return text[:i], text[i+1:]
		}
	}
	return text, nil
}

func trim(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
		text = text[1:]
	}
	for len(text) > 0 && (text[len(text)-1] == ' ' || text[len(text)-1] == '\t') {
		text = text[:len(text)-1]
	}
	return text
}

func hasPrefix(text []byte, start string) bool {
	return len(text) >= len(start) && string(text[:len(start)]) == start
}

func hasSuffix(text []byte, end string) bool {
	return len(text) >= len(end) && string(text[len(text)-len(end):]) == end
}
