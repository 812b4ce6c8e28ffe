package api

// Whitelist is the body and the answer of /v2/apps/<id>/whitelist/.
type Whitelist struct {
	Addresses []string `json:"addresses" doc:"Addresses and networks that are served; empty: all are."`
}

// TLS says how an app treats plain HTTP.
type TLS struct {
	UUID          string `json:"uuid"`
	App           string `json:"app"`
	Owner         string `json:"owner"`
	Created       Time   `json:"created" format:"date-time"`
	Updated       Time   `json:"updated" format:"date-time"`
	HTTPSEnforced *bool  `json:"https_enforced" doc:"null until somebody chose."`
}

// TLSPatch is the body of POST /v2/apps/<id>/tls/.
type TLSPatch struct {
	HTTPSEnforced bool `json:"https_enforced"`
}

// HostCertificates say what the hosts of an app are served with.
type HostCertificates struct {
	Automatic bool              `json:"automatic" doc:"Whether the app's domains get certificates by themselves, where the platform can get any."`
	Hosts     []HostCertificate `json:"hosts"`
}

// HostCertificate is one of them.
type HostCertificate struct {
	Host     string `json:"host"`
	Source   string `json:"source" enum:"uploaded,automatic,platform" doc:"uploaded, automatic (from an authority), or the platform's own."`
	Name     string `json:"name,omitempty" doc:"Of the upload, or what the automatic certificate is for."`
	Issuer   string `json:"issuer,omitempty"`
	Expires  *Time  `json:"expires,omitempty" format:"date-time"`
	Problem  string `json:"problem,omitempty" doc:"Why there is none, or no newer one."`
	Attempts int    `json:"attempts,omitempty"`
	NextTry  *Time  `json:"next_try,omitempty" format:"date-time"`
	Waiting  string `json:"waiting,omitempty"`
}

// Automatic is the body of POST /v2/apps/<id>/tls/certificates/.
type Automatic struct {
	Automatic bool `json:"automatic"`
}

// Services lead paths of an app to other process types than web.
type Services struct {
	Services []Service `json:"services"`
}

// Service is one of them. PathPattern is a comma list of "/prefix",
// "= /exact", "~ regular expression" and "~* one that ignores case".
type Service struct {
	ProcfileType string `json:"procfile_type"`
	PathPattern  string `json:"path_pattern"`
}

// RemoveService is the body of DELETE /v2/apps/<id>/services/.
type RemoveService struct {
	ProcfileType string `json:"procfile_type"`
}

// Autoscale bounds a process type that scales itself.
type Autoscale struct {
	Min        int `json:"min"`
	Max        int `json:"max"`
	CPUPercent int `json:"cpu_percent"`
}
