package store

import "github.com/slipway-paas/slipway/internal/platform"

const serviceColumns = "app, process, owner, pattern, created, updated"

func scanService(row scanner) (s platform.Service, err error) {
	err = row.Scan(&s.App, &s.Process, &s.Owner, &s.Pattern, at(&s.Created), at(&s.Updated))
	return s, err
}

// Services lists the app's path services, newest first.
func (tx *Tx) Services(app string) ([]platform.Service, error) {
	return all(tx, scanService, "SELECT "+serviceColumns+" FROM services WHERE app = ? ORDER BY created DESC, process COLLATE BINARY", app)
}

// PutService adds the service of a process type of an app, or replaces it.
func (tx *Tx) PutService(s platform.Service) error {
	_, err := tx.exec("INSERT INTO services ("+serviceColumns+`) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (app, process) DO UPDATE SET owner = excluded.owner, pattern = excluded.pattern,
			created = excluded.created, updated = excluded.updated`,
		s.App, s.Process, s.Owner, s.Pattern, micros(s.Created), micros(s.Updated))
	return err
}

// DeleteService removes it.
func (tx *Tx) DeleteService(app, process string) error {
	return tx.change(&platform.NotFoundError{Kind: "Service", ID: process}, "DELETE FROM services WHERE app = ? AND process = ?", app, process)
}
