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

// A group of config belongs to a user, who alone, beside superusers, sees and
// changes it. Whoever attaches one to an app has to be that user and operate
// the app; from then on all who operate the app see its values, as they see the
// app's own. A version of an app's config holds the values of its groups as
// they were, so what a release runs with never changes behind it: a change of a
// group is a release of every app that it is attached to and that its changer
// may operate.

// GroupStatus is a group with the apps it is attached to.
type GroupStatus struct {
	platform.ConfigGroup
	Apps []AppOfGroup
}

// AppOfGroup is an app of a group, or a group of an app.
type AppOfGroup struct {
	App, Group string
	// Version of the group, and the one that the app's current release has; 0
	// when the release is older than the attachment.
	Version, Has int
}

// State says in a word how the app's current release stands to the group.
func (a AppOfGroup) State() string {
	switch a.Has {
	case a.Version:
		return "current"
	case 0:
		return "missing"
	}
	return "behind"
}

// GroupDeploy is what a change of a group came to in one app.
type GroupDeploy struct {
	App     string
	Release int // 0: none was made
	Err     error
}

// owned returns the group when it is the caller's; to others it does not exist.
func ownedGroup(tx *store.Tx, caller platform.Caller, name string) (platform.ConfigGroup, error) {
	group, err := tx.Group(name)
	if err != nil {
		return platform.ConfigGroup{}, err
	}
	if group.Owner != caller.User && !caller.Admin {
		return platform.ConfigGroup{}, &platform.NotFoundError{Kind: "Group", ID: name}
	}
	return group, nil
}

// unbounded refuses tokens that are bounded to apps: a group is of its user's
// whole account.
func unbounded(caller platform.Caller) error {
	if caller.User == "" || caller.Scope.Bounded() {
		return fmt.Errorf("config groups: %w", platform.ErrForbidden)
	}
	return nil
}

// Groups lists the caller's groups, or all for superusers, by name and without
// their values, and how many there are.
func (c *Controller) Groups(ctx context.Context, caller platform.Caller, page platform.Page) (groups []platform.ConfigGroup, count int, err error) {
	if err := unbounded(caller); err != nil {
		return nil, 0, err
	}
	owner := caller.User
	if caller.Admin {
		owner = ""
	}
	err = c.store.Read(ctx, func(tx *store.Tx) (err error) {
		groups, count, err = tx.Groups(owner, page)
		return err
	})
	return groups, count, err
}

// Group is one of the caller's groups with its values and its apps.
func (c *Controller) Group(ctx context.Context, caller platform.Caller, name string) (status GroupStatus, err error) {
	if err := unbounded(caller); err != nil {
		return status, err
	}
	err = c.store.Read(ctx, func(tx *store.Tx) error {
		group, err := ownedGroup(tx, caller, name)
		if err != nil {
			return err
		}
		status = GroupStatus{ConfigGroup: group}
		apps, err := tx.AppsOfGroup(group.UUID)
		if err != nil {
			return err
		}
		for _, app := range apps {
			has, err := groupVersions(tx, app.App)
			if err != nil {
				return err
			}
			status.Apps = append(status.Apps, AppOfGroup{App: app.App, Group: name, Version: group.Version, Has: has[name]})
		}
		return nil
	})
	return status, err
}

// groupVersions are the groups that an app's current release has.
func groupVersions(tx *store.Tx, app string) (map[string]int, error) {
	has := make(map[string]int)
	release, err := tx.CurrentRelease(app)
	if err != nil {
		return has, unless(err, platform.ErrNotFound)
	}
	config, err := tx.Config(release.Config)
	for _, group := range config.Groups {
		has[group.Name] = group.Version
	}
	return has, err
}

// GroupsOf lists the groups that are attached to an app, in their order.
func (c *Controller) GroupsOf(ctx context.Context, caller platform.Caller, app string) ([]AppOfGroup, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) ([]AppOfGroup, error) {
		attached, err := tx.GroupsOfApp(app)
		if err != nil {
			return nil, err
		}
		has, err := groupVersions(tx, app)
		if err != nil {
			return nil, err
		}
		all := make([]AppOfGroup, 0, len(attached))
		for _, a := range attached {
			group, err := tx.Group(a.Group)
			if err != nil {
				return nil, err
			}
			all = append(all, AppOfGroup{App: app, Group: a.Group, Version: group.Version, Has: has[a.Group]})
		}
		return all, nil
	})
}

// CreateGroup makes a group of the caller without values.
func (c *Controller) CreateGroup(ctx context.Context, caller platform.Caller, name string) (group platform.ConfigGroup, err error) {
	if err := errors.Join(unbounded(caller), platform.ValidGroupName(name)); err != nil {
		return group, err
	}
	err = c.store.Write(ctx, func(tx *store.Tx) error {
		_, count, err := tx.Groups(caller.User, platform.Page{Limit: 1})
		if err != nil {
			return err
		}
		if count >= platform.MaxGroups {
			return platform.Invalid("name", "A user has at most %d groups.", platform.MaxGroups)
		}
		now := time.Now().Truncate(time.Second).UTC()
		group = platform.ConfigGroup{UUID: uuid.NewString(), Name: name, Owner: caller.User, Version: 1, Created: now, Updated: now}
		if err := tx.InsertGroup(group); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "group.created", "", map[string]string{"group": name}))
	})
	return group, err
}

// DestroyGroup removes a group that is attached to no app. ErrConflict when it is.
func (c *Controller) DestroyGroup(ctx context.Context, caller platform.Caller, name string) error {
	if err := unbounded(caller); err != nil {
		return err
	}
	return c.store.Write(ctx, func(tx *store.Tx) error {
		group, err := ownedGroup(tx, caller, name)
		if err != nil {
			return err
		}
		if err := tx.DeleteGroup(group); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "group.destroyed", "", map[string]string{"group": name}))
	})
}

// SetGroup changes values of a group, nil ones are removed, and deploys its
// apps with them one after the other. What came of each is in the answer: one
// that fails does not keep the others. ErrConflict when nothing changes.
func (c *Controller) SetGroup(ctx context.Context, caller platform.Caller, name string, patch map[string]*string) (GroupStatus, []GroupDeploy, error) {
	if err := errors.Join(unbounded(caller), validValues(patch)); err != nil {
		return GroupStatus{}, nil, err
	}
	var before, group platform.ConfigGroup
	var apps []platform.GroupOfApp
	err := c.store.Write(ctx, func(tx *store.Tx) (err error) {
		if before, err = ownedGroup(tx, caller, name); err != nil {
			return err
		}
		if group, err = patchedGroup(caller, before, patch); err != nil {
			return err
		}
		if apps, err = tx.AppsOfGroup(group.UUID); err != nil {
			return err
		}
		keys := strings.Join(diff(before.Values, group.Values).keys(), ", ")
		return errors.Join(tx.UpdateGroup(group), tx.SetGroupDue(group.UUID),
			tx.InsertEvent(event(caller, "group.changed", "", map[string]string{"group": name, "values": keys})))
	})
	if err != nil {
		return GroupStatus{}, nil, err
	}
	summary := platform.GroupSummary(caller.User, name, before.Values, group.Values)
	deploys := make([]GroupDeploy, 0, len(apps))
	for _, app := range apps {
		deploys = append(deploys, c.deployGroups(ctx, caller, app.App, summary))
	}
	status, err := c.Group(ctx, caller, name)
	return status, deploys, err
}

func validValues(patch map[string]*string) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(patch)) {
		value := ""
		if patch[key] != nil {
			value = *patch[key]
		} else if key == "PORT" {
			continue
		}
		errs = append(errs, platform.ValidConfigVar(key, value))
	}
	return errors.Join(errs...)
}

func patchedGroup(caller platform.Caller, group platform.ConfigGroup, patch map[string]*string) (platform.ConfigGroup, error) {
	after, err := patched("values", group.Values, patch)
	if err != nil {
		return group, err
	}
	if maps.Equal(group.Values, after) {
		return group, unchanged(caller)
	}
	if size := configSize(platform.Config{Values: after}); size > maxConfig && size > configSize(platform.Config{Values: group.Values}) {
		return group, platform.Invalid("values", "A group has at most %d bytes in all", maxConfig)
	}
	group.Values, group.Updated = after, time.Now().Truncate(time.Second).UTC()
	group.Version++
	return group, nil
}

// deployGroups has an app take over its groups as they are now.
func (c *Controller) deployGroups(ctx context.Context, caller platform.Caller, app, summary string) GroupDeploy {
	result := GroupDeploy{App: app}
	release, err := c.takeGroups(ctx, caller, app, summary, func(*store.Tx) error { return nil })
	if errors.Is(err, platform.ErrForbidden) {
		err = &platform.UserError{
			Kind: platform.ErrForbidden, Message: fmt.Sprintf("%s may not operate %s, which stays as it is", caller.User, app),
			Cure: fmt.Sprintf("Who may takes the new values with: slipway groups attach NAME -a %s", app),
		}
		if told := c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.SetAppTold(app) }); told != nil {
			err = errors.Join(err, told)
		}
	}
	result.Release, result.Err = release.Version, err
	return result
}

// takeGroups writes and deploys a release with the app's groups as they are
// now, after change, and blocks until the outcome. It waits for a release that
// is under way.
func (c *Controller) takeGroups(ctx context.Context, caller platform.Caller, app, summary string, change func(*store.Tx) error) (release platform.Release, err error) {
	for {
		release, err = c.newRelease(ctx, caller, app, platform.RoleOperator, func(tx *store.Tx, current *deployable) (platform.Release, error) {
			if err := change(tx); err != nil {
				return platform.Release{}, err
			}
			config, err := c.regrouped(tx, caller, app, current.config)
			if err != nil {
				return platform.Release{}, err
			}
			if err := errors.Join(tx.InsertConfig(config), tx.SetAppTold(app)); err != nil {
				return platform.Release{}, err
			}
			keys := diff(current.config.Env(), config.Env()).keys()
			attrs := map[string]string{"summary": summary, "values": strings.Join(keys, ", ")}
			if err := tx.InsertEvent(event(caller, "config.changed", app, attrs)); err != nil {
				return platform.Release{}, err
			}
			return platform.Release{Config: config.UUID, Build: current.release.Build, Summary: summary}, nil
		})
		if !errors.Is(err, platform.ErrBusy) {
			break
		}
		if err := c.awaitIdle(ctx, app); err != nil {
			return platform.Release{}, err
		}
	}
	if err != nil {
		return release, err
	}
	c.note(app, "INFO %s", summary)
	return c.outcome(ctx, app, release.Version)
}

// regrouped is the next version of a config, with the app's groups as they are.
func (c *Controller) regrouped(tx *store.Tx, caller platform.Caller, app string, config platform.Config) (platform.Config, error) {
	attached, err := tx.GroupsOfApp(app)
	if err != nil {
		return platform.Config{}, err
	}
	before := configSize(config)
	config.Groups = nil
	for _, a := range attached {
		group, err := tx.Group(a.Group)
		if err != nil {
			return platform.Config{}, err
		}
		config.Groups = append(config.Groups, platform.GroupValues{Name: group.Name, Version: group.Version, Values: group.Values})
	}
	if size := configSize(config); size > maxConfig && size > before {
		return platform.Config{}, platform.Invalid("values", "An app's config has at most %d bytes in all, those of its groups included", maxConfig)
	}
	now := time.Now().Truncate(time.Second).UTC()
	config.UUID, config.App, config.Owner, config.Created, config.Updated = uuid.NewString(), app, caller.User, now, now
	return config, nil
}

// AttachGroup puts the values of a group below the app's own and above those of
// groups that were attached before, as a new release. For one that is attached
// already the app takes over its present values; ErrConflict when it has them.
func (c *Controller) AttachGroup(ctx context.Context, caller platform.Caller, app, name string) (AppOfGroup, error) {
	summary := fmt.Sprintf("%s attached group %s", caller.User, name)
	_, err := c.takeGroups(ctx, caller, app, summary, func(tx *store.Tx) error { return attachable(tx, caller, app, name) })
	if err != nil {
		return AppOfGroup{}, err
	}
	return c.groupOf(ctx, caller, app, name)
}

// attachable attaches a group unless it is, if the caller may.
func attachable(tx *store.Tx, caller platform.Caller, app, name string) error {
	attached, err := tx.GroupsOfApp(app)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(attached, func(a platform.GroupOfApp) bool { return a.Group == name }) {
		has, err := groupVersions(tx, app)
		if err != nil {
			return err
		}
		group, err := tx.Group(name)
		if err == nil && has[name] == group.Version {
			err = unchanged(caller)
		}
		return err
	}
	group, err := ownedGroup(tx, caller, name)
	if err != nil {
		return err
	}
	if err := unbounded(caller); err != nil {
		return err
	}
	apps, err := tx.AppsOfGroup(group.UUID)
	switch {
	case err != nil:
		return err
	case len(attached) >= platform.MaxGroupsOfApp:
		return platform.Invalid("group", "An app has at most %d groups.", platform.MaxGroupsOfApp)
	case len(apps) >= platform.MaxAppsOfGroup:
		return platform.Invalid("group", "A group is attached to at most %d apps.", platform.MaxAppsOfGroup)
	}
	return tx.AttachGroup(app, group.UUID)
}

func (c *Controller) groupOf(ctx context.Context, caller platform.Caller, app, name string) (AppOfGroup, error) {
	all, err := c.GroupsOf(ctx, caller, app)
	if at := slices.IndexFunc(all, func(a AppOfGroup) bool { return a.Group == name }); err == nil && at >= 0 {
		return all[at], nil
	}
	return AppOfGroup{App: app, Group: name}, err
}

// DetachGroup takes a group's values from the app, as a new release. Whoever
// operates the app may.
func (c *Controller) DetachGroup(ctx context.Context, caller platform.Caller, app, name string) error {
	summary := fmt.Sprintf("%s detached group %s", caller.User, name)
	_, err := c.takeGroups(ctx, caller, app, summary, func(tx *store.Tx) error {
		attached, err := tx.GroupsOfApp(app)
		if err != nil {
			return err
		}
		for _, a := range attached {
			if a.Group == name {
				return tx.DetachGroup(app, a.UUID)
			}
		}
		return &platform.NotFoundError{Kind: "Group", ID: name}
	})
	return err
}

// resumeGroups tells the apps that were not told before a crash, as if the
// groups' owners changed them now.
func (c *Controller) resumeGroups(ctx context.Context) error {
	callers, summaries := make(map[string]platform.Caller), make(map[string]string)
	err := c.store.Read(ctx, func(tx *store.Tx) error {
		due, err := tx.DueGroups()
		if err != nil {
			return err
		}
		for _, d := range due {
			group, err := tx.Group(d.Group)
			if err != nil {
				return err
			}
			owner, err := tx.User(group.Owner)
			if err != nil {
				return err
			}
			callers[d.App] = platform.Caller{User: owner.Username, Admin: owner.Superuser}
			summaries[d.App] = fmt.Sprintf("%s changed group %s", owner.Username, d.Group)
		}
		return nil
	})
	if err != nil || len(callers) == 0 {
		return err
	}
	c.goRun(func() {
		for _, app := range slices.Sorted(maps.Keys(callers)) {
			if result := c.deployGroups(c.work, callers[app], app, summaries[app]); result.Err != nil && c.work.Err() == nil {
				c.log.Warn("an app did not take over its groups", "app", app, "err", result.Err)
			}
		}
	})
	return nil
}
