package controller

import (
	"context"
	"fmt"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// Transfer gives the app to another user, who must exist and have room for its
// ports of the edge. Only its owner and superusers may. The rows the old owner had of it follow, and the old owner
// has no access from then on. An empty owner, or the present one, changes
// nothing.
func (c *Controller) Transfer(ctx context.Context, caller platform.Caller, app, owner string) error {
	changed := false
	err := c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		changed = false
		a, err := may(tx, caller, app, platform.RoleOwner)
		if err != nil || owner == "" || owner == a.Owner {
			return err
		}
		if _, err := tx.User(owner); err != nil {
			return err
		}
		if err := c.takesPorts(tx, caller, app, owner); err != nil {
			return err
		}
		// An owner has no role besides: else it would come back to life with
		// the next transfer.
		if err := tx.RemoveCollaborator(app, owner); err != nil {
			return err
		}
		if err := tx.SetOwner(app, owner); err != nil {
			return err
		}
		changed = true
		return tx.InsertEvent(event(caller, "app.transferred", app, map[string]string{"from": a.Owner, "to": owner}))
	})
	if err == nil && changed {
		c.note(app, "INFO %s transferred %s to %s", caller.User, app, owner)
		c.certify(ctx, app, false) // as the new owner's
	}
	return err
}

// takesPorts refuses a new owner whose share the app's ports are too many for.
func (c *Controller) takesPorts(tx *store.Tx, caller platform.Caller, app, owner string) error {
	ports, err := tx.Ports(app)
	if err != nil || len(ports) == 0 || c.options.TCPPorts == (PortRange{}) {
		return err
	}
	return c.options.TCPPorts.shared(tx, caller, owner, len(ports))
}

// Collaborators lists who the app is shared with, by name, without its owner.
func (c *Controller) Collaborators(ctx context.Context, caller platform.Caller, app string) ([]platform.Collaborator, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) ([]platform.Collaborator, error) {
		return tx.Collaborators(app)
	})
}

// Grant shares the app with a user, who must exist, or changes the role they
// have. Idempotent; the owner has every role already.
func (c *Controller) Grant(ctx context.Context, caller platform.Caller, app, user string, role platform.Role) error {
	if !role.Grantable() {
		return platform.Invalid("role", "%q is no role that can be given: viewer, deployer, operator or admin", string(role))
	}
	changed := false
	err := c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		changed = false
		a, err := may(tx, caller, app, platform.RoleAdmin)
		if err != nil {
			return err
		}
		if _, err := tx.User(user); err != nil {
			return err
		}
		before, err := tx.RoleOf(app, user)
		if err != nil || before == role || user == a.Owner {
			return err
		}
		if err := tx.SetCollaborator(app, user, role); err != nil {
			return err
		}
		changed = true
		return tx.InsertEvent(event(caller, "perms.granted", app, map[string]string{"user": user, "role": string(role)}))
	})
	if err == nil && changed {
		c.note(app, "INFO User %s was granted access to %s", user, app)
	}
	return err
}

// Revoke ends that. A user who has no role on the app is ErrForbidden, one who
// does not exist ErrNotFound. Everybody may revoke themselves.
func (c *Controller) Revoke(ctx context.Context, caller platform.Caller, app, user string) error {
	err := c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		need := platform.RoleAdmin
		if user == caller.User && !caller.Scope.Bounded() {
			need = platform.RoleViewer
		}
		if _, err := may(tx, caller, app, need); err != nil {
			return err
		}
		if _, err := tx.User(user); err != nil {
			return err
		}
		role, err := tx.RoleOf(app, user)
		if err != nil {
			return err
		}
		if role == "" {
			return fmt.Errorf("%s has no role on app %s: %w", user, app, platform.ErrForbidden)
		}
		if err := tx.RemoveCollaborator(app, user); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "perms.revoked", app, map[string]string{"user": user, "role": string(role)}))
	})
	if err == nil {
		c.note(app, "INFO User %s was revoked access to %s", user, app)
	}
	return err
}
