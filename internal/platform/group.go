package platform

import (
	"fmt"
	"maps"
	"regexp"
	"time"
)

// ConfigGroup is a named set of environment variables that several apps share.
type ConfigGroup struct {
	UUID, Name, Owner string
	Values            map[string]string
	// Version counts the group's changes from 1.
	Version          int
	Created, Updated time.Time
}

// GroupValues is a group as a version of an app's config took it over.
type GroupValues struct {
	Name    string            `json:"name"`
	Version int               `json:"version"`
	Values  map[string]string `json:"values"`
}

// GroupOfApp is a group that is attached to an app.
type GroupOfApp struct {
	App      string
	Group    string // name
	UUID     string
	Position int // the higher one's values count
	// Due: the group changed, and the app was not told yet.
	Due bool
}

// Bounds of groups.
const (
	MaxGroups      = 100 // of a user
	MaxGroupsOfApp = 20
	MaxAppsOfGroup = 500
)

var groupName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// ValidGroupName checks a group's name, not whether it is free.
func ValidGroupName(name string) error {
	if len(name) > 63 || !groupName.MatchString(name) {
		return Invalid("name", "A group's name has at most 63 characters of a-z, 0-9 and - between them.")
	}
	return nil
}

// Env is the environment that a config stands for: the values of its groups in
// their order, and its own above them.
func (c Config) Env() map[string]string {
	env := make(map[string]string, len(c.Values))
	for _, group := range c.Groups {
		maps.Copy(env, group.Values)
	}
	maps.Copy(env, c.Values)
	return env
}

// GroupSummary is one of a change of a group for the ledger.
func GroupSummary(user, name string, before, after map[string]string) string {
	return fmt.Sprintf("%s changed group %s: %s", user, name, ConfigSummary(before, after))
}
