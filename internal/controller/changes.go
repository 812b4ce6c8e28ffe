package controller

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// changes words what differs for the ledger (Deis contract 5), or is empty.
func changes(user string, before, after platform.Config) string {
	var parts []string
	say := func(text string) {
		if text != "" {
			parts = append(parts, user+" "+text)
		}
	}
	say(platform.ConfigSummary(before.Values, after.Values))
	say(touched("changed limits for ", before, after, "memory", "cpu"))
	say(diff(before.Tags, after.Tags).words("tag"))
	say(diff(before.Registry, after.Registry).words("registry info"))
	say(diff(before.Healthchecks, after.Healthchecks).words("healthcheck info for proc type"))
	say(touched("changed timeouts for ", before, after, "termination_grace_period"))
	say(touched("changed lifecycle hooks for ", before, after, "lifecycle_post_start", "lifecycle_pre_stop"))
	say(diff(before.Volumes, after.Volumes).words("volume"))
	return strings.Join(parts, " and ")
}

// touched names which of some maps differ, after lead; empty when none does.
func touched(lead string, before, after platform.Config, names ...string) string {
	old, now := textMaps(&before), textMaps(&after)
	var differ []string
	for _, name := range names {
		if !maps.Equal(*old[name], *now[name]) {
			differ = append(differ, name)
		}
	}
	if len(differ) == 0 {
		return ""
	}
	return lead + strings.Join(differ, ", ")
}

// difference is what became of the keys of a map, each list in order.
type difference struct{ added, changed, deleted []string }

func diff[T any](before, after map[string]T) difference {
	var d difference
	for _, key := range slices.Sorted(maps.Keys(after)) {
		old, had := before[key]
		switch {
		case !had:
			d.added = append(d.added, key)
		case !reflect.DeepEqual(old, after[key]):
			d.changed = append(d.changed, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, has := after[key]; !has {
			d.deleted = append(d.deleted, key)
		}
	}
	return d
}

// words is "added <what> a, b, changed <what> c", or empty.
func (d difference) words(what string) string {
	var parts []string
	for _, group := range []struct {
		verb string
		keys []string
	}{{"added", d.added}, {"changed", d.changed}, {"deleted", d.deleted}} {
		if len(group.keys) > 0 {
			parts = append(parts, group.verb+" "+what+" "+strings.Join(group.keys, ", "))
		}
	}
	return strings.Join(parts, ", ")
}

// keys are all of them, in order.
func (d difference) keys() []string {
	return slices.Sorted(slices.Values(slices.Concat(d.added, d.changed, d.deleted)))
}

// changedKeys names what differs between two configs, by map: never a value.
func changedKeys(before, after platform.Config) map[string]string {
	attrs := make(map[string]string)
	old, now := textMaps(&before), textMaps(&after)
	for name := range now {
		if keys := diff(*old[name], *now[name]).keys(); len(keys) > 0 {
			attrs[name] = strings.Join(keys, ", ")
		}
	}
	if keys := diff(before.Healthchecks, after.Healthchecks).keys(); len(keys) > 0 {
		attrs["healthcheck"] = strings.Join(keys, ", ")
	}
	if keys := diff(before.Volumes, after.Volumes).keys(); len(keys) > 0 {
		attrs["volumes"] = strings.Join(keys, ", ")
	}
	return attrs
}
