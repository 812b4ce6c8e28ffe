package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	Healthchecks               platform.HealthPatch
}

// SetConfig merges patch into the current config as a new release and deploys
// it if the app has a build. ErrConflict when it changes nothing,
// ErrUnprocessable when it removes what is not there.
func (c *Controller) SetConfig(ctx context.Context, caller platform.Caller, app string, patch ConfigPatch) (platform.Config, error) {
	if err := validPatch(patch); err != nil {
		return platform.Config{}, err
	}
	var config platform.Config
	release, err := c.newRelease(ctx, caller, app, platform.RoleOperator, func(tx *store.Tx, current *deployable) (platform.Release, error) {
		var err error
		if config, err = c.nextConfig(current.config, patch); err != nil {
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
		if err := tx.InsertEvent(event(caller, "config.changed", app, changedKeys(current.config, config))); err != nil {
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

// validPatch checks what the patch alone can tell.
func validPatch(patch ConfigPatch) error {
	var errs []error
	check := func(m map[string]*string, valid func(key, value string) error) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if value := m[key]; value != nil {
				errs = append(errs, valid(key, *value))
			}
		}
	}
	check(patch.Tags, platform.ValidTag)
	check(patch.Registry, platform.ValidRegistryKey)
	check(patch.PostStart, func(process, command string) error {
		return platform.ValidHook("lifecycle_post_start", process, command)
	})
	check(patch.PreStop, func(process, command string) error {
		return platform.ValidHook("lifecycle_pre_stop", process, command)
	})
	return errors.Join(errs...)
}

// nextConfig is config with patch applied, if the platform can run it.
func (c *Controller) nextConfig(config platform.Config, patch ConfigPatch) (platform.Config, error) {
	next, err := merged(config, patch)
	if err != nil {
		return platform.Config{}, err
	}
	if len(next.Tags) == 0 {
		next.Tags = maps.Clone(c.options.DefaultTags)
	}
	if len(next.Registry) > 0 && next.Env()["PORT"] == "" {
		return platform.Config{}, platform.Invalid("", "PORT needs to be set in the config when using a private registry")
	}
	if size := configSize(next); size > maxConfig && size > configSize(config) {
		return platform.Config{}, platform.Invalid("values", "An app's config has at most %d bytes in all", maxConfig)
	}
	return next, c.matchNodes(config.Tags, next.Tags)
}

// maxConfig bounds a config, names and values, in bytes. Every release keeps
// one, and a process can be given little more than that.
const maxConfig = 512 << 10

func configSize(config platform.Config) (size int) {
	for _, texts := range textMaps(&config) {
		for name, value := range *texts {
			size += len(name) + len(value)
		}
	}
	for _, group := range config.Groups {
		size += configSize(platform.Config{Values: group.Values})
	}
	return size
}

// matchNodes returns nil when a node carries all tags (Deis contract 2.5).
func (c *Controller) matchNodes(before, after map[string]string) error {
	if maps.Equal(before, after) {
		return nil
	}
	fits := true
	cause := make(map[string]string)
	for key, value := range after {
		if carried, ok := c.options.NodeTags[key]; !ok || carried != value {
			fits = false
		}
		if old, had := before[key]; !had || old != value {
			cause[key] = value
		}
	}
	if fits {
		return nil
	}
	message := "No nodes matched the provided labels: " + platform.TagText(after)
	if len(before) > 0 && len(cause) > 0 {
		message += " - Addition of " + platform.TagText(cause) + " is the cause"
	}
	return platform.Invalid("", "%s", message)
}

// textMaps are the maps of texts of a config, by the contract's names.
func textMaps(config *platform.Config) map[string]*map[string]string {
	return map[string]*map[string]string{
		"values": &config.Values, "memory": &config.Memory, "cpu": &config.CPU, "tags": &config.Tags, "registry": &config.Registry,
		"termination_grace_period": &config.Grace, "lifecycle_post_start": &config.PostStart, "lifecycle_pre_stop": &config.PreStop,
	}
}

// merged is config with patch applied.
func merged(config platform.Config, patch ConfigPatch) (platform.Config, error) {
	all := textMaps(&config)
	var err error
	for _, part := range []struct {
		name  string
		patch map[string]*string
	}{
		{"values", patch.Values},
		{"memory", patch.Memory},
		{"cpu", patch.CPU},
		{"tags", patch.Tags},
		{"registry", lowered(patch.Registry)},
		{"termination_grace_period", patch.Grace},
		{"lifecycle_post_start", patch.PostStart},
		{"lifecycle_pre_stop", patch.PreStop},
	} {
		if *all[part.name], err = patched(part.name, *all[part.name], part.patch); err != nil {
			return platform.Config{}, err
		}
	}
	config.Healthchecks, err = patch.Healthchecks.Onto(config.Healthchecks)
	return config, err
}

// lowered is patch with its keys in lower case.
func lowered(patch map[string]*string) map[string]*string {
	out := make(map[string]*string, len(patch))
	for _, key := range slices.Sorted(maps.Keys(patch)) {
		out[strings.ToLower(key)] = patch[key]
	}
	return out
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
