package controller

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// Bounds of one service; those of all of an app are platform.MaxPaths and
// MaxPathWeight.
const (
	maxPatterns    = 20
	maxPatternText = 4 << 10
)

// Services lists the path services of the app, newest first.
func (c *Controller) Services(ctx context.Context, caller platform.Caller, app string) ([]platform.Service, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) ([]platform.Service, error) { return tx.Services(app) })
}

// SetService leads the paths of pattern to a process type and reports whether
// that changed anything. Where several services match a path, the order is
// nginx's: an exact path, then regular expressions, the newest service first,
// then the longest prefix.
//
// A process type that runs without an address gets one: it is started anew
// beside the old instances, which go when the new ones are up, and its paths
// are led to it from then on. When they do not come up all is as before, and
// the error says why.
func (c *Controller) SetService(ctx context.Context, caller platform.Caller, app, process, pattern string) (changed bool, err error) {
	if err := validService(process, pattern); err != nil {
		return false, err
	}
	now := time.Now().Truncate(time.Second).UTC()
	service := platform.Service{App: app, Owner: caller.User, Process: process, Pattern: pattern, Created: now, Updated: now}
	var before *platform.Service
	err = c.store.Write(ctx, func(tx *store.Tx) (err error) {
		if _, err = may(tx, caller, app, platform.RoleOperator); err != nil {
			return err
		}
		if before, changed, err = putService(tx, caller, service); err != nil || !changed {
			return err
		}
		return c.routable(tx, app)
	})
	if err != nil || !changed {
		return false, err
	}
	c.note(app, "INFO service %s updated: %s", process, pattern)
	if err := c.reroute(ctx, app); err != nil || before != nil {
		return true, err
	}
	c.wake(app)
	return true, c.address(ctx, service)
}

// putService writes a service and its event, unless its pattern is there
// already, and returns the one that was there before, or nil.
func putService(tx *store.Tx, caller platform.Caller, service platform.Service) (before *platform.Service, changed bool, err error) {
	services, err := tx.Services(service.App)
	if err != nil {
		return nil, false, err
	}
	if before = serviceOf(services, service.Process); before != nil {
		if before.Pattern == service.Pattern {
			return before, false, nil
		}
		service.Created = before.Created
	}
	if err := bearable(services, service); err != nil {
		return nil, false, err
	}
	if err := tx.PutService(service); err != nil {
		return nil, false, err
	}
	attrs := map[string]string{"process": service.Process, "pattern": service.Pattern}
	return before, true, tx.InsertEvent(event(caller, "service.changed", service.App, attrs))
}

// serviceOf is the service of a process type, or nil.
func serviceOf(services []platform.Service, process string) *platform.Service {
	at := slices.IndexFunc(services, func(s platform.Service) bool { return s.Process == process })
	if at < 0 {
		return nil
	}
	return &services[at]
}

// bearable returns nil when routers can match the patterns of all services,
// one of which is put in, quickly enough.
func bearable(services []platform.Service, service platform.Service) error {
	count, weight := 0, 0
	for _, s := range append(slices.DeleteFunc(slices.Clone(services), func(s platform.Service) bool { return s.Process == service.Process }), service) {
		paths, err := patterns(s.Pattern)
		if err != nil {
			continue // of an older kind: routers leave it out
		}
		count += len(paths)
		for _, p := range paths {
			weight += p.Weight
		}
	}
	switch {
	case count > platform.MaxPaths:
		return platform.Invalid("path_pattern", "The services of an app have at most %d patterns.", platform.MaxPaths)
	case weight > platform.MaxPathWeight:
		return platform.Invalid("path_pattern", "The regular expressions of this app are too large to be matched quickly.")
	}
	return nil
}

// address waits until the running instances of a process type have an address,
// and takes its service back when they do not come up with one.
func (c *Controller) address(ctx context.Context, service platform.Service) error {
	app, process := service.App, service.Process
	cause := c.turnedOver(ctx, app, process)
	if cause == nil {
		return c.reroute(ctx, app) // its paths are led to it now
	}
	if ctx.Err() != nil || errors.Is(cause, platform.ErrUnavailable) || errors.Is(cause, platform.ErrNotFound) {
		return cause
	}
	err := c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		services, err := tx.Services(app)
		if err != nil {
			return err
		}
		if now := serviceOf(services, process); now == nil || now.Pattern != service.Pattern {
			return nil // somebody decided anew
		}
		if err := tx.DeleteService(app, process); err != nil {
			return err
		}
		return tx.InsertEvent(event(platform.System, "service.removed", app, map[string]string{"process": process, "cause": cause.Error()}))
	})
	if err != nil {
		return err
	}
	c.wake(app)
	c.note(app, "ERROR (services): %s", cause)
	return &platform.UserError{
		Kind: platform.ErrUnavailable, Message: "(services): " + cause.Error(),
		Cure: "What serves paths must listen on the port in PORT; " + process + " runs on as before.",
	}
}

// RemoveService ends that; ErrNotFound when the process type has none.
func (c *Controller) RemoveService(ctx context.Context, caller platform.Caller, app, process string) error {
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleAdmin); err != nil {
			return err
		}
		if err := tx.DeleteService(app, process); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "service.removed", app, map[string]string{"process": process}))
	})
	if err != nil {
		return err
	}
	c.note(app, "INFO service %s removed", process)
	err = c.reroute(ctx, app)
	c.wake(app) // after the routers: its instances lose their address
	return err
}

func validService(process, pattern string) error {
	var errs []error
	if !platform.ValidProcessType(process) || process == "run" || process == platform.ProcessRelease {
		errs = append(errs, platform.Invalid("procfile_type", "Process types can only contain lowercase alphanumeric characters"))
	}
	if _, err := patterns(pattern); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// rank orders kinds of patterns: the lower matches first.
func rank(p platform.PathPattern) int {
	return slices.Index([]string{"=", "^~", "~", ""}, strings.TrimSuffix(p.Op, "*"))
}

// patterns reads the comma list of a service.
func patterns(text string) ([]platform.PathPattern, error) {
	refused := platform.Invalid("path_pattern", "Service value should be valid regex (or set of regex split by comma)")
	if text == "" || len(text) > maxPatternText || strings.ContainsFunc(text, unicode.IsControl) {
		return nil, refused
	}
	items := strings.Split(text, ",")
	if len(items) > maxPatterns {
		return nil, platform.Invalid("path_pattern", "A service has at most %d patterns.", maxPatterns)
	}
	var paths []platform.PathPattern
	for _, item := range items {
		p, ok := platform.ParsePath(strings.TrimSpace(item))
		if !ok {
			return nil, refused
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// pathRoutes are the services that lead requests away, in the order in which
// routers try them.
func pathRoutes(services []platform.Service, leads func(process string) bool) []platform.PathRoute {
	type lead struct {
		process string
		path    platform.PathPattern
	}
	var leadings []lead
	for _, service := range services {
		paths, err := patterns(service.Pattern)
		if err != nil || !leads(service.Process) {
			continue // checked when it was set
		}
		for _, p := range paths {
			leadings = append(leadings, lead{service.Process, p})
		}
	}
	slices.SortStableFunc(leadings, func(a, b lead) int {
		byRank := cmp.Compare(rank(a.path), rank(b.path))
		if byRank == 0 && strings.HasPrefix(a.path.Text, "/") && a.path.Weight == 0 {
			return cmp.Compare(len(b.path.Text), len(a.path.Text))
		}
		return byRank
	})
	var routes []platform.PathRoute
	for _, l := range leadings {
		if last := len(routes) - 1; last >= 0 && routes[last].Process == l.process {
			routes[last].Patterns = append(routes[last].Patterns, l.path.String())
			continue
		}
		routes = append(routes, platform.PathRoute{Process: l.process, Patterns: []string{l.path.String()}})
	}
	return routes
}

// addressedBy are the process types that requests are led to besides web: by
// the paths of services, and by the headers and cookies of matches.
func addressedBy(services []platform.Service, edge platform.Edge) map[string]bool {
	addressed := make(map[string]bool, len(services)+len(edge.Matches))
	for _, match := range edge.Matches {
		if !platform.Routable(match.Process) {
			addressed[match.Process] = true
		}
	}
	for _, service := range services {
		addressed[service.Process] = true
	}
	return addressed
}
