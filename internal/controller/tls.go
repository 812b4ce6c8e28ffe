package controller

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// TLS says how the app treats plain HTTP.
func (c *Controller) TLS(ctx context.Context, caller platform.Caller, app string) (platform.TLS, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) (platform.TLS, error) { return tx.TLS(app) })
}

// SetTLS changes that. ErrConflict when it is so already.
func (c *Controller) SetTLS(ctx context.Context, caller platform.Caller, app string, enforced bool) (platform.TLS, error) {
	var choice platform.TLS
	err := c.store.Write(ctx, func(tx *store.Tx) (err error) {
		if _, err = may(tx, caller, app, platform.RoleOperator); err != nil {
			return err
		}
		if choice, err = tx.TLS(app); err != nil {
			return err
		}
		if choice.Enforced != nil && *choice.Enforced == enforced {
			return unchanged(caller)
		}
		choice.UUID, choice.App, choice.Owner, choice.Enforced = uuid.NewString(), app, caller.User, &enforced
		choice.Updated = time.Now().Truncate(time.Second).UTC()
		if err := tx.PutTLS(choice); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "tls.changed", app, map[string]string{"https_enforced": strconv.FormatBool(enforced)}))
	})
	if err != nil {
		return platform.TLS{}, err
	}
	c.note(app, "INFO tls %s-%s updated", app, short(choice.UUID))
	return choice, c.reroute(ctx, app)
}
