package router

import (
	"crypto/tls"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
)

// refusal is why a request goes to no instance. What decides it, in this
// order, the first that holds:
//
//	unknown host                                404  exchange.first, gone
//	the client is in a denied network           403  denied
//	the client's address is in no allowed one   403  stranger
//	the app is in maintenance                   503  resting
//	plain HTTP, and the app is for HTTPS only   301  insecure
//	the app asks for clients' certificates,
//	  and there is none                         403  uncertified
//	  and the connection is for another name,
//	  or from before it asked                   421  misdirected
//	the team's rules say so                     3xx, 401, 413, 429  ruled, unproven: see package rules
//	the path is too long to be matched          414  tooLong
//	the path may be read as that of two types   400  ambiguous
//	no instance serves, or all refuse           503  empty, once nothing holds it
//	all have as much open as they may have      503  full
//
// A stranger thus learns neither of maintenance nor of redirects. All but the
// last are no requests of any release: cutovers do not count them. The control
// plane has no gate.
type refusal int

const (
	admitted refusal = iota
	gone
	denied
	stranger
	resting
	insecure
	uncertified
	misdirected
	ruled
	unproven // whether a password is right
	tooLong
	ambiguous
	empty
	full
)

// visit is what the gate looks at.
type visit struct {
	client  string // address, of whom the request is from
	https   bool
	host    string // in normal form
	judged  judgement
	written []byte // the path as it was written
	decoded string // the same decoded, once somebody asked for it
	process string // the type that it may go to, once admitted; empty: the main one

	router *Router
	app    *app
	conn   *tls.ConnectionState // nil: plain HTTP
	req    *h1.Request          // nil: nothing of it is known
	lot    lot                  // which of two releases it goes to
}

// path is the path as a server reads it.
func (v *visit) path() string {
	if v.decoded == "" {
		v.decoded, _ = url.PathUnescape(string(v.written)) // it was looked at
	}
	return v.decoded
}

// admit decides about a visit, and names the process type that it may go to:
// empty for the main one.
func (rt *route) admit(v *visit) (process string, why refusal) {
	switch {
	case rt.denied(v):
		return "", denied
	case !allowed(rt.allow, v.client):
		return "", stranger
	case rt.maintenance:
		return "", resting
	case rt.httpsOnly && !v.https:
		return "", insecure
	}
	if rt.clients != nil { // or the time would be asked for in vain
		if why := rt.clients.judge(v.router, v.app, v.conn, time.Now()); why != admitted {
			return "", why
		}
	}
	v.process = ""
	if why := rt.judge(v); why != admitted {
		return "", why
	}
	if process, ok := rt.matched(v); ok {
		v.process = process
		return process, admitted
	}
	if rt.paths == nil {
		return "", admitted
	}
	v.process, why = rt.paths.process(v.path())
	return v.process, why
}

// page is what a refused request is answered with.
func (x *exchange) refuse(why refusal) page {
	x.uncounted = why != empty && why != full
	switch {
	case x.app.control:
		return controlDown()
	case why == gone:
		return unknownHost(x.host)
	case why == denied:
		return notFromThere(x.app.name)
	case why == stranger:
		return notAllowed(x.app.name)
	case why == resting:
		return inMaintenance(x.app.name)
	case why == insecure:
		x.router.redirects(x.app.name)
		return onlyHTTPS(x.secure())
	case why == uncertified:
		return noClientCert(x.app.name)
	case why == misdirected:
		return wrongConnection()
	case why == ruled:
		return x.ruledPage()
	case why == tooLong:
		return longPath()
	case why == ambiguous:
		return oddPath()
	case why == full:
		x.app.full.Add(1)
		return busy(x.app.name)
	case len(x.tried) > 0:
		return unreachable(x.app.name)
	}
	return nothingUp(x.app.name)
}

// atHTTPS is a host with the port that clients reach ServeTLS by.
func (r *Router) atHTTPS(host string) string {
	if port := r.publicHTTPS(); port != 443 {
		return net.JoinHostPort(host, strconv.Itoa(port))
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// publicHTTPS is the port that clients reach ServeTLS by.
func (r *Router) publicHTTPS() int {
	if r.opt.HTTPSPort != 0 {
		return r.opt.HTTPSPort
	}
	if port := int(r.httpsPort.Load()); port != 0 {
		return port
	}
	return 443
}

// hidesHTTPS reports whether nobody is known to serve HTTPS here: no listener,
// and no proxy in front that might.
func (r *Router) hidesHTTPS() bool {
	return r.httpsPort.Load() == 0 && r.opt.HTTPSPort == 0 && len(r.opt.TrustedProxies) == 0
}

// redirects says once that a redirect leads nowhere.
func (r *Router) redirects(app string) {
	if r.hidesHTTPS() && !r.told.Swap(true) {
		r.log.Warn("app was asked for by HTTP, is for HTTPS only, and nothing listens for HTTPS here", "app", app)
	}
}
