package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
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

// Bounds of what an app's settings hold.
const (
	maxLabels    = 200
	maxLabelSize = 16 << 10 // of one, key and value
	maxAutoscale = 100
)

var branchName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$`)

// valid checks what the patch alone can tell.
func (p SettingsPatch) valid() error {
	if branch := p.DeployBranch; branch != nil && *branch != "" && (!branchName.MatchString(*branch) || strings.Contains(*branch, "..")) {
		return platform.Invalid("deploy_branch", "%q is not a branch name", *branch)
	}
	if p.Whitelist != nil {
		if err := validAddresses("whitelist", p.Whitelist); err != nil {
			return err
		}
	}
	for key, value := range p.Labels {
		if value != nil && (len(key)+len(*value) > maxLabelSize || !json.Valid(*value)) {
			return platform.Invalid("label", "A label is JSON of at most %d bytes.", maxLabelSize)
		}
	}
	for _, process := range slices.Sorted(maps.Keys(p.Autoscale)) {
		if scale := p.Autoscale[process]; scale != nil {
			if err := validAutoscale(process, *scale); err != nil {
				return err
			}
		}
	}
	return nil
}

func validAutoscale(process string, a platform.Autoscale) error {
	reason := ""
	switch {
	case !platform.ValidProcessType(process):
		return platform.Invalid("autoscale", "Process types can only contain lowercase alphanumeric characters")
	case a.Min < 0:
		reason = "'min' cannot be below 0"
	case a.Max < 1 || a.Max > platform.MaxInstances:
		reason = fmt.Sprintf("'max' must be between 1 and %d", platform.MaxInstances)
	case a.Min > a.Max:
		reason = "'min' cannot be above 'max'"
	case a.CPUPercent < 1 || a.CPUPercent > 100:
		reason = "'cpu_percent' must be between 1 and 100"
	default:
		return nil
	}
	return platform.Invalid("autoscale", "could not validate {'min': %d, 'max': %d, 'cpu_percent': %d}: %s", a.Min, a.Max, a.CPUPercent, reason)
}

// onto is settings with the patch applied.
func (p SettingsPatch) onto(settings platform.Settings) (platform.Settings, error) {
	setIf(&settings.Maintenance, p.Maintenance)
	setIf(&settings.Routable, p.Routable)
	setIf(&settings.DeployBranch, p.DeployBranch)
	if p.Whitelist != nil {
		settings.Whitelist = union(nil, p.Whitelist)
	}
	var err error
	if settings.Labels, err = patched("label", settings.Labels, p.Labels); err != nil {
		return platform.Settings{}, err
	}
	if settings.Autoscale, err = patched("autoscale", settings.Autoscale, p.Autoscale); err != nil {
		return platform.Settings{}, err
	}
	switch {
	case len(settings.Labels) > maxLabels:
		return platform.Settings{}, platform.Invalid("label", "An app has at most %d labels.", maxLabels)
	case len(settings.Autoscale) > maxAutoscale:
		return platform.Settings{}, platform.Invalid("autoscale", "An app scales at most %d process types.", maxAutoscale)
	}
	return settings, nil
}

// SetSettings changes settings, without a release. ErrConflict when nothing
// changes, ErrUnprocessable when it removes what is not there.
func (c *Controller) SetSettings(ctx context.Context, caller platform.Caller, app string, patch SettingsPatch) (platform.Settings, error) {
	if err := patch.valid(); err != nil {
		return platform.Settings{}, err
	}
	return c.changeSettings(ctx, caller, app, platform.RoleOperator, "settings.changed", patch.onto)
}

// changeSettings reads the app's settings, edits and writes them in one
// transaction, and leads the routers after them.
func (c *Controller) changeSettings(
	ctx context.Context, caller platform.Caller, app string, need platform.Role, what string, edit func(platform.Settings) (platform.Settings, error),
) (platform.Settings, error) {
	var settings platform.Settings
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, need); err != nil {
			return err
		}
		before, err := tx.Settings(app)
		if err != nil {
			return err
		}
		if settings, err = edit(before); err != nil {
			return err
		}
		fields := changedSettings(before, settings)
		if len(fields) == 0 {
			return unchanged(caller)
		}
		settings.UUID, settings.Owner, settings.Updated = uuid.NewString(), caller.User, time.Now().Truncate(time.Second).UTC()
		if err := tx.PutSettings(settings); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, what, app, fields))
	})
	if err != nil {
		return platform.Settings{}, err
	}
	c.note(app, "INFO appsettings %s-%s updated", app, short(settings.UUID))
	return settings, c.reroute(ctx, app)
}

// unchanged is what a verb answers that would write what is there already.
func unchanged(caller platform.Caller) error {
	return &platform.UserError{Kind: platform.ErrConflict, Message: caller.User + " changed nothing"}
}

// changedSettings says for the audit trail what differs; empty when nothing does.
func changedSettings(before, after platform.Settings) map[string]string {
	attrs := make(map[string]string)
	if before.Maintenance != after.Maintenance {
		attrs["maintenance"] = strconv.FormatBool(after.Maintenance)
	}
	if before.Routable != after.Routable {
		attrs["routable"] = strconv.FormatBool(after.Routable)
	}
	if before.DeployBranch != after.DeployBranch {
		attrs["deploy_branch"] = after.DeployBranch
	}
	for name, keys := range map[string][]string{
		"whitelist": diff(set(before.Whitelist), set(after.Whitelist)).keys(),
		"label":     diff(compacted(before.Labels), compacted(after.Labels)).keys(),
		"autoscale": diff(before.Autoscale, after.Autoscale).keys(),
	} {
		if len(keys) > 0 {
			attrs[name] = strings.Join(keys, ", ")
		}
	}
	return attrs
}

// compacted has the white space between JSON's tokens taken out, which makes
// no other label.
func compacted(labels map[string]json.RawMessage) map[string]string {
	out := make(map[string]string, len(labels))
	for key, value := range labels {
		var text bytes.Buffer
		if json.Compact(&text, value) != nil {
			text.Write(value)
		}
		out[key] = text.String()
	}
	return out
}

func setIf[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}
