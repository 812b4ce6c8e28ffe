package platform

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is one immutable version of an app's settings for its processes.
type Config struct {
	UUID, App, Owner string
	Values           map[string]string
	// Groups are the shared values below its own, as they were when this version
	// was made; a later one's count. See Env.
	Groups []GroupValues
	// Memory and CPU map a process type to "limit" or "request/limit" in the
	// forms of ParseMemory and ParseCPU.
	Memory, CPU map[string]string
	// Healthchecks maps a process type, or "web/cmd" for both, to its probes.
	Healthchecks map[string]Healthcheck
	// Tags are labels a node must carry to run the app.
	Tags map[string]string
	// Registry holds username, password and hostname of a private registry.
	Registry map[string]string
	// PostStart and PreStop map a process type to a command line that runs
	// beside an instance: after its start, and before its SIGTERM.
	PostStart, PreStop map[string]string
	// Grace maps a process type to seconds between SIGTERM and SIGKILL.
	Grace map[string]string
	// Volumes are by name.
	Volumes          map[string]Volume
	Created, Updated time.Time
}

// Healthcheck is the pair of probes of one process type.
type Healthcheck struct {
	Liveness  *Probe `json:"livenessProbe,omitempty"`
	Readiness *Probe `json:"readinessProbe,omitempty"`
}

// Probe asks one instance how it is; exactly one of HTTPGet, TCPSocket and
// Exec is set. Numbers are as in Kubernetes; zero means its default.
type Probe struct {
	InitialDelaySeconds int        `json:"initialDelaySeconds,omitempty"`
	TimeoutSeconds      int        `json:"timeoutSeconds,omitempty"`
	PeriodSeconds       int        `json:"periodSeconds,omitempty"`
	SuccessThreshold    int        `json:"successThreshold,omitempty"`
	FailureThreshold    int        `json:"failureThreshold,omitempty"`
	HTTPGet             *HTTPGet   `json:"httpGet,omitempty"`
	TCPSocket           *TCPSocket `json:"tcpSocket,omitempty"`
	Exec                *Exec      `json:"exec,omitempty"`
}

// HTTPGet succeeds on a status from 200 to 399. A Port of 0 is the instance's own.
type HTTPGet struct {
	Path        string       `json:"path,omitempty"`
	Port        int          `json:"port,omitempty"`
	Scheme      string       `json:"scheme,omitempty"`
	Host        string       `json:"host,omitempty"`
	HTTPHeaders []HTTPHeader `json:"httpHeaders,omitempty"`
}

// HTTPHeader is one header of an HTTPGet.
type HTTPHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TCPSocket succeeds when a connection opens. A Port of 0 is the instance's own.
type TCPSocket struct {
	Port int `json:"port,omitempty"`
}

// Exec succeeds when the command, run beside the instance, exits with 0.
type Exec struct {
	Command []string `json:"command"`
}

var configKey = regexp.MustCompile(`(?i)^[a-z_]+[a-z0-9_]*$`)

// MaxConfigValue bounds one config value, in bytes.
const MaxConfigValue = 128 << 10

// ValidConfigVar checks one environment variable of an app.
func ValidConfigVar(key, value string) error {
	switch {
	case !configKey.MatchString(key) || len(key) > 256:
		return Invalid("values", "Config keys must start with a letter or underscore and only contain [A-z0-9_]")
	case strings.ContainsRune(value, 0):
		return Invalid("values", "%s contains a NUL byte, which no environment can carry", key)
	case len(value) > MaxConfigValue:
		return Invalid("values", "%s is longer than %d bytes", key, MaxConfigValue)
	case key == "PORT":
		port, err := strconv.Atoi(value)
		if err != nil {
			return Invalid("values", "PORT can only be a numeric value")
		}
		if port < 1 || port > 65535 {
			return Invalid("values", "PORT needs to be between 1 and 65535")
		}
	}
	return nil
}

// Source is what was pushed: one commit's tree.
type Source struct {
	Commit string // full hash
	Branch string // short name
	// Tree opens the tree as an uncompressed tar; the caller closes it.
	Tree func() (io.ReadCloser, error)
}

// Build is a source, or a named image, turned into an image.
type Build struct {
	UUID, App, Owner string
	// Image is repository@digest in the platform's registry, without its host;
	// what Source says where that could not be had.
	Image string
	// Source is the image as who deployed it named it; empty for a push.
	Source string
	Kind   ImageKind
	// Stack is the image below a slug, repository@digest; empty: none, the
	// machine is its stack.
	Stack string
	// Ports are what the image exposes, ascending; the first is what it listens
	// at unless its app says PORT.
	Ports            []int
	Size             int64  // compressed bytes of the image's layers; 0: not known
	SHA              string // commit, first 8 characters; empty for an image deploy
	Procfile         map[string]string
	Dockerfile       string // "true", or its text, when a Dockerfile was built
	Created, Updated time.Time
}

// Bare reports whether the build is a slug without a stack below it.
func (b Build) Bare() bool { return (b.Kind == ImageSlug || b.Kind == "") && b.Stack == "" }

// ReleaseState is how far a release has come. Only succeeded releases serve.
type ReleaseState string

// A release moves forward only, and ends in succeeded or failed.
const (
	// ReleasePending: the row stands, nothing was started.
	ReleasePending ReleaseState = "pending"
	// ReleaseRunning: its release process was started and has not ended well.
	ReleaseRunning ReleaseState = "running"
	// ReleaseDeploying: instances start beside the old ones, traffic shifts.
	ReleaseDeploying ReleaseState = "deploying"
	// ReleaseSucceeded: it serves, or has served.
	ReleaseSucceeded ReleaseState = "succeeded"
	// ReleaseFailed: it never served for good; Exception says why.
	ReleaseFailed ReleaseState = "failed"
)

// Done reports whether the state is final.
func (s ReleaseState) Done() bool { return s == ReleaseSucceeded || s == ReleaseFailed }

// Release is image digest + config + Procfile under a version that counts up
// from 1 without a gap. All but its state, summary and receipt is immutable.
type Release struct {
	UUID, App, Owner string
	Version          int
	Summary          string
	State            ReleaseState
	Exception        string // why it failed
	Config           string // uuid
	Build            string // uuid; empty before the first deploy
	Receipt          *Receipt
	Created, Updated time.Time
}

// Tag is the release's version as users write it: v3.
func (r Release) Tag() string { return "v" + strconv.Itoa(r.Version) }

// ParseReleaseTag reads "v3" or "3".
func ParseReleaseTag(tag string) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(tag, "v"))
	if err != nil || n < 1 {
		return 0, Invalid("version", "%q is not a release: write v3", tag)
	}
	return n, nil
}

// Receipt states what a cutover cost: every request that began or ended
// between the shift and the end of the drain.
type Receipt struct {
	From, To int // release versions; From is 0 for a first deploy
	Requests int64
	// Failed counts 5xx answers, the router's own and the app's, and answers
	// that broke off because the instance did.
	Failed int64
	// P99Before is of the old release in the minute before the shift, P99After of the new.
	P99Before, P99After time.Duration
	// Held counts requests that waited for the new instance, because it could
	// not begin beside the old one, and HeldLongest is how long one did.
	Held        int64
	HeldLongest time.Duration
	// Led is from the shift's command until every router led by it.
	Led time.Duration `json:",omitempty"`
	// Took is from the shift's command to the last drained connection.
	Took   time.Duration
	Undone bool
	Reason string // why it was undone
	// Unjudged says in words what there were too few requests for to judge it.
	Unjudged string `json:",omitempty"`
	// Strategy is how the requests were led over; empty: at once. Steps are the
	// parts in which two releases served side by side.
	Strategy StrategyKind  `json:",omitempty"`
	Steps    []CutoverStep `json:",omitempty"`
}

func (r Receipt) String() string {
	text := fmt.Sprintf("%d of %d requests failed", r.Failed, r.Requests)
	if r.P99Before > 0 && r.P99After > 0 {
		delta := r.P99After - r.P99Before
		text += fmt.Sprintf(", p99 %+.1f ms", float64(delta)/float64(time.Millisecond))
	}
	if r.Held > 0 {
		text += fmt.Sprintf(", held %d requests for at most %d ms", r.Held, r.HeldLongest.Milliseconds())
	}
	if len(r.Steps) > 0 {
		text += fmt.Sprintf(", %s in %s", r.Strategy, plural(len(r.Steps), "step"))
	}
	if r.Led > 0 {
		text += fmt.Sprintf(", led over in %d ms", max(r.Led.Milliseconds(), 1))
	}
	text += fmt.Sprintf(", took %d ms", r.Took.Milliseconds())
	switch {
	case r.Undone:
		text += ", undone: " + r.Reason
	case r.Unjudged != "":
		text += "; " + r.Unjudged
	}
	return text
}

// ConfigSummary words a change of values for the ledger: "added A, B, changed C, deleted D".
func ConfigSummary(before, after map[string]string) string {
	var added, changed, deleted []string
	for _, key := range slices.Sorted(maps.Keys(after)) {
		old, had := before[key]
		switch {
		case !had:
			added = append(added, key)
		case old != after[key]:
			changed = append(changed, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, has := after[key]; !has {
			deleted = append(deleted, key)
		}
	}
	var parts []string
	for _, group := range []struct {
		verb string
		keys []string
	}{{"added", added}, {"changed", changed}, {"deleted", deleted}} {
		if len(group.keys) > 0 {
			parts = append(parts, group.verb+" "+strings.Join(group.keys, ", "))
		}
	}
	return strings.Join(parts, ", ")
}
