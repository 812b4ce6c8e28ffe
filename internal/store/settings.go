package store

import (
	"encoding/json"

	"github.com/slipway-paas/slipway/internal/platform"
)

const settingsColumns = "uuid, app, owner, maintenance, routable, deploy_branch, whitelist, labels, autoscale, created, updated"

func scanSettings(row scanner) (s platform.Settings, err error) {
	err = row.Scan(&s.UUID, &s.App, &s.Owner, &s.Maintenance, &s.Routable, &s.DeployBranch,
		fromJSON(&s.Whitelist), fromJSON(&s.Labels), fromJSON(&s.Autoscale), at(&s.Created), at(&s.Updated))
	return s, err
}

// Settings are the app's; not found is of kind "App", for every app has them.
func (tx *Tx) Settings(app string) (platform.Settings, error) {
	return one(tx, noApp(app), scanSettings, "SELECT "+settingsColumns+" FROM settings WHERE app = ?", app)
}

// PutSettings replaces the app's settings. A label that is no JSON is a
// FieldError of "label".
func (tx *Tx) PutSettings(s platform.Settings) error {
	for name, value := range s.Labels {
		if !json.Valid(value) {
			return platform.Invalid("label", "%s is no JSON value", name)
		}
	}
	_, err := tx.exec("INSERT INTO settings ("+settingsColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (app) DO UPDATE SET uuid = excluded.uuid, owner = excluded.owner, maintenance = excluded.maintenance,
			routable = excluded.routable, deploy_branch = excluded.deploy_branch, whitelist = excluded.whitelist,
			labels = excluded.labels, autoscale = excluded.autoscale, created = excluded.created, updated = excluded.updated`,
		s.UUID, s.App, s.Owner, s.Maintenance, s.Routable, s.DeployBranch, asList(s.Whitelist), asJSON(s.Labels), asJSON(s.Autoscale),
		micros(s.Created), micros(s.Updated))
	return err
}
