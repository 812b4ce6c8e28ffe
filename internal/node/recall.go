package node

import (
	"context"
	"maps"

	"github.com/slipway-paas/slipway/internal/platform"
)

// A router leads an app's requests back by itself when a new release breaks its
// budget. The node keeps that beside what it was told, until the control plane,
// which may be away, tells of the app's next cutover: a node that is started
// again meanwhile does not try the release once more.

// recall keeps and tells what the router leads back, until ctx ends.
func (p *puller) recall(ctx context.Context) {
	for {
		p.keepRecalls()
		select {
		case <-ctx.Done():
			return
		case <-p.led:
		}
	}
}

// keepRecalls writes down which apps the router leads back, if that is news.
func (p *puller) keepRecalls() {
	p.changing.Lock()
	defer p.changing.Unlock()
	have, _ := p.look()
	next := have
	var recalled []string
	for _, c := range p.cutovers() {
		app := have.Apps[c.App]
		if !undecided(app.Route, c) {
			continue
		}
		if recalled == nil {
			next.Apps = maps.Clone(have.Apps)
		}
		app.Route = undoneRoute(app.Route, c.Undone)
		next.Apps[c.App] = app
		recalled = append(recalled, c.App)
	}
	if recalled == nil {
		return
	}
	p.keep(p.file.keepApps(next, recalled))
	p.mu.Lock()
	p.have = next
	p.mu.Unlock()
	for _, id := range recalled { // a node that drains beside this one has it from here
		p.router.SetRoute(id, next.Apps[id].Route)
	}
	nudge(p.reports.prompt)
}

// undecided reports whether a route does not know yet that its router leads
// the cutover c back.
func undecided(route *platform.Route, c platform.CutoverReport) bool {
	return c.Undone.Why != "" && route != nil && route.Shift != nil && route.Cutover == c.Cutover && route.Shift.Undone.Why == ""
}

func undoneRoute(route *platform.Route, undone platform.LedBack) *platform.Route {
	edited, shift := *route, *route.Shift
	shift.Undone = undone
	edited.Shift = &shift
	return &edited
}

// remembering is an app as it was told, with what this machine knows besides:
// that its router leads the cutover back that is still under way.
func remembering(told, before platform.AppState) platform.AppState {
	was, is := before.Route, told.Route
	if was == nil || is == nil || was.Shift == nil || is.Shift == nil || was.Cutover != is.Cutover || was.Shift.Undone.Why == "" {
		return told
	}
	told.Route = undoneRoute(is, was.Shift.Undone)
	return told
}
