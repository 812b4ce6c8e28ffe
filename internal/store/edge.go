package store

import (
	"encoding/json"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

func scanEdge(row scanner) (edge platform.Edge, err error) {
	err = row.Scan(fromJSON(&edge))
	return edge, err
}

// Edge is what the app's team asks of the routers; not found is of kind "App",
// for every app has one, if an empty one.
func (tx *Tx) Edge(app string) (platform.Edge, error) {
	return one(tx, noApp(app), scanEdge, "SELECT COALESCE(edges.edge, '{}') FROM apps LEFT JOIN edges ON edges.app = apps.id WHERE apps.id = ?", app)
}

// PutEdge replaces that.
func (tx *Tx) PutEdge(app string, edge platform.Edge, updated time.Time) error {
	text, err := json.Marshal(edge)
	if err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO edges (app, edge, updated) VALUES (?, ?, ?)
		ON CONFLICT (app) DO UPDATE SET edge = excluded.edge, updated = excluded.updated`, app, string(text), micros(updated))
	return err
}
