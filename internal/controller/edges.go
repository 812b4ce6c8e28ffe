package controller

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// What a team asks of the routers is no part of a release: it takes effect at
// once, makes no instance anew, and stays as it is through deploys and rollbacks.

// Edge is what the app's team asks of the routers, without secrets.
func (c *Controller) Edge(ctx context.Context, caller platform.Caller, app string) (platform.Edge, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) (platform.Edge, error) {
		edge, err := tx.Edge(app)
		return edge.WithoutSecrets(), err
	})
}

// PatchEdge changes that and returns it, without secrets. The routers go by it
// when it returns. ErrConflict when nothing changes.
func (c *Controller) PatchEdge(ctx context.Context, caller platform.Caller, app string, patch platform.EdgePatch) (platform.Edge, error) {
	// Hashes take their time, which is neither for those who may not nor for the
	// transaction.
	_, err := read(ctx, c, caller, app, platform.RoleOperator, func(*store.Tx, platform.App) (struct{}, error) { return struct{}{}, nil })
	if err != nil {
		return platform.Edge{}, err
	}
	if err := patch.HashPasswords(); err != nil {
		return platform.Edge{}, err
	}
	return c.changeEdge(ctx, caller, app, func(before platform.Edge) (platform.Edge, error) { return before.Patched(patch) })
}

// ResetEdge takes all of it away. ErrConflict when there is nothing.
func (c *Controller) ResetEdge(ctx context.Context, caller platform.Caller, app string) error {
	_, err := c.changeEdge(ctx, caller, app, func(platform.Edge) (platform.Edge, error) { return platform.Edge{}, nil })
	return err
}

func (c *Controller) changeEdge(ctx context.Context, caller platform.Caller, app string, edit func(platform.Edge) (platform.Edge, error)) (platform.Edge, error) {
	var edge platform.Edge
	var had, has map[string]bool
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleOperator); err != nil {
			return err
		}
		before, err := tx.Edge(app)
		if err != nil {
			return err
		}
		if edge, err = edit(before); err != nil {
			return err
		}
		attrs := changedEdge(before, edge)
		if len(attrs) == 0 {
			return unchanged(caller)
		}
		services, err := tx.Services(app)
		if err != nil {
			return err
		}
		had, has = addressedBy(services, before), addressedBy(services, edge)
		if err := errors.Join(tx.PutEdge(app, edge, time.Now()), c.routable(tx, app)); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "edge.changed", app, attrs))
	})
	if err != nil {
		return platform.Edge{}, err
	}
	c.note(app, "INFO edge of %s updated", app)
	if err := c.reroute(ctx, app); err != nil || maps.Equal(had, has) {
		return edge.WithoutSecrets(), err
	}
	c.wake(app) // after the routers: some of its instances get or lose their address
	return edge.WithoutSecrets(), c.matched(ctx, app, had, has)
}

// matched waits until the instances of process types that matches lead to now
// are up with an address. Until then web answers, and goes on when they do not
// come up.
func (c *Controller) matched(ctx context.Context, app string, had, has map[string]bool) error {
	for _, process := range slices.Sorted(maps.Keys(has)) {
		if had[process] {
			continue
		}
		if err := c.turnedOver(ctx, app, process); err != nil {
			return &platform.UserError{
				Kind: platform.ErrUnavailable, Message: "(edge): " + err.Error(),
				Cure: "The match stays, and web answers until " + process + " listens on the port in PORT.",
			}
		}
	}
	return c.reroute(ctx, app)
}

// maxEdgeAttr is the longest value that the audit trail keeps of a word; of
// longer ones, and of what is secret or a page, it keeps the names.
const maxEdgeAttr = 200

// changedEdge says for the audit trail which words differ, and what they are
// now; empty when none does.
func changedEdge(before, after platform.Edge) map[string]string {
	attrs := make(map[string]string)
	was, is := before.Words(), after.Words()
	words := maps.Clone(was)
	maps.Copy(words, is)
	for word := range words {
		if reflect.DeepEqual(was[word], is[word]) {
			continue
		}
		if is[word] == nil {
			attrs[word] = ""
			continue
		}
		text, err := json.Marshal(is[word])
		if err != nil || len(text) > maxEdgeAttr || word == "auth" || word == "clients" || word == "pages" {
			text = []byte(namesOf(is[word]))
		}
		if plain, ok := is[word].(string); ok {
			text = []byte(plain)
		}
		attrs[word] = string(text)
	}
	return attrs
}

// namesOf are the names in a word of the edge, with those of who is let in.
func namesOf(word any) string {
	words, ok := word.(map[string]any)
	if !ok {
		return "changed"
	}
	names := slices.Sorted(maps.Keys(words))
	if users, ok := words["users"].(map[string]any); ok {
		names = slices.Sorted(maps.Keys(users))
	}
	text := strings.Join(names, ", ")
	return text[:min(len(text), maxEdgeAttr)]
}
