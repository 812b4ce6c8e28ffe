package platform

import "time"

// NodeState is what a node is told: everything when Full, else only the apps
// that changed after the version it named. A node acknowledges Version once
// all of it is applied: routes shifted, instances asked for.
type NodeState struct {
	// Format is raised when a node of before would serve something else than is
	// meant: one that does not know it refuses the state. See StateFormat.
	Format  int        `json:"format,omitempty"`
	Version int64      `json:"version"`
	Full    bool       `json:"full"`
	Apps    []AppState `json:"apps,omitempty"`
	// Removed apps have nothing to run and no route. Empty when Full.
	Removed []string `json:"removed,omitempty"`
	// Kept are apps that the control plane lost its word on, when Full: a node
	// goes on with what it has of them.
	Kept []string `json:"kept,omitempty"`
	// Edge is set when Full or changed.
	Edge *EdgeState `json:"edge,omitempty"`
	// Certificates are all when Full, else those that changed, by name;
	// CertificatesGone are shown to nobody any more.
	Certificates     []EdgeCertificate `json:"certificates,omitempty"`
	CertificatesGone []string          `json:"certificates_gone,omitempty"`
	// Runs are one-off commands to be started now; a node dials back for each once.
	Runs []RunOrder `json:"runs,omitempty"`
	// News are what the other routers said last, by node, when one of them said
	// something new: then NewsAt is what the node asks with next.
	News   map[string]RouterNews `json:"news,omitempty"`
	NewsAt int64                 `json:"news_at,omitempty"`
}

// StateFormat is the newest format of a NodeState that this version knows.
const StateFormat = 1

// EdgeState is what the router needs besides the apps.
type EdgeState struct {
	Domain string `json:"domain"` // platform domain
	// ControlHosts are full host names that lead to the control plane.
	ControlHosts []string `json:"control_hosts"`
	// Control is host:port of the control plane's API, or unix: and the path
	// of its socket, which nobody else can listen on while it restarts.
	Control string `json:"control"`
	// Registry is host:port, or unix: and a path for the same reason; the
	// credentials are for pulling any image.
	Registry         string `json:"registry"`
	RegistryUser     string `json:"registry_user"`
	RegistryPassword string `json:"registry_password"`
	// Tickets are the keys of TLS session tickets (RFC 5077, 4): 32 random bytes
	// each, the newest first. What one router gave, every other opens. A router
	// whose newest key is old makes keys of its own.
	Tickets []TicketKey `json:"tickets,omitempty"`
	// OnDemand has routers ask for a certificate when a client first comes for
	// a host of an app that has none: see NodeReport.Asked.
	OnDemand bool `json:"on_demand,omitempty"`
	// Certificates are the whole list, of the last those that count: so said
	// before NodeState had its own, and to nodes that know of nothing else.
	Certificates []EdgeCertificate `json:"certificates,omitempty"`
}

// TicketKey is a key of TLS session tickets.
type TicketKey struct {
	Key  string    `json:"key"` // base64
	Made time.Time `json:"made"`
}

// EdgeCertificate is a chain and its key, for the hosts it is served to.
type EdgeCertificate struct {
	// Name is what it is known by, and what a router calls it when it cannot be
	// used.
	Name        string   `json:"name,omitempty"`
	Hosts       []string `json:"hosts"` // "*.example.com" is a wildcard
	Certificate string   `json:"certificate,omitempty"`
	Key         string   `json:"key,omitempty"`
	// Rank decides between several for one host: the highest is served.
	Rank int `json:"rank,omitempty"`
	// OCSP is a responder's word on it, DER, stapled until its time is over.
	OCSP []byte `json:"ocsp,omitempty"`
	// Challenge is set on what is shown to a certificate authority alone.
	Challenge *EdgeChallenge `json:"challenge,omitempty"`
}

// The ranks of certificates.
const (
	RankPlatform  = 0 // the platform's own
	RankAutomatic = 1 // an authority's, for a name of an app
	RankUploaded  = 2
)

// EdgeChallenge proves to an ACME authority that hosts are ours. With a token
// it is http-01 (RFC 8555, 8.3), on plain HTTP, whatever an app's team set;
// without, the certificate is for tls-alpn-01 (RFC 8737).
type EdgeChallenge struct {
	Token  string `json:"token,omitempty"`
	Answer string `json:"answer,omitempty"`
}

// AppState is one app's share of a node.
type AppState struct {
	App string `json:"app"`
	// Format is as in NodeState, of this app alone: a node that does not know it
	// refuses the app and has the rest.
	Format    int            `json:"format,omitempty"`
	Instances []InstanceSpec `json:"instances,omitempty"`
	Route     *Route         `json:"route,omitempty"`
}

// InstanceSpec asks a node to keep one instance running.
type InstanceSpec struct {
	ID       string `json:"id"`
	App      string `json:"app"`
	Process  string `json:"process"`
	Release  int    `json:"release"`
	Revision int    `json:"revision,omitempty"`
	Spec     Spec   `json:"spec"`
}

// Route leads the requests of some hosts to instances of one release.
type Route struct {
	App string `json:"app"`
	// Hosts are full names, lower case; "*.example.com" matches one label or
	// more, "*" every name that is nobody else's.
	Hosts       []string `json:"hosts"`
	Release     int      `json:"release"`
	Maintenance bool     `json:"maintenance,omitempty"`
	// Allow are the networks in CIDR form whose clients are served; others get
	// 403. Empty: everybody.
	Allow []string `json:"allow,omitempty"`
	// HTTPSOnly answers plain HTTP with 301 to https.
	HTTPSOnly bool `json:"https_only,omitempty"`
	// Uncertified hosts ask for no certificate: see EdgeState.OnDemand.
	Uncertified bool `json:"uncertified,omitempty"`
	// Paths lead some paths to other process types; the first match wins. What
	// matches none goes to web, or to cmd where there is no web.
	Paths []PathRoute `json:"paths,omitempty"`
	// TCP lead connections to ports of the edge to ports of process types.
	TCP []TCPRoute `json:"tcp,omitempty"`
	// Backends may be empty: 503.
	Backends []Backend `json:"backends,omitempty"`
	// Hold keeps requests waiting, within the router's bounds, while no backend
	// is up: another instance takes over from one that had to go first.
	Hold bool `json:"hold,omitempty"`
	// Cutover numbers the shift that made Release current. While it differs
	// from the last one a router saw, the router counts a receipt for it.
	Cutover int64 `json:"cutover,omitempty"`
	// Shift is set while two releases serve: Release is the new one, and the
	// backends of the other say theirs.
	Shift *Shift `json:"shift,omitempty"`
	// Edge is what the app's team set.
	Edge Edge `json:"edge,omitzero"`
}

// PathRoute leads the paths that match any pattern to a process type. The
// patterns are as in Service.Pattern, one an element.
type PathRoute struct {
	Process  string   `json:"process"`
	Patterns []string `json:"patterns"`
}

// TCPRoute leads the connections that a port of the edge takes to a port of
// the app's instances of a process type.
type TCPRoute struct {
	Listen  int    `json:"listen"` // the edge's port, which is this app's alone
	Process string `json:"process"`
	Port    int    `json:"port"` // one of Spec.Ports
	// Proxy is the version of the PROXY protocol that each connection begins
	// with, 1 or 2; 0: none.
	Proxy int `json:"proxy,omitempty"`
}

// Backend is one instance that may serve. A node that runs the instance
// itself uses its own knowledge of the address and the health; Address is for
// instances that no node of ours runs.
type Backend struct {
	Instance string `json:"instance"`
	// Process is set on those that serve paths alone: see Route.Paths.
	Process string `json:"process,omitempty"`
	Address string `json:"address,omitempty"`
	// Release is set on those of another release than the route's: see Route.Shift.
	Release int `json:"release,omitempty"`
}

// RunOrder asks a node for a one-off command; the node dials back and joins
// the two ends.
type RunOrder struct {
	ID string `json:"id"`
	// Instance and Argv ask for a command inside a running instance; Spec is
	// then empty.
	Instance string       `json:"instance,omitempty"`
	Argv     []string     `json:"argv,omitempty"`
	Spec     InstanceSpec `json:"spec"`
	Merged   bool         `json:"merged,omitempty"` // see IO
	Terminal bool         `json:"terminal,omitempty"`
	Term     string       `json:"term,omitempty"`
	Size     WindowSize   `json:"size"`
}

// NodeReport is what a node says at the edge, when something changed.
type NodeReport struct {
	Node string `json:"node"`
	// Acked is the last version wholly applied.
	Acked int64 `json:"acked"`
	// Full: Instances are all; else the changed ones, and Gone those that left.
	Full      bool            `json:"full"`
	Instances []Instance      `json:"instances,omitempty"`
	Gone      []string        `json:"gone,omitempty"`
	Cutovers  []CutoverReport `json:"cutovers,omitempty"`
	Runtime   RuntimeInfo     `json:"runtime"`
	Problems  []string        `json:"problems,omitempty"`
	// Refused are the apps of which the node could not have what it was told.
	Refused []Refusal `json:"refused,omitempty"`
	// Asked are hosts, or wildcards, of apps that clients came for and that have no
	// certificate:
	// see EdgeState.OnDemand.
	Asked []string `json:"asked,omitempty"`
	// News are for the other routers, who hear of them with their next NodeState;
	// empty ones end those of before, which none leaves as they are.
	News *RouterNews `json:"news,omitempty"`
}

// Refusal says of one app that a node could not have what it was told in a state
// of this version, and serves its last good routes instead.
type Refusal struct {
	App     string `json:"app"`
	Version int64  `json:"version"`
	Why     string `json:"why"`
}

// CutoverReport is one router's running count of one cutover.
type CutoverReport struct {
	App     string    `json:"app"`
	Cutover int64     `json:"cutover"`
	From    int       `json:"from"`
	To      int       `json:"to"`
	Started time.Time `json:"started"`
	// Requests and Failed are of both releases since the shift; the To pair
	// is of the new release alone, and decides whether the cutover holds.
	Requests   int64 `json:"requests"`
	Failed     int64 `json:"failed"`
	ToRequests int64 `json:"to_requests"`
	ToFailed   int64 `json:"to_failed"`
	// BeforeRequests and BeforeFailed are of the old release in the minute before.
	BeforeRequests int64         `json:"before_requests"`
	BeforeFailed   int64         `json:"before_failed"`
	P99Before      time.Duration `json:"p99_before"`
	P99After       time.Duration `json:"p99_after"`
	// Draining counts requests still open to the old release.
	Draining int `json:"draining"`
	// Shifting is set while two releases serve: see Route.Shift.
	Shifting bool `json:"shifting,omitempty"`
	// Step is Shift.Step of what follows, 0 once the new release serves alone:
	// what each release had since the step began, and about the last two seconds.
	Step      int         `json:"step,omitempty"`
	Old       SideCount   `json:"old,omitzero"`
	New       SideCount   `json:"new,omitzero"`
	OldLately SideCount   `json:"old_lately,omitzero"`
	NewLately SideCount   `json:"new_lately,omitzero"`
	Mirror    MirrorCount `json:"mirror,omitzero"`
	// Held counts requests that waited while no instance was up, and HeldLongest
	// is how long one did: see Route.Hold. The times above are without it.
	Held        int64         `json:"held,omitempty"`
	HeldLongest time.Duration `json:"held_longest,omitempty"`
	// Undone is set when the router leads its requests back: see Shift.Budget.
	Undone LedBack `json:"undone,omitzero"`
}

// RuntimeInfo says how a node runs instances.
type RuntimeInfo struct {
	Name      string    `json:"name"` // process, containerd
	Isolation Isolation `json:"isolation"`
	// Why says in words how it came to be this one; empty: there is no other.
	Why string `json:"why,omitempty"`
	// Missing says in words what the machine lacks, one cure a line.
	Missing []string `json:"missing,omitempty"`
	Pid     int      `json:"pid"`
	Version string   `json:"version"`
}

// NodeLogs is a batch of lines from a node. Cursor is opaque to the control
// plane: it is handed back when the node asks where to go on.
type NodeLogs struct {
	Node  string        `json:"node"`
	Lines []NodeLogLine `json:"lines"`
}

// NodeLogLine is a line and where it ended in its instance's output.
type NodeLogLine struct {
	LogLine
	// Offset of the byte after the line in the instance's output. Lines of an
	// instance at or before the highest offset stored are duplicates.
	Offset int64 `json:"offset"`
}
