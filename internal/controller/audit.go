package controller

import (
	"context"
	"fmt"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// Audit lists events, newest first, and how many there are in all. Of one app
// for those who may administer it; of all, and of apps that are gone, for
// superusers with an unbounded token.
func (c *Controller) Audit(ctx context.Context, caller platform.Caller, query platform.EventQuery) ([]platform.Event, int, error) {
	var events []platform.Event
	var count int
	err := c.store.Read(ctx, func(tx *store.Tx) error {
		if !caller.Admin || caller.Scope.Bounded() {
			if query.App == "" {
				return fmt.Errorf("the audit trail of all apps: %w", platform.ErrForbidden)
			}
			if _, err := may(tx, caller, query.App, platform.RoleAdmin); err != nil {
				return err
			}
		}
		var err error
		events, count, err = tx.EventLog(query)
		return err
	})
	return events, count, err
}

// AppsOf lists the ids of the apps a user may push to, in order.
func (c *Controller) AppsOf(ctx context.Context, user string) ([]string, error) {
	var ids []string
	err := c.store.Read(ctx, func(tx *store.Tx) error {
		u, err := tx.User(user)
		if err != nil {
			return err
		}
		if u.Superuser {
			ids, err = tx.AllAppIDs()
		} else {
			ids, err = tx.AppIDs(user, platform.RoleDeployer)
		}
		return err
	})
	return ids, err
}
