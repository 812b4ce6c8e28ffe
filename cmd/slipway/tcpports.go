package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/controller"
)

// maxTCPPorts bounds --tcp-ports: a node hands its listeners to the next in one
// message, which carries no more.
const maxTCPPorts = 200

// checkPorts reads --tcp-ports.
func (o *options) checkPorts() error {
	o.tcpPorts = controller.PortRange{}
	if o.TCPPorts == "" {
		return nil
	}
	text, until, ok := strings.Cut(o.TCPPorts, "-")
	first, err := strconv.Atoi(strings.TrimSpace(text))
	last := first
	if err == nil && ok {
		last, err = strconv.Atoi(strings.TrimSpace(until))
	}
	if err != nil || first < 1 || last > 65535 || last < first || last-first >= maxTCPPorts {
		return fmt.Errorf("--tcp-ports: %q is no range of ports; write it like 30000-30099, at most %d", o.TCPPorts, maxTCPPorts)
	}
	o.tcpPorts = controller.PortRange{First: first, Last: last}
	return nil
}
