package router

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

const requestIDHeader = "X-Request-Id"

// origin is what the app is told of where a request came from.
type origin struct {
	client string // address of the client, for the access log
	chain  string // X-Forwarded-For
	proto  string // http or https
	host   string
	port   string
	id     string // X-Request-Id
	bearer bearer // of the client's certificate
}

// originOf reads a request. What it says of itself counts only when it comes
// from a trusted proxy.
func originOf(req *http.Request, trusted []netip.Prefix) origin {
	peer := bareAddress(peerOf(req))
	o := origin{client: peer, chain: peer, proto: "http", host: req.Host, id: requestID(req)}
	if req.TLS != nil {
		o.proto = "https"
	}
	_, o.port = splitPort(req.Host)
	if isTrusted(peer, trusted) {
		o.believe(req.Header, trusted)
	}
	switch {
	case o.port != "":
	case o.proto == "https":
		o.port = "443"
	default:
		o.port = "80"
	}
	return o
}

// believe takes over what a trusted proxy says. The client is the last address
// of the chain that no trusted proxy has.
func (o *origin) believe(h http.Header, trusted []netip.Prefix) {
	if prior := strings.Join(h["X-Forwarded-For"], ", "); prior != "" {
		o.chain = prior + ", " + o.chain
		for hops := strings.Split(prior, ","); len(hops) > 0; hops = hops[:len(hops)-1] {
			o.client = bareAddress(hops[len(hops)-1])
			if !isTrusted(o.client, trusted) {
				break
			}
		}
	}
	if proto := strings.ToLower(h.Get("X-Forwarded-Proto")); proto == "http" || proto == "https" {
		if proto != o.proto {
			o.proto, o.port = proto, ""
		}
	}
	if host := h.Get("X-Forwarded-Host"); host != "" {
		if _, ok := normalHost(host); ok {
			o.host = host
			_, o.port = splitPort(host)
		}
	}
	if port, err := strconv.ParseUint(h.Get("X-Forwarded-Port"), 10, 16); err == nil {
		o.port = strconv.FormatUint(port, 10)
	}
}

// settle makes the chain the client alone, for the control plane: it takes the
// last address for whoever asks, and knows of no proxy but the router. A chain
// that names no client stays; its last is the proxy that said so.
func (o *origin) settle() {
	if _, err := netip.ParseAddr(o.client); err == nil {
		o.chain = o.client
	}
}

// apply writes the origin over what h says of it, in every spelling: servers
// that hand headers on as variables take X_Forwarded_For for X-Forwarded-For.
func (o *origin) apply(h http.Header) {
	for name := range h {
		if strings.IndexByte(name, '_') >= 0 && ours[http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))] {
			delete(h, name)
		}
	}
	for name := range ours {
		delete(h, name)
	}
	h["X-Forwarded-For"] = []string{o.chain}
	h["X-Forwarded-Proto"] = []string{o.proto}
	h["X-Forwarded-Host"] = []string{o.host}
	h["X-Forwarded-Port"] = []string{o.port}
	h[requestIDHeader] = []string{o.id}
	if o.bearer.verified != "" {
		h[clientVerifiedHeader] = []string{o.bearer.verified}
	}
	if o.bearer.fingerprint != "" {
		h[clientSubjectHeader], h[clientFingerprintHeader] = []string{o.bearer.subject}, []string{o.bearer.fingerprint}
	}
}

// ours are the headers that only the router, or a proxy it trusts, may set.
var ours = map[string]bool{
	"Forwarded": true, "X-Forwarded-For": true, "X-Forwarded-Proto": true, "X-Forwarded-Host": true,
	"X-Forwarded-Port": true, "X-Forwarded-Server": true, "X-Forwarded-Prefix": true, "X-Forwarded-Ssl": true,
	"X-Real-Ip": true, requestIDHeader: true,
	clientVerifiedHeader: true, clientSubjectHeader: true, clientFingerprintHeader: true,
}

func peerOf(req *http.Request) string {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		return req.RemoteAddr
	}
	return host
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

// requestID is the client's own when it is harmless in a log, else a new one.
func requestID(req *http.Request) string {
	values := req.Header[requestIDHeader]
	if len(values) == 1 && validRequestID(values[0]) {
		return values[0]
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-_.:/+=~@", c) >= 0:
		default:
			return false
		}
	}
	return true
}
