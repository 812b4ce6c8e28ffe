package controller

import (
	"context"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// Settings returns an app's settings.
func (c *Controller) Settings(ctx context.Context, caller platform.Caller, app string) (platform.Settings, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) (platform.Settings, error) { return tx.Settings(app) })
}

// SettingsPatch changes settings; nil fields stay.
type SettingsPatch struct {
	Maintenance, Routable *bool
	DeployBranch          *string
	// Whitelist replaces the list, and must not be empty when it is not nil.
	Whitelist []string
	// Labels and Autoscale are patched key by key: a nil value removes.
	Labels    map[string]*json.RawMessage
	Autoscale map[string]*platform.Autoscale
}

var branchName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$`)

// SetSettings changes settings, without a release. ErrConflict when nothing changes.
func (c *Controller) SetSettings(ctx context.Context, caller platform.Caller, app string, patch SettingsPatch) (platform.Settings, error) {
	if branch := patch.DeployBranch; branch != nil && *branch != "" && (!branchName.MatchString(*branch) || strings.Contains(*branch, "..")) {
		return platform.Settings{}, platform.Invalid("deploy_branch", "%q is not a branch name", *branch)
	}
	var settings platform.Settings
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleOperator); err != nil {
			return err
		}
		before, err := tx.Settings(app)
		if err != nil {
			return err
		}
		settings = before
		setIf(&settings.Maintenance, patch.Maintenance)
		setIf(&settings.Routable, patch.Routable)
		setIf(&settings.DeployBranch, patch.DeployBranch)
		if reflect.DeepEqual(settings, before) {
			return &platform.UserError{Kind: platform.ErrConflict, Message: caller.User + " changed nothing"}
		}
		settings.UUID, settings.Owner, settings.Updated = uuid.NewString(), caller.User, time.Now().Truncate(time.Second).UTC()
		if err := tx.PutSettings(settings); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "settings.changed", app, nil))
	})
	if err != nil {
		return platform.Settings{}, err
	}
	c.note(app, "INFO appsettings %s-%s updated", app, short(settings.UUID))
	return settings, c.reroute(ctx, app)
}

func setIf[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}
