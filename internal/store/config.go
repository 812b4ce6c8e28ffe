package store

import (
	"encoding/json"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

const configColumns = "uuid, app, owner, vars, memory, cpu, healthchecks, grace, tags, registry, post_start, pre_stop, volumes, shared, created, updated"

// scanConfig reads all but the secrets, which it leaves sealed.
func scanConfig(row scanner) (c sealedConfig, err error) {
	err = row.Scan(&c.UUID, &c.App, &c.Owner, &c.vars, fromJSON(&c.Memory), fromJSON(&c.CPU),
		fromJSON(&c.Healthchecks), fromJSON(&c.Grace), fromJSON(&c.Tags), &c.registry, fromJSON(&c.PostStart), fromJSON(&c.PreStop), fromJSON(&c.Volumes), &c.shared,
		at(&c.Created), at(&c.Updated))
	return c, err
}

type sealedConfig struct {
	platform.Config
	vars, registry, shared string
}

// Where the secrets of a config are kept, for the ring.
func aboutVars(uuid string) string     { return "configs.vars/" + uuid }
func aboutRegistry(uuid string) string { return "configs.registry/" + uuid }
func aboutShared(uuid string) string   { return "configs.shared/" + uuid }

// InsertConfig adds one immutable version of an app's config. Its values,
// its registry and its groups are sealed.
func (tx *Tx) InsertConfig(c platform.Config) error {
	vars := tx.ring.Seal([]byte(asJSON(c.Values)), aboutVars(c.UUID))
	registry := tx.ring.Seal([]byte(asJSON(c.Registry)), aboutRegistry(c.UUID))
	_, err := tx.exec("INSERT INTO configs ("+configColumns+", sealed_under) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		c.UUID, c.App, c.Owner, vars, asJSON(c.Memory), asJSON(c.CPU),
		asJSON(c.Healthchecks), asJSON(c.Grace), asJSON(c.Tags), registry, asJSON(c.PostStart), asJSON(c.PreStop), asJSON(c.Volumes), tx.sharedText(c),
		micros(c.Created), micros(c.Updated), secret.KeyID(vars)) // sealed first: should the key change in between, the row is stale
	return err
}

// Config looks a config up by its uuid. One that cannot be opened is an error
// that matches platform.ErrUnavailable and names the app, the key and the cure.
func (tx *Tx) Config(uuid string) (platform.Config, error) {
	sealed, err := one(tx, &platform.NotFoundError{Kind: "Config", ID: uuid}, scanConfig,
		"SELECT "+configColumns+" FROM configs WHERE uuid = ?", uuid)
	if err != nil {
		return platform.Config{}, err
	}
	c := sealed.Config
	if err := tx.openJSON(sealed.vars, aboutVars(uuid), &c.Values); err != nil {
		return platform.Config{}, cannotOpen("the config of app "+c.App, err)
	}
	if err := tx.openJSON(sealed.registry, aboutRegistry(uuid), &c.Registry); err != nil {
		return platform.Config{}, cannotOpen("the registry of app "+c.App, err)
	}
	if err := tx.openShared(sealed.shared, uuid, &c.Groups); err != nil {
		return platform.Config{}, cannotOpen("the groups of app "+c.App, err)
	}
	return c, nil
}

func (tx *Tx) openJSON(sealed, about string, into any) error {
	plain, err := tx.ring.Open(sealed, about)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, into)
}
