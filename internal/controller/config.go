package controller

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// Config returns the config of the latest release that did not fail.
func (c *Controller) Config(ctx context.Context, caller platform.Caller, app string) (platform.Config, error) {
	return read(ctx, c, caller, app, platform.RoleOperator, func(tx *store.Tx, _ platform.App) (platform.Config, error) {
		current, err := currentDeployable(tx, app)
		if err != nil || current == nil {
			return platform.Config{}, err
		}
		return current.config, nil
	})
}

// ConfigPatch changes a config: given keys are set, nil values remove.
type ConfigPatch struct {
	Values, Memory, CPU, Grace map[string]*string
	Tags, Registry             map[string]*string
	PostStart, PreStop         map[string]*string
	Healthchecks               map[string]*platform.Healthcheck
}

// SetConfig merges patch into the current config as a new release and deploys
// it if the app has a build. ErrConflict when it changes nothing,
// ErrUnprocessable when it removes what is not there.
func (c *Controller) SetConfig(ctx context.Context, caller platform.Caller, app string, patch ConfigPatch) (platform.Config, error) {
	var config platform.Config
	release, err := c.newRelease(ctx, caller, app, platform.RoleOperator, func(tx *store.Tx, current *deployable) (platform.Release, error) {
		var err error
		if config, err = merged(current.config, patch); err != nil {
			return platform.Release{}, err
		}
		summary := changes(caller.User, current.config, config)
		if summary == "" {
			return platform.Release{}, &platform.UserError{Kind: platform.ErrConflict, Message: caller.User + " changed nothing - release stopped"}
		}
		now := time.Now().Truncate(time.Second).UTC()
		config.UUID, config.App, config.Owner, config.Created, config.Updated = uuid.NewString(), app, caller.User, now, now
		if err := tx.InsertConfig(config); err != nil {
			return platform.Release{}, err
		}
		return platform.Release{Config: config.UUID, Build: current.release.Build, Summary: summary}, nil
	})
	if err != nil {
		return platform.Config{}, err
	}
	c.noteConfig(config)
	c.note(app, "INFO %s", release.Summary)
	_, err = c.outcome(ctx, app, release.Version)
	return config, err
}

// merged is config with patch applied.
func merged(config platform.Config, patch ConfigPatch) (platform.Config, error) {
	var err error
	for _, part := range []struct {
		name  string
		value *map[string]string
		patch map[string]*string
	}{
		{"values", &config.Values, patch.Values},
		{"memory", &config.Memory, patch.Memory},
		{"cpu", &config.CPU, patch.CPU},
		{"termination_grace_period", &config.Grace, patch.Grace},
	} {
		if *part.value, err = patched(part.name, *part.value, part.patch); err != nil {
			return platform.Config{}, err
		}
	}
	config.Healthchecks, err = patched("healthcheck", config.Healthchecks, patch.Healthchecks)
	return config, err
}

// patched is a copy of m with the keys of patch set, or removed where nil.
func patched[T any](name string, m map[string]T, patch map[string]*T) (map[string]T, error) {
	out := maps.Clone(m)
	if out == nil {
		out = make(map[string]T)
	}
	for _, key := range slices.Sorted(maps.Keys(patch)) {
		if value := patch[key]; value != nil {
			out[key] = *value
			continue
		}
		if _, ok := out[key]; !ok {
			return nil, &platform.UserError{Kind: platform.ErrUnprocessable, Message: fmt.Sprintf("%s does not exist under %s", key, name)}
		}
		delete(out, key)
	}
	return out, nil
}

// changes words what differs for the ledger (Deis contract 5), or is empty.
func changes(user string, before, after platform.Config) string {
	var parts []string
	if text := platform.ConfigSummary(before.Values, after.Values); text != "" {
		parts = append(parts, user+" "+text)
	}
	var limits []string
	if !maps.Equal(before.Memory, after.Memory) {
		limits = append(limits, "memory")
	}
	if !maps.Equal(before.CPU, after.CPU) {
		limits = append(limits, "cpu")
	}
	if len(limits) > 0 {
		parts = append(parts, user+" changed limits for "+strings.Join(limits, ", "))
	}
	if text := healthSummary(before.Healthchecks, after.Healthchecks); text != "" {
		parts = append(parts, user+" "+text)
	}
	if !maps.Equal(before.Grace, after.Grace) {
		parts = append(parts, user+" changed timeouts for termination_grace_period")
	}
	return strings.Join(parts, " and ")
}

func healthSummary(before, after map[string]platform.Healthcheck) string {
	groups := map[string][]string{}
	for _, process := range slices.Sorted(maps.Keys(after)) {
		old, had := before[process]
		switch {
		case !had:
			groups["added"] = append(groups["added"], process)
		case !reflect.DeepEqual(old, after[process]):
			groups["changed"] = append(groups["changed"], process)
		}
	}
	for _, process := range slices.Sorted(maps.Keys(before)) {
		if _, has := after[process]; !has {
			groups["deleted"] = append(groups["deleted"], process)
		}
	}
	var parts []string
	for _, verb := range []string{"added", "changed", "deleted"} {
		if len(groups[verb]) > 0 {
			parts = append(parts, verb+" healthcheck info for proc type "+strings.Join(groups[verb], ", "))
		}
	}
	return strings.Join(parts, ", ")
}
