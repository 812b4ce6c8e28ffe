package api

// Ports are the ports of the edge that lead to an app, in order.
type Ports struct {
	Ports []Port `json:"ports"`
}

// Port leads TCP connections to a port of a process type.
type Port struct {
	Listen       int    `json:"listen" doc:"The port of the edge, which is this app's alone."`
	ProcfileType string `json:"procfile_type"`
	Port         int    `json:"port" doc:"PORT_<port> tells the process where to listen."`
	Proxy        int    `json:"proxy" doc:"The version of the PROXY protocol each connection begins with; 0: none."`
}

// AddPort is the body of POST /v2/apps/<id>/ports/.
type AddPort struct {
	ProcfileType string `json:"procfile_type"`
	Port         int    `json:"port"`
	Listen       int    `json:"listen,omitempty" doc:"0: the lowest that is free."`
	Proxy        int    `json:"proxy,omitempty" doc:"1 or 2; 0: none."`
}
