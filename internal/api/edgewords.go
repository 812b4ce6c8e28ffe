package api

// Edge is what a team asks of the routers: the answer of /v2/apps/<id>/edge/,
// and the body of its POST, which is merged into it (RFC 7396): null takes a
// word away, a list is replaced. A word that is absent is the router's own
// default. Spans are "250ms", "30s", "12h", "30d" or "1y"; sizes "512K", "10M"
// or "2G"; either may be given as a number of seconds or bytes.
type Edge struct {
	Timeouts     *EdgeTimeouts     `json:"timeouts,omitempty"`
	MaxBody      string            `json:"max_body,omitempty" doc:"The largest body of a request; over it 413."`
	Compress     []string          `json:"compress,omitempty" doc:"Codings that answers may be given, the preferred first: zstd, br, gzip; identity alone: none."`
	HSTS         *EdgeHSTS         `json:"hsts,omitempty"`
	Redirects    []EdgeRedirect    `json:"redirects,omitempty"`
	Matches      []EdgeMatch       `json:"matches,omitempty" doc:"Lead requests to process types by headers and cookies; the first wins."`
	Pages        map[string]string `json:"pages,omitempty" doc:"HTML for what the router answers by itself, by 404, 5xx or maintenance."`
	Deny         []string          `json:"deny,omitempty" doc:"Networks whose clients get 403."`
	Auth         *EdgeAuth         `json:"auth,omitempty"`
	Headers      map[string]string `json:"headers,omitempty" doc:"Set on answers; an empty value takes the header away."`
	RequestStart bool              `json:"request_start,omitempty" doc:"X-Request-Start tells instances when a request came."`
	Traces       bool              `json:"traces,omitempty" doc:"A trace is begun for requests that bring none (W3C Trace Context)."`
	Protocol     string            `json:"protocol,omitempty" doc:"What instances speak: h2c; absent: HTTP/1.1."`
	Proxy        int               `json:"proxy,omitempty" doc:"The version of the PROXY protocol that connections to instances begin with; 0: none."`
	Balance      *EdgeBalance      `json:"balance,omitempty"`
	Rates        []EdgeRate        `json:"rates,omitempty"`
	Overload     *EdgeOverload     `json:"overload,omitempty"`
	Log          *EdgeLog          `json:"log,omitempty"`
	Clients      *EdgeClients      `json:"clients,omitempty"`
	TLS          string            `json:"tls,omitempty" enum:"modern,intermediate" doc:"TLS 1.3 alone, or 1.2 as well."`
}

// EdgeTimeouts bound waits of an app's requests.
type EdgeTimeouts struct {
	Connect  string `json:"connect,omitempty" doc:"To reach an instance."`
	Answer   string `json:"answer,omitempty" doc:"For an instance to begin its answer; then 504."`
	Idle     string `json:"idle,omitempty" doc:"An upgraded connection may carry nothing."`
	TCP      string `json:"tcp,omitempty" doc:"A connection to a port of the edge may carry nothing."`
	Drain    string `json:"drain,omitempty" doc:"Requests of a release that was replaced may go on."`
	Upgraded string `json:"upgraded,omitempty" doc:"Its upgraded connections may."`
}

// EdgeHSTS has browsers come by HTTPS alone.
type EdgeHSTS struct {
	MaxAge     string `json:"max_age"`
	Subdomains bool   `json:"subdomains,omitempty"`
	Preload    bool   `json:"preload,omitempty"`
}

// EdgeRedirect answers with another place.
type EdgeRedirect struct {
	Host   string `json:"host,omitempty" doc:"A host name, or *.example.com; absent: all."`
	Path   string `json:"path,omitempty" doc:"/prefix, \"= /exact\", \"~ regular expression\"; absent: all."`
	To     string `json:"to" doc:"A URL; {host}, {path} and {query} stand for those of the request."`
	Status int    `json:"status,omitempty" doc:"301, 302, 307 or 308, which it is unless told."`
}

// EdgeMatch leads requests that meet all conditions to a process type.
type EdgeMatch struct {
	If      []EdgeCondition `json:"if"`
	Process string          `json:"process"`
}

// EdgeCondition is about a header or a cookie.
type EdgeCondition struct {
	Header string `json:"header,omitempty"`
	Cookie string `json:"cookie,omitempty"`
	Value  string `json:"value" doc:"* is any."`
}

// EdgeAuth asks everybody for a name and a password.
type EdgeAuth struct {
	Realm string            `json:"realm,omitempty"`
	Users map[string]string `json:"users,omitempty" doc:"Passwords by name, or hashes of them; asterisks stand for those that are set, and leave them."`
}

// EdgeBalance is how instances are chosen.
type EdgeBalance struct {
	Sticky        string `json:"sticky,omitempty" doc:"cookie or client: a client stays with an instance."`
	SlowStart     string `json:"slow_start,omitempty" doc:"How long a new instance takes to get its whole share."`
	Retries       *int   `json:"retries,omitempty" doc:"How often an idempotent request is sent again."`
	RetryBudget   int    `json:"retry_budget,omitempty" doc:"Percent of requests that may be."`
	Hedge         string `json:"hedge,omitempty" doc:"A GET goes to a second instance after so long."`
	MaxConcurrent int    `json:"max_concurrent,omitempty" doc:"Requests open to one instance."`
}

// EdgeRate bounds what one client may ask for.
type EdgeRate struct {
	By         string  `json:"by" doc:"client (its address), header:NAME, cookie:NAME, or app for all together."`
	PerSecond  float64 `json:"per_second,omitempty"`
	Burst      int     `json:"burst,omitempty"`
	Concurrent int     `json:"concurrent,omitempty"`
	Path       string  `json:"path,omitempty" doc:"As in redirects; absent: all."`
}

// EdgeOverload is what is done when instances cannot keep up.
type EdgeOverload struct {
	Mode    string      `json:"mode,omitempty" enum:"off,observe,on"`
	Limit   int         `json:"limit,omitempty" doc:"Requests one instance serves at a time; absent: found out."`
	Target  string      `json:"target,omitempty" doc:"Queueing over which the app is overloaded."`
	User    string      `json:"user,omitempty" doc:"cookie:NAME or header:NAME that tells users apart."`
	Classes []EdgeClass `json:"classes,omitempty" doc:"The first that matches wins."`
}

// EdgeClass is the priority of what it matches.
type EdgeClass struct {
	Class   string `json:"class" enum:"critical,normal,bulk,background"`
	Method  string `json:"method,omitempty"`
	Path    string `json:"path,omitempty"`
	Header  string `json:"header,omitempty"`
	Value   string `json:"value,omitempty" doc:"Of the header; * is any."`
	Process string `json:"process,omitempty"`
}

// EdgeLog is what is written of an app's requests.
type EdgeLog struct {
	Sample *int `json:"sample,omitempty" doc:"How many of a thousand; those that failed always are."`
}

// EdgeClients asks those who come by HTTPS for a certificate.
type EdgeClients struct {
	CA       string `json:"ca,omitempty" doc:"Whose certificates are taken, in PEM."`
	Optional bool   `json:"optional,omitempty"`
}
