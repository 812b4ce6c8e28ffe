package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// A port of the edge leads to a port of a process type. As with a service, the
// instances have to know of it, which makes others of them and no release.

// PortRange is the ports of the edge that apps may be given. The zero one has
// none.
type PortRange struct{ First, Last int }

func (r PortRange) has(port int) bool { return port > 0 && port >= r.First && port <= r.Last }

// share is how many of them the apps of one user may have: a quarter, so that no
// one takes the ports that others need.
func (r PortRange) share() int { return (r.Last - r.First + 4) / 4 }

// shared refuses more ports than its share to a user. Administrators have as
// many as there are, and give others what they like.
func (r PortRange) shared(tx *store.Tx, caller platform.Caller, owner string, more int) error {
	user, err := tx.User(owner)
	if err != nil || user.Superuser || caller.Admin {
		return err
	}
	has, err := tx.PortsOfOwner(owner)
	if err != nil || has+more <= r.share() {
		return err
	}
	return &platform.UserError{
		Kind: platform.ErrConflict, Message: fmt.Sprintf("The apps of %s have %d ports of the edge; those of one user may have %d of the %d.", owner, has, r.share(), r.Last-r.First+1),
		Cure: "Remove some with `slipway ports remove`, or ask an administrator to do it.",
	}
}

// NewPort is what AddPort is asked for.
type NewPort struct {
	Process string
	Port    int
	Listen  int // 0: the lowest that is free
	Proxy   int
}

// Ports lists the ports of the edge that lead to the app, in order.
func (c *Controller) Ports(ctx context.Context, caller platform.Caller, app string) ([]platform.Port, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) ([]platform.Port, error) { return tx.Ports(app) })
}

// AddPort leads a port of the edge to a port of a process type, and returns
// when its instances are up with it. They are started anew beside the old ones;
// when they do not come up all is as before, and the error says why.
func (c *Controller) AddPort(ctx context.Context, caller platform.Caller, app string, wish NewPort) (platform.Port, error) {
	if err := validPort(wish); err != nil {
		return platform.Port{}, err
	}
	_, err := read(ctx, c, caller, app, platform.RoleOperator, func(*store.Tx, platform.App) (struct{}, error) {
		return struct{}{}, c.options.TCPPorts.offered(wish)
	})
	if err != nil {
		return platform.Port{}, err
	}
	done, err := c.holdForPorts(ctx, caller, app, wish.Process)
	if err != nil {
		return platform.Port{}, err
	}
	defer done()
	var port platform.Port
	err = c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		a, err := may(tx, caller, app, platform.RoleOperator)
		if err != nil {
			return err
		}
		if err := hasProcess(tx, app, wish.Process); err != nil {
			return err
		}
		if port, err = c.allocate(tx, app, wish); err != nil {
			return err
		}
		if err := c.options.TCPPorts.shared(tx, caller, a.Owner, 1); err != nil {
			return err
		}
		if err := tx.InsertPort(port); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "port.added", app, portAttrs(port)))
	})
	if err != nil {
		return platform.Port{}, err
	}
	c.note(app, "INFO port %d leads to port %d of %s", port.Listen, port.Port, port.Process)
	c.wake(app)
	return port, c.reached(ctx, port)
}

func portAttrs(p platform.Port) map[string]string {
	return map[string]string{"listen": fmt.Sprint(p.Listen), "process": p.Process, "port": fmt.Sprint(p.Port)}
}

func validPort(wish NewPort) error {
	switch {
	case !platform.ValidProcessType(wish.Process) || wish.Process == "run" || wish.Process == platform.ProcessRelease:
		return platform.Invalid("procfile_type", "Process types can only contain lowercase alphanumeric characters")
	case wish.Port < 1 || wish.Port > 65535:
		return platform.Invalid("port", "A port is a number from 1 to 65535.")
	case wish.Proxy < 0 || wish.Proxy > 2:
		return platform.Invalid("proxy", "The PROXY protocol has versions 1 and 2; 0 is none.")
	}
	return nil
}

// offered refuses what this platform gives to nobody.
func (r PortRange) offered(wish NewPort) error {
	switch {
	case r == PortRange{}:
		return &platform.UserError{
			Kind: platform.ErrInvalid, Message: "This platform gives apps no ports of the edge.",
			Cure: "Whoever runs it can: slipway serve --tcp-ports 30000-30099.",
		}
	case wish.Listen != 0 && !r.has(wish.Listen):
		return platform.Invalid("listen", "Apps are given ports from %d to %d here.", r.First, r.Last)
	}
	return nil
}

// hasProcess refuses a process type that the app's build does not have.
func hasProcess(tx *store.Tx, app, process string) error {
	current, err := currentDeployable(tx, app)
	if err != nil || !current.hasBuild() || slices.Contains(processesOf(current.build), process) {
		return err
	}
	return &platform.UserError{Kind: platform.ErrNotFound, Message: fmt.Sprintf("Container type %s does not exist in application", process)}
}

// allocate chooses a port of the edge that no app has.
func (c *Controller) allocate(tx *store.Tx, app string, wish NewPort) (platform.Port, error) {
	given, err := tx.Ports("")
	if err != nil {
		return platform.Port{}, err
	}
	taken, own := make(map[int]bool, len(given)), 0
	for _, port := range given {
		taken[port.Listen] = true
		if port.App == app {
			own++
		}
		if port.App == app && port.Process == wish.Process && port.Port == wish.Port {
			return platform.Port{}, platform.Invalid("port", "Port %d of the edge leads to port %d of %s already.", port.Listen, wish.Port, wish.Process)
		}
	}
	port := platform.Port{
		Listen: wish.Listen, App: app, Process: wish.Process, Port: wish.Port, Proxy: wish.Proxy, Created: time.Now().Truncate(time.Second).UTC(),
	}
	if own >= platform.MaxPorts {
		return port, platform.Invalid("port", "An app has at most %d ports of the edge.", platform.MaxPorts)
	}
	if port.Listen != 0 && taken[port.Listen] {
		return port, platform.Invalid("listen", "Port %d is given to an app already.", port.Listen)
	}
	for free := c.options.TCPPorts.First; port.Listen == 0; free++ {
		if !c.options.TCPPorts.has(free) {
			return port, &platform.UserError{
				Kind: platform.ErrConflict, Message: fmt.Sprintf("All ports from %d to %d are given to apps.", c.options.TCPPorts.First, c.options.TCPPorts.Last),
				Cure: "Remove one with `slipway ports remove`, or have a wider range: slipway serve --tcp-ports.",
			}
		}
		if !taken[free] {
			port.Listen = free
		}
	}
	return port, nil
}

// holdForPorts has requests wait where the instances of a process type have a
// volume and so cannot be started anew beside themselves; done ends that.
func (c *Controller) holdForPorts(ctx context.Context, caller platform.Caller, app, process string) (done func(), err error) {
	volume, err := read(ctx, c, caller, app, platform.RoleOperator, func(tx *store.Tx, _ platform.App) (string, error) {
		current, err := currentDeployable(tx, app)
		if err != nil || current == nil {
			return "", err
		}
		return volumeOf(current.config, process), nil
	})
	if err != nil || volume == "" {
		return func() {}, err
	}
	over := c.replacing(app)
	return func() { over(); c.wake(app) }, c.holdRoute(ctx, app)
}

// reached waits until the running instances of a process type have a port, and
// takes it back when they do not come up with it.
func (c *Controller) reached(ctx context.Context, port platform.Port) error {
	cause := c.turnedOver(ctx, port.App, port.Process)
	if cause == nil {
		return c.reroute(ctx, port.App)
	}
	if ctx.Err() != nil || errors.Is(cause, platform.ErrUnavailable) || errors.Is(cause, platform.ErrNotFound) {
		return cause
	}
	err := c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if err := tx.DeletePort(port.App, port.Listen); err != nil {
			return unless(err, platform.ErrNotFound)
		}
		attrs := portAttrs(port)
		attrs["cause"] = cause.Error()
		return tx.InsertEvent(event(platform.System, "port.removed", port.App, attrs))
	})
	if err != nil {
		return err
	}
	c.wake(port.App)
	c.note(port.App, "ERROR (ports): %s", cause)
	return &platform.UserError{
		Kind: platform.ErrUnavailable, Message: "(ports): " + cause.Error(),
		Cure: fmt.Sprintf("%s must listen on the port in PORT_%d; it runs on as before.", port.Process, port.Port),
	}
}

// RemovePort takes a port of the edge from the app. Connections that are open
// end with their instances, which are started anew without it.
func (c *Controller) RemovePort(ctx context.Context, caller platform.Caller, app string, listen int) error {
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleAdmin); err != nil {
			return err
		}
		if err := tx.DeletePort(app, listen); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "port.removed", app, map[string]string{"listen": fmt.Sprint(listen)}))
	})
	if err != nil {
		return err
	}
	c.note(app, "INFO port %d removed", listen)
	err = c.reroute(ctx, app)
	c.wake(app)
	return err
}

// tcpRoutes are the ports of an app as routers read them.
func tcpRoutes(ports []platform.Port) []platform.TCPRoute {
	var routes []platform.TCPRoute
	for _, p := range ports {
		routes = append(routes, platform.TCPRoute{Listen: p.Listen, Process: p.Process, Port: p.Port, Proxy: p.Proxy})
	}
	return routes
}

// portsBy are the ports of each process type, ascending.
func portsBy(ports []platform.Port) map[string][]int {
	by := make(map[string][]int)
	for _, p := range ports {
		by[p.Process] = append(by[p.Process], p.Port)
	}
	for _, all := range by {
		slices.Sort(all)
	}
	return by
}

// reachedAlike reports whether two specs are reached at the same ports.
func reachedAlike(a, b platform.Spec) bool { return a.Port == b.Port && slices.Equal(a.Ports, b.Ports) }

// reachable reports whether anything is led to instances of a spec.
func reachable(spec platform.Spec) bool { return spec.Port || len(spec.Ports) > 0 }
