package router

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/h1"
)

const requestIDHeader = "X-Request-Id"

// origin is what the app is told of where a request came from.
type origin struct {
	client  string // address of the client
	prior   string // of X-Forwarded-For, what a trusted proxy said; with the comma after it
	peer    string // of X-Forwarded-For, the last
	proto   string // http or https
	host    []byte
	port    []byte
	id      []byte // X-Request-Id
	bearer  bearer // of the client's certificate
	vouched bool   // a trusted proxy said so

	made [32]byte // what id is a part of when it is the router's own
}

// read takes the origin from a request. What that says of itself counts only
// when it comes from a trusted proxy.
func (o *origin) read(req *h1.Request, from *peer, trusted []netip.Prefix) {
	o.client, o.prior, o.peer, o.proto, o.host = from.name, "", from.name, "http", req.Host
	if from.tls != nil {
		o.proto = "https"
	}
	o.port = portOf(req.Host)
	o.vouched = len(trusted) > 0 && isTrusted(from.name, trusted)
	o.identify(req, o.vouched)
	if o.vouched {
		o.believe(req, trusted)
	}
	switch {
	case len(o.port) > 0:
	case o.proto == "https":
		o.port = port443
	default:
		o.port = port80
	}
}

var port80, port443 = []byte("80"), []byte("443")

// believe takes over what a trusted proxy says. The client is the last address
// of the chain that no trusted proxy has.
func (o *origin) believe(req *h1.Request, trusted []netip.Prefix) {
	if prior := strings.Join(values(req, "x-forwarded-for"), ", "); prior != "" {
		o.prior = prior + ", "
		for hops := strings.Split(prior, ","); len(hops) > 0; hops = hops[:len(hops)-1] {
			o.client = bareAddress(hops[len(hops)-1])
			if !isTrusted(o.client, trusted) {
				break
			}
		}
	}
	if proto := strings.ToLower(string(req.Get("x-forwarded-proto"))); proto == "http" || proto == "https" {
		if proto != o.proto {
			o.proto, o.port = proto, nil
		}
	}
	if host := req.Get("x-forwarded-host"); len(host) > 0 {
		if _, ok := normalHost(string(host)); ok {
			o.host, o.port = host, portOf(host)
		}
	}
	if port, err := strconv.ParseUint(string(req.Get("x-forwarded-port")), 10, 16); err == nil {
		o.port = strconv.AppendUint(nil, port, 10)
	}
}

// values are those of all fields of a name, in lower case.
func values(req *h1.Request, name string) (all []string) {
	for i := range req.Fields {
		if strings.EqualFold(string(req.Fields[i].Name), name) {
			all = append(all, string(req.Fields[i].Value))
		}
	}
	return all
}

// settle makes the chain the client alone, for the control plane: it takes the
// last address for whoever asks, and knows of no proxy but the router. A chain
// that names no client stays; its last is the proxy that said so.
func (o *origin) settle() {
	if _, err := netip.ParseAddr(o.client); err == nil {
		o.prior, o.peer = "", o.client
	}
}

// lines appends what the app is told, as lines of a head.
func (o *origin) lines(dst []byte) []byte {
	dst = append(dst, "X-Forwarded-For: "...)
	dst = append(dst, o.prior...)
	dst = append(dst, o.peer...)
	dst = append(dst, "\r\nX-Forwarded-Proto: "...)
	dst = append(dst, o.proto...)
	dst = append(dst, "\r\nX-Forwarded-Host: "...)
	dst = append(dst, o.host...)
	dst = append(dst, "\r\nX-Forwarded-Port: "...)
	dst = append(dst, o.port...)
	return o.idLine(o.bearer.lines(append(dst, "\r\n"...)))
}

// idLine appends the request's id as a line of a head.
func (o *origin) idLine(dst []byte) []byte {
	dst = append(dst, requestIDHeader+": "...)
	dst = append(dst, o.id...)
	return append(dst, "\r\n"...)
}

// isOurs reports whether a field is one that only the router may set, in every
// spelling: servers that hand headers on as variables take X_Forwarded_For for
// X-Forwarded-For. What else begins with X-Forwarded- is a proxy's to say, if it
// is a trusted one. Proxy is nobody's: programs by CGI would take it for the
// proxy of their own requests (httpoxy).
func isOurs(name []byte, vouched bool) bool {
	if len(name) == 0 || bytes.IndexByte([]byte("xXfFpP"), name[0]) < 0 {
		return false
	}
	var plain [len("x-client-cert-fingerprint")]byte
	for i := range min(len(name), len(plain)) {
		if plain[i] = h1.Lower(name[i]); name[i] == '_' {
			plain[i] = '-'
		}
	}
	if !vouched && bytes.HasPrefix(plain[:], []byte("x-forwarded-")) {
		return true
	}
	if len(name) > len(plain) {
		return false
	}
	switch string(plain[:len(name)]) {
	case "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
		"x-forwarded-server", "x-forwarded-prefix", "x-forwarded-ssl", "x-real-ip", "x-request-id", "x-request-level",
		"x-client-cert-verified", "x-client-cert-subject", "x-client-cert-fingerprint", "proxy":
		return true
	}
	return false
}

func isTrusted(peer string, trusted []netip.Prefix) bool {
	if len(trusted) == 0 {
		return false
	}
	addr, err := netip.ParseAddr(peer)
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, prefix := range trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// maxRequestID bounds the request ids that are taken over from clients.
const maxRequestID = 128

// identify makes the id that of a trusted proxy when it is harmless in a log,
// else a new one. Nothing rests on its being hard to guess.
func (o *origin) identify(req *h1.Request, trusted bool) {
	if given, once := only(req, requestIDHeader); trusted && once && validRequestID(given) {
		o.id = given
		return
	}
	const digits = "0123456789abcdef"
	for at := 0; at < len(o.made); at += 16 {
		bits := rand.Uint64() //nolint:gosec // see above
		for i := range 16 {
			o.made[at+i] = digits[bits>>(4*i)&15]
		}
	}
	o.id = o.made[:]
}

// only is the value of the field of a name that is there once.
func only(req *h1.Request, name string) (value []byte, once bool) {
	for i := range req.Fields {
		f := &req.Fields[i]
		if len(f.Name) == len(name) && bytes.EqualFold(f.Name, []byte(name)) {
			if value != nil {
				return nil, false
			}
			value = f.Value
		}
	}
	return value, len(value) > 0
}

func validRequestID(id []byte) bool {
	if len(id) == 0 || len(id) > maxRequestID {
		return false
	}
	for _, c := range id {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-_.:/+=~@", c) >= 0:
		default:
			return false
		}
	}
	return true
}
