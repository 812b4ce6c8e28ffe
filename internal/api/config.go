package api

// Config is one immutable version of an app's settings for its processes.
// Every value is a string; healthchecks keep the form they were given.
type Config struct {
	UUID        string                 `json:"uuid"`
	App         string                 `json:"app"`
	Owner       string                 `json:"owner"`
	Values      map[string]string      `json:"values"`
	Memory      map[string]string      `json:"memory"`
	CPU         map[string]string      `json:"cpu"`
	Tags        map[string]string      `json:"tags"`
	Registry    map[string]string      `json:"registry"`
	Healthcheck map[string]Healthcheck `json:"healthcheck"`
	Grace       map[string]string      `json:"termination_grace_period"`
	PostStart   map[string]string      `json:"lifecycle_post_start"`
	PreStop     map[string]string      `json:"lifecycle_pre_stop"`
	Created     Time                   `json:"created" format:"date-time"`
	Updated     Time                   `json:"updated" format:"date-time"`

	// Slipway's own.
	Groups []ConfigGroup `json:"groups,omitempty" doc:"Shared values below the app's own, a later one's count; absent without any."`
}

// ConfigPatch is the body of POST /v2/apps/<id>/config/: given keys are set,
// null removes, absent maps and keys stay.
type ConfigPatch struct {
	Values      map[string]*string      `json:"values,omitempty"`
	Memory      map[string]*string      `json:"memory,omitempty"`
	CPU         map[string]*string      `json:"cpu,omitempty"`
	Healthcheck map[string]*Healthcheck `json:"healthcheck,omitempty"`
	Grace       map[string]*string      `json:"termination_grace_period,omitempty"`
	Tags        map[string]*string      `json:"tags,omitempty"`
	Registry    map[string]*string      `json:"registry,omitempty"`
	PostStart   map[string]*string      `json:"lifecycle_post_start,omitempty"`
	PreStop     map[string]*string      `json:"lifecycle_pre_stop,omitempty"`
}

// DefaultBucket is the healthcheck key that stands for both web and cmd.
const DefaultBucket = "web/cmd"

// Healthcheck is the pair of probes of one process type; an absent probe is
// left out, never null.
type Healthcheck struct {
	Liveness  *Probe `json:"livenessProbe,omitempty"`
	Readiness *Probe `json:"readinessProbe,omitempty"`
}

// Probe is as in Kubernetes; exactly one of HTTPGet, TCPSocket and Exec is set.
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

// HTTPGet succeeds on a status from 200 to 399.
type HTTPGet struct {
	Path        string       `json:"path,omitempty"`
	Port        int          `json:"port"`
	Scheme      string       `json:"scheme,omitempty"`
	Host        string       `json:"host,omitempty"`
	HTTPHeaders []HTTPHeader `json:"httpHeaders,omitempty"`
}

// HTTPHeader is one header of an HTTPGet.
type HTTPHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TCPSocket succeeds when a connection opens.
type TCPSocket struct {
	Port int `json:"port"`
}

// Exec succeeds when the command exits with 0.
type Exec struct {
	Command []string `json:"command"`
}
