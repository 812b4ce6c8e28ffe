package controller

import (
	"context"
	"slices"
	"sync"
)

// firstLanes bounds how many lanes the agenda has looking at a time.
const firstLanes = 16

// agenda is which apps shall be looked at as soon as there is room: those of
// which a node has told something, and after them, at the start, all. However
// many there are, few lanes run for it, and an app that is on it is on it once.
type agenda struct {
	mu      sync.Mutex
	changed []string // before all
	all     []string
	on      map[string]bool // of changed
	kick    chan struct{}   // holds a token when there is something on it
}

func newAgenda() *agenda {
	return &agenda{on: make(map[string]bool), kick: make(chan struct{}, 1)}
}

// addAll puts apps behind those that changed.
func (a *agenda) addAll(apps []string) {
	a.mu.Lock()
	a.all = append(a.all, apps...)
	a.mu.Unlock()
	a.tell()
}

// addChanged puts an app to the front, once.
func (a *agenda) addChanged(app string) {
	a.mu.Lock()
	if !a.on[app] {
		a.on[app] = true
		a.changed = append(a.changed, app)
	}
	a.mu.Unlock()
	a.tell()
}

func (a *agenda) tell() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// next takes an app off; false when there is none.
func (a *agenda) next() (app string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := &a.changed
	if len(*list) == 0 {
		list = &a.all
	}
	if len(*list) == 0 {
		return "", false
	}
	app = (*list)[0]
	if *list = (*list)[1:]; len(*list) == 0 {
		*list = nil // lets go of what it was cut from
	}
	delete(a.on, app)
	return app, true
}

// runAgenda has what is on the agenda looked at until ctx ends.
func (c *Controller) runAgenda(ctx context.Context) {
	slots := make(chan struct{}, firstLanes)
	for {
		app, ok := c.agenda.next()
		if !ok {
			select {
			case <-c.agenda.kick:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case slots <- struct{}{}:
			c.wakeThen(app, func() { <-slots })
		case <-ctx.Done():
			return
		}
	}
}

// known lists, once each, the apps that have rows and those that something is
// left of: a destroyed app whose instances were still leaving has no row, and
// its lane removes what is left.
func (c *Controller) known(rows []string) []string {
	apps := append(slices.Clone(rows), c.fleet.Apps()...)
	slices.Sort(apps)
	return slices.Compact(apps)
}
