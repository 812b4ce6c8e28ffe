package platform

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// App is what a user pushes to: a name, an owner, and a formation. Code,
// config and history hang off it as builds, configs and releases.
type App struct {
	UUID  string
	ID    string // unique, a DNS label: see ValidAppID
	Owner string // username
	// Formation is how many instances of each process type are wanted.
	Formation map[string]int
	// Procfile is the last build's; nil before the first.
	Procfile map[string]string
	// RenamedFrom is the id whose instances and route stand in for the app
	// until its own are up; empty but during a rename.
	RenamedFrom      string
	Created, Updated time.Time
}

var appID = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)

// MaxAppID is the longest app id: one DNS label (RFC 1035).
const MaxAppID = 63

// ValidAppID checks the form of an app's id, not whether it is free.
func ValidAppID(id string) error {
	switch {
	case id == "":
		return Invalid("id", "This field may not be blank.")
	case len(id) > MaxAppID:
		return Invalid("id", "Ensure this field has no more than %d characters.", MaxAppID)
	case !appID.MatchString(id):
		return Invalid("id", "App name must start with an alphabetic character, cannot end with a hyphen and can only contain a-z (lowercase), 0-9 and hyphens.")
	}
	return nil
}

var processType = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// ValidProcessType reports whether name can stand left of the colon in a Procfile.
func ValidProcessType(name string) bool { return len(name) <= 63 && processType.MatchString(name) }

// ProcessRelease is the Procfile entry that runs once before traffic shifts.
const ProcessRelease = "release"

// Routable reports whether the process type receives the app's requests.
func Routable(process string) bool { return process == "web" || process == "cmd" }

// MaxInstances bounds one process type on one app.
const MaxInstances = 1000

// Caller is who asks for a verb, and from where. The zero Caller is nobody.
type Caller struct {
	User  string
	Admin bool
	From  string // remote address, for the audit trail
	Token string // name of the token that was shown; empty: a password or a key
	Scope Scope  // of that token
}

// System is the caller of what Slipway does by itself.
var System = Caller{User: "slipway", Admin: true}

// User is somebody who may log in.
type User struct {
	Username, Email, FirstName, LastName string
	Superuser, Active                    bool
	LastLogin, Joined                    time.Time
	// Directory users sign in at the operator's directory and have no password
	// here; Groups are what it said they are in at the last sign-in.
	Directory bool
	Groups    []string
}

// Key is an SSH public key of a user.
type Key struct {
	UUID, ID, Owner  string
	Public           string // one authorized_keys line
	Fingerprint      string // MD5 of the key blob, lower hex with colons
	Created, Updated time.Time
}

// Token is a credential of a user by name, without its secret.
type Token struct {
	Name, User string
	Scope      Scope
	Created    time.Time
	Expires    time.Time // zero: never
	LastUsed   time.Time // zero: never; may lag by minutes
}

// Domain routes a host name to an app. A name without a dot is a subdomain of
// the platform domain.
type Domain struct {
	Domain, App, Owner string
	Certificate        string // name of the attached one; empty: none
	Created, Updated   time.Time
}

// Settings are the switches of an app that make no release.
type Settings struct {
	UUID, App, Owner string
	Maintenance      bool
	Routable         bool
	// DeployBranch is the branch whose push builds. Empty: main or master.
	DeployBranch string
	// Whitelist are addresses and networks that are served; empty: all are.
	Whitelist []string
	// Labels are any JSON values, kept as they came.
	Labels map[string]json.RawMessage
	// Autoscale bounds process types that scale themselves.
	Autoscale        map[string]Autoscale
	Created, Updated time.Time
}

// Autoscale keeps a process type's instances between Min and Max so that they
// use about CPUPercent of what they requested.
type Autoscale struct {
	Min        int `json:"min"`
	Max        int `json:"max"`
	CPUPercent int `json:"cpu_percent"`
}

// TLS says how an app treats plain HTTP, and whether its domains get
// certificates by themselves. Both are nil until somebody chose.
type TLS struct {
	UUID, App, Owner string
	Enforced         *bool
	Automatic        *bool // nil: as true
	Created, Updated time.Time
}

// Service leads paths of an app to another process type than web.
type Service struct {
	App, Owner, Process string
	// Pattern is a comma list of paths: "/notify" is a prefix, "= /x" exact,
	// "~ ^/users/[0-9]+" and "~* …" regular expressions (RE2).
	Pattern          string
	Created, Updated time.Time
}

// Builds reports whether a push to the ref ("refs/heads/main") deploys.
func (s Settings) Builds(ref string) bool {
	if s.DeployBranch != "" {
		return ref == "refs/heads/"+s.DeployBranch
	}
	return ref == "refs/heads/main" || ref == "refs/heads/master"
}

// Event is something that happened, in the past tense and dotted:
// release.deployed. It is written in the transaction of the change and never
// changes or goes: all events together are the audit trail. It holds names of
// config keys, never their values.
type Event struct {
	ID    int64
	At    time.Time
	Name  string
	App   string
	User  string
	From  string // remote address
	Token string // name of the token that was shown, if any
	Attrs map[string]string
}

// EventQuery chooses events; empty fields choose all.
type EventQuery struct {
	App, User, Name string
	Since, Until    time.Time
	Page            Page
}

// Page is a window on an ordered list. A Limit of 0 means DefaultPage.
type Page struct{ Limit, Offset int }

// DefaultPage is the page size of the REST API.
const DefaultPage = 100

// FormationText renders {"web":2,"worker":1} as "web=2 worker=1".
func FormationText(f map[string]int) string {
	var parts []string
	for _, process := range slices.Sorted(maps.Keys(f)) {
		parts = append(parts, fmt.Sprintf("%s=%d", process, f[process]))
	}
	return strings.Join(parts, " ")
}
