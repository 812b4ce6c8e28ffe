package node

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/slipway-paas/slipway/internal/h3"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// doors are the listeners of the router.
type doors struct{ http, https, metrics net.Listener }

// openDoors takes the listeners handed over for the same addresses and opens
// the others; those that are not wanted any more are closed.
func openDoors(o Options, inherited map[string]net.Listener) (*doors, error) {
	var d doors
	var err error
	if d.http, err = o.openDoor("http", o.HTTP, inherited); err != nil {
		return nil, err
	}
	if d.https, err = o.openDoor("https", o.HTTPS, inherited); err != nil {
		return nil, errors.Join(err, closeDoor(d.http))
	}
	if d.metrics, err = o.openDoor("metrics", o.Metrics, inherited); err != nil {
		return nil, errors.Join(err, closeDoor(d.http), closeDoor(d.https))
	}
	for _, unwanted := range inherited {
		_ = unwanted.Close()
	}
	return &d, nil
}

func (o Options) openDoor(scheme, address string, inherited map[string]net.Listener) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	if ln := inherited[scheme+" "+address]; ln != nil {
		delete(inherited, scheme+" "+address)
		return ln, nil
	}
	return o.Listen("--"+scheme, address)
}

// listen is the Listen of an owner who has no better words.
func listen(option, address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &platform.UserError{
			Kind:    platform.ErrConflict,
			Message: fmt.Sprintf("cannot listen at %s: %v", address, err),
			Cure:    fmt.Sprintf("End the program that holds it, or choose another address with %s.", option),
		}
	}
	return ln, nil
}

func closeDoor(ln net.Listener) error {
	if ln == nil {
		return nil
	}
	return ln.Close()
}

func (d *doors) serve(work *sync.WaitGroup, r *router.Router, failed chan<- error) {
	for ln, serve := range map[net.Listener]func(net.Listener) error{d.http: r.Serve, d.https: r.ServeTLS} {
		if ln == nil {
			continue
		}
		work.Go(func() {
			if err := serve(ln); err != nil {
				failed <- fmt.Errorf("serve at %s: %w", ln.Addr(), err)
			}
		})
	}
}

// serveHTTP3 opens the UDP port of HTTPS. Beside a node that this one succeeds
// the kernel leaves to it what it began: see h3.Socket. Clients have TCP as well,
// so a port that cannot be had keeps nothing from being served.
func (n *node) serveHTTP3(work *sync.WaitGroup) {
	doors := n.doors.Load()
	if !n.opt.HTTP3 || doors.https == nil {
		return
	}
	address := doors.https.Addr().String()
	socket, err := h3.Open(address)
	if err != nil {
		n.log.Error("HTTP/3 is not served", "err", err)
		n.reports.problem("http3", fmt.Sprintf("HTTP/3 is not served, clients come by TCP: %v; end what holds UDP %s and start the node again", err, address))
		return
	}
	port := cmp.Or(n.opt.Router.HTTPSPort, socket.LocalAddr().(*net.UDPAddr).Port)
	work.Go(func() {
		if err := n.router.ServeHTTP3(socket, port); err != nil {
			n.log.Error("HTTP/3 is served no more", "err", err)
		}
	})
}

// address is where the router listens, or empty.
func (d *doors) address(scheme string) string {
	ln := d.http
	if scheme == "https" {
		ln = d.https
	}
	if ln == nil {
		return ""
	}
	return ln.Addr().String()
}
