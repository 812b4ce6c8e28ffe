package platform

import "time"

// Port is a port of the edge that leads to a port of a process type of an app.
type Port struct {
	Listen  int // of the edge; one app's alone
	App     string
	Process string
	Port    int // that the app knows: PORT_<Port> tells it where to listen
	Proxy   int // version of the PROXY protocol each connection begins with; 0: none
	Created time.Time
}

// MaxPorts bounds the ports of one app.
const MaxPorts = 20
