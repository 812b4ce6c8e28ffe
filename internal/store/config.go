package store

import "github.com/slipway-paas/slipway/internal/platform"

const configColumns = "uuid, app, owner, vars, memory, cpu, healthchecks, grace, created, updated"

func scanConfig(row scanner) (c platform.Config, err error) {
	err = row.Scan(&c.UUID, &c.App, &c.Owner, fromJSON(&c.Values), fromJSON(&c.Memory), fromJSON(&c.CPU),
		fromJSON(&c.Healthchecks), fromJSON(&c.Grace), at(&c.Created), at(&c.Updated))
	return c, err
}

// InsertConfig adds one immutable version of an app's config.
func (tx *Tx) InsertConfig(c platform.Config) error {
	_, err := tx.exec("INSERT INTO configs ("+configColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		c.UUID, c.App, c.Owner, asJSON(c.Values), asJSON(c.Memory), asJSON(c.CPU),
		asJSON(c.Healthchecks), asJSON(c.Grace), micros(c.Created), micros(c.Updated))
	return err
}

// Config looks a config up by its uuid.
func (tx *Tx) Config(uuid string) (platform.Config, error) {
	return one(tx, &platform.NotFoundError{Kind: "Config", ID: uuid}, scanConfig,
		"SELECT "+configColumns+" FROM configs WHERE uuid = ?", uuid)
}
