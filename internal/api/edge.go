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
