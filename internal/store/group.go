package store

import (
	"encoding/json"
	"fmt"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

const groupColumns = "uuid, name, owner, vars, version, created, updated"

func aboutGroup(uuid string) string { return "config_groups.vars/" + uuid }

func noGroup(name string) error { return &platform.NotFoundError{Kind: "Group", ID: name} }

type sealedGroup struct {
	platform.ConfigGroup
	vars string
}

func scanGroup(row scanner) (g sealedGroup, err error) {
	err = row.Scan(&g.UUID, &g.Name, &g.Owner, &g.vars, &g.Version, at(&g.Created), at(&g.Updated))
	return g, err
}

// InsertGroup adds a group. A taken name is a FieldError of "name".
func (tx *Tx) InsertGroup(g platform.ConfigGroup) error {
	vars := tx.ring.Seal([]byte(asJSON(g.Values)), aboutGroup(g.UUID))
	_, err := tx.exec("INSERT INTO config_groups ("+groupColumns+", sealed_under) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		g.UUID, g.Name, g.Owner, vars, g.Version, micros(g.Created), micros(g.Updated), secret.KeyID(vars))
	return err
}

// UpdateGroup stores the values, version and updated time of g, which is found
// by its uuid.
func (tx *Tx) UpdateGroup(g platform.ConfigGroup) error {
	vars := tx.ring.Seal([]byte(asJSON(g.Values)), aboutGroup(g.UUID))
	return tx.change(noGroup(g.Name), "UPDATE config_groups SET vars = ?, version = ?, updated = ?, sealed_under = ? WHERE uuid = ?",
		vars, g.Version, micros(g.Updated), secret.KeyID(vars), g.UUID)
}

// Group looks a group up by its name.
func (tx *Tx) Group(name string) (platform.ConfigGroup, error) {
	sealed, err := one(tx, noGroup(name), scanGroup, "SELECT "+groupColumns+" FROM config_groups WHERE name = ?", name)
	if err != nil {
		return platform.ConfigGroup{}, err
	}
	return tx.openGroup(sealed)
}

func (tx *Tx) openGroup(sealed sealedGroup) (platform.ConfigGroup, error) {
	g := sealed.ConfigGroup
	if err := tx.openJSON(sealed.vars, aboutGroup(g.UUID), &g.Values); err != nil {
		return platform.ConfigGroup{}, cannotOpen("the config group "+g.Name, err)
	}
	return g, nil
}

// Groups lists a page of the owner's groups, or of all when owner is empty, by
// name and without their values, and how many there are.
func (tx *Tx) Groups(owner string, page platform.Page) ([]platform.ConfigGroup, int, error) {
	s := selection{columns: groupColumns, from: "config_groups", order: "name COLLATE BINARY"}
	if owner != "" {
		s.from, s.args = s.from+" WHERE owner = ?", []any{owner}
	}
	sealed, count, err := window(tx, page, scanGroup, s)
	groups := make([]platform.ConfigGroup, 0, len(sealed))
	for _, g := range sealed {
		groups = append(groups, g.ConfigGroup)
	}
	return groups, count, err
}

// DeleteGroup removes one that is attached to no app; else the error matches
// platform.ErrConflict.
func (tx *Tx) DeleteGroup(g platform.ConfigGroup) error {
	apps, err := tx.AppsOfGroup(g.UUID)
	if err != nil {
		return err
	}
	if len(apps) > 0 {
		return &platform.UserError{
			Kind: platform.ErrConflict, Message: fmt.Sprintf("Group %s is attached to %s.", g.Name, apps[0].App),
			Cure: "Detach it from all of its apps first.",
		}
	}
	return tx.change(noGroup(g.Name), "DELETE FROM config_groups WHERE uuid = ?", g.UUID)
}

const groupOfAppColumns = "a.app, g.name, g.uuid, a.position, a.due FROM config_group_apps a JOIN config_groups g ON g.uuid = a.group_uuid"

func scanGroupOfApp(row scanner) (g platform.GroupOfApp, err error) {
	err = row.Scan(&g.App, &g.Group, &g.UUID, &g.Position, &g.Due)
	return g, err
}

// AppsOfGroup are the apps a group is attached to, by id.
func (tx *Tx) AppsOfGroup(uuid string) ([]platform.GroupOfApp, error) {
	return all(tx, scanGroupOfApp, "SELECT "+groupOfAppColumns+" WHERE a.group_uuid = ? ORDER BY a.app COLLATE BINARY", uuid)
}

// GroupsOfApp are the groups that are attached to an app, in their order.
func (tx *Tx) GroupsOfApp(app string) ([]platform.GroupOfApp, error) {
	return all(tx, scanGroupOfApp, "SELECT "+groupOfAppColumns+" WHERE a.app = ? ORDER BY a.position", app)
}

// DueGroups are the apps that were not told yet that a group of theirs changed.
func (tx *Tx) DueGroups() ([]platform.GroupOfApp, error) {
	return all(tx, scanGroupOfApp, "SELECT "+groupOfAppColumns+" WHERE a.due ORDER BY a.app COLLATE BINARY, a.position")
}

// AttachGroup puts a group after those of the app.
func (tx *Tx) AttachGroup(app, uuid string) error {
	last, err := tx.count("SELECT COALESCE(MAX(position), 0) FROM config_group_apps WHERE app = ?", app)
	if err != nil {
		return err
	}
	_, err = tx.exec("INSERT INTO config_group_apps (app, group_uuid, position, due) VALUES (?, ?, ?, FALSE)", app, uuid, last+1)
	return err
}

// DetachGroup ends that.
func (tx *Tx) DetachGroup(app, uuid string) error {
	return tx.change(noGroup(uuid), "DELETE FROM config_group_apps WHERE app = ? AND group_uuid = ?", app, uuid)
}

// SetGroupDue notes for all apps of a group that they are to be told of a change.
func (tx *Tx) SetGroupDue(uuid string) error {
	_, err := tx.exec("UPDATE config_group_apps SET due = TRUE WHERE group_uuid = ?", uuid)
	return err
}

// SetAppTold notes that an app was told of the changes of all of its groups.
func (tx *Tx) SetAppTold(app string) error {
	_, err := tx.exec("UPDATE config_group_apps SET due = FALSE WHERE app = ? AND due", app)
	return err
}

// sharedText is the groups of a config as its column holds them.
func (tx *Tx) sharedText(c platform.Config) string {
	if len(c.Groups) == 0 {
		return "[]"
	}
	text, err := json.Marshal(c.Groups)
	if err != nil {
		panic(fmt.Sprintf("store: groups have no JSON form: %v", err)) // impossible
	}
	return tx.ring.Seal(text, aboutShared(c.UUID))
}

func (tx *Tx) openShared(text, uuid string, groups *[]platform.GroupValues) error {
	if text == "[]" {
		return nil
	}
	return tx.openJSON(text, aboutShared(uuid), groups)
}
