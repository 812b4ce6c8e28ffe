package platform

import "time"

// Edge is how routers treat the requests of an app: what its team sets about
// them, besides what has a noun of its own (domains, whitelist, maintenance,
// TLS, services, ports). The zero value is what an app has whose team set
// nothing; each zero field stands for the router's own default.
type Edge struct {
	Timeouts EdgeTimeouts `json:"timeouts,omitzero"`
	// MaxBody bounds a request's body in bytes; over it the client gets 413.
	MaxBody int64 `json:"max_body,omitempty"`
	// Compress are the codings that answers may be given, the preferred first:
	// zstd, br, gzip. Empty: answers go as the app wrote them. identity alone
	// says so where the operator's default says otherwise; routers get it empty.
	Compress  []string   `json:"compress,omitempty"`
	HSTS      *HSTS      `json:"hsts,omitempty"`
	Redirects []Redirect `json:"redirects,omitempty"`
	// Matches lead requests to process types by their headers and cookies,
	// before the paths of services are looked at; the first wins.
	Matches []Match `json:"matches,omitempty"`
	// Pages are HTML for what the router answers by itself, by status ("404"),
	// class ("5xx") or "maintenance".
	Pages map[string]string `json:"pages,omitempty"`
	// Deny are networks whose clients get 403, whatever the whitelist says.
	Deny []string `json:"deny,omitempty"`
	// Auth asks everybody for a name and a password (RFC 7617).
	Auth *BasicAuth `json:"auth,omitempty"`
	// Headers are set on answers; an empty value takes the header away.
	Headers map[string]string `json:"headers,omitempty"`
	// RequestStart tells instances in X-Request-Start when a request came:
	// "t=" and milliseconds since 1970.
	RequestStart bool `json:"request_start,omitempty"`
	// Traces begins a trace, sampled, for requests that bring none (W3C Trace
	// Context). One that a request brings goes on whatever this says.
	Traces bool `json:"traces,omitempty"`
	// Protocol that instances speak: empty for HTTP/1.1, h2c for HTTP/2 with
	// prior knowledge (gRPC).
	Protocol string `json:"protocol,omitempty"`
	// Proxy is the version of the PROXY protocol that connections to instances
	// begin with, 1 or 2; 0: none.
	Proxy    int         `json:"proxy,omitempty"`
	Balance  Balance     `json:"balance,omitzero"`
	Rates    []RateLimit `json:"rates,omitempty"`
	Overload Overload    `json:"overload,omitzero"`
	Log      AccessLog   `json:"log,omitzero"`
	// Clients asks for certificates of clients.
	Clients *ClientCerts `json:"clients,omitempty"`
	// TLS is the profile of the app's hosts, TLSModern or TLSIntermediate; empty:
	// the router's own.
	TLS string `json:"tls,omitempty"`
}

// Profiles of TLS, after Mozilla's "Server Side TLS".
const (
	TLSModern       = "modern"       // TLS 1.3
	TLSIntermediate = "intermediate" // TLS 1.2 and 1.3, forward secret and authenticated
)

// EdgeTimeouts bound waits of one app's requests.
type EdgeTimeouts struct {
	// Connect is how long it may take to reach an instance; then another is
	// tried, or the client gets 503.
	Connect time.Duration `json:"connect,omitempty"`
	// Answer is how long instances have to begin their answer; then 504.
	Answer time.Duration `json:"answer,omitempty"`
	// Idle is how long an upgraded connection may carry nothing, and TCP the
	// same for a connection to a port of the edge.
	Idle time.Duration `json:"idle,omitempty"`
	TCP  time.Duration `json:"tcp,omitempty"`
	// Drain is how long requests of a release that was replaced may go on, and
	// Upgraded the same for upgraded connections.
	Drain    time.Duration `json:"drain,omitempty"`
	Upgraded time.Duration `json:"upgraded,omitempty"`
}

// HSTS has clients come by HTTPS alone (RFC 6797).
type HSTS struct {
	MaxAge     time.Duration `json:"max_age"`
	Subdomains bool          `json:"subdomains,omitempty"`
	Preload    bool          `json:"preload,omitempty"`
}

// Redirect answers with another place.
type Redirect struct {
	// Host and Path say what is redirected: the first is a pattern as in
	// Route.Hosts, the second as in Service.Pattern; empty is all.
	Host string `json:"host,omitempty"`
	Path string `json:"path,omitempty"`
	// To is a URL; {host}, {path} and {query} stand for those of the request.
	To string `json:"to"`
	// Status is 301, 302, 307 or 308; 0 is 308.
	Status int `json:"status,omitempty"`
}

// Match leads requests that meet all conditions to a process type.
type Match struct {
	If      []Condition `json:"if"`
	Process string      `json:"process"`
}

// Condition is met by a request whose header or cookie has the value; "*" is
// any. One of Header and Cookie is set.
type Condition struct {
	Header string `json:"header,omitempty"`
	Cookie string `json:"cookie,omitempty"`
	Value  string `json:"value"`
}

// BasicAuth holds whom an app lets in.
type BasicAuth struct {
	Realm string `json:"realm,omitempty"`
	// Users by name; the value is a hash that only platform.HashPassword made,
	// never the password.
	Users map[string]string `json:"users"`
}

// Balance is how instances are chosen.
type Balance struct {
	// Sticky keeps a client with an instance: empty, cookie, or client (by its
	// address). It yields when the instance leaves.
	Sticky string `json:"sticky,omitempty"`
	// SlowStart is how long a new instance takes to get its whole share.
	SlowStart time.Duration `json:"slow_start,omitempty"`
	// Retries bounds how often an idempotent request is sent again; nil: the
	// router's own. RetryBudget is the share of requests, in percent, that may be.
	Retries     *int `json:"retries,omitempty"`
	RetryBudget int  `json:"retry_budget,omitempty"`
	// Hedge sends a GET or HEAD to a second instance when the first has not
	// begun to answer after that long; 0: never.
	Hedge time.Duration `json:"hedge,omitempty"`
	// MaxConcurrent bounds what is open to one instance; 0: no bound.
	MaxConcurrent int `json:"max_concurrent,omitempty"`
}

// RateLimit bounds what one client may ask for.
type RateLimit struct {
	// By is what a client is known by: client (its address), header:NAME or
	// cookie:NAME, or app for all of them together.
	By string `json:"by"`
	// PerSecond and Burst make a token bucket; Concurrent bounds what is open.
	PerSecond  float64 `json:"per_second,omitempty"`
	Burst      int     `json:"burst,omitempty"`
	Concurrent int     `json:"concurrent,omitempty"`
	// Path limits the rule to some paths, as in Service.Pattern; empty: all.
	Path string `json:"path,omitempty"`
}

// OverloadMode says what is done about overload.
type OverloadMode string

// Off is the zero value: see Overload.
const (
	OverloadOff     OverloadMode = "off"
	OverloadObserve OverloadMode = "observe" // count what would be shed
	OverloadOn      OverloadMode = "on"
)

// Overload is an app's admission control (DAGOR, Zhou et al., SoCC 2018).
type Overload struct {
	Mode OverloadMode `json:"mode,omitempty"` // empty: the router's own default
	// Limit is how many requests one instance serves at a time; 0: found out.
	Limit int `json:"limit,omitempty"`
	// Target is the queueing time over which the app is overloaded.
	Target time.Duration `json:"target,omitempty"`
	// User names the cookie or header that tells users apart: cookie:NAME or
	// header:NAME; empty: Authorization, else the client's address.
	User string `json:"user,omitempty"`
	// Classes give requests their business priority; the first that matches wins.
	Classes []OverloadClass `json:"classes,omitempty"`
}

// OverloadClass is critical, normal, bulk or background for what it matches.
type OverloadClass struct {
	Class   string `json:"class"`
	Method  string `json:"method,omitempty"`
	Path    string `json:"path,omitempty"` // as in Service.Pattern
	Header  string `json:"header,omitempty"`
	Value   string `json:"value,omitempty"` // of Header; "*" is any
	Process string `json:"process,omitempty"`
}

// AccessLog is what is written of an app's requests.
type AccessLog struct {
	// Sample is how many of a thousand are written, those that failed always;
	// nil: the router's own.
	Sample *int `json:"sample,omitempty"`
}

// ClientCerts asks those who come by HTTPS for a certificate.
type ClientCerts struct {
	// CA is PEM: whose certificates are taken.
	CA string `json:"ca"`
	// Optional lets those in who have none; X-Client-Cert-* tell which is which.
	Optional bool `json:"optional,omitempty"`
}
