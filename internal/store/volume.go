package store

// ForgetVolume notes that the data of a volume of the app of that uuid shall
// go; with an empty name, all of a destroyed app, under one of its ids.
func (tx *Tx) ForgetVolume(uuid, app, name string) error {
	_, err := tx.exec("INSERT INTO forgotten_volumes (uuid, app, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", uuid, app, name)
	return err
}

// ForgottenVolumes lists the volumes of an app whose data shall go and has
// not, in order.
func (tx *Tx) ForgottenVolumes(uuid string) ([]string, error) {
	return all(tx, scanText, "SELECT name FROM forgotten_volumes WHERE uuid = ? AND name <> '' ORDER BY name COLLATE BINARY", uuid)
}

// VolumeForgotten takes note that a volume's data has gone.
func (tx *Tx) VolumeForgotten(uuid, name string) error {
	_, err := tx.exec("DELETE FROM forgotten_volumes WHERE uuid = ? AND name = ?", uuid, name)
	return err
}

// Orphans lists the uuids of destroyed apps that had this id and whose volumes
// have not gone. Others says of each whether instances may have them under
// another id of it.
func (tx *Tx) Orphans(app string) (uuids []string, others map[string]bool, err error) {
	if uuids, err = all(tx, scanText, "SELECT uuid FROM forgotten_volumes WHERE app = ? AND name = '' ORDER BY uuid COLLATE BINARY", app); err != nil {
		return nil, nil, err
	}
	others = make(map[string]bool)
	for _, uuid := range uuids {
		n, err := tx.count("SELECT COUNT(*) FROM forgotten_volumes WHERE uuid = ? AND name = '' AND app <> ?", uuid, app)
		if err != nil {
			return nil, nil, err
		}
		others[uuid] = n > 0
	}
	return uuids, others, nil
}

// OrphanLeft takes note that nothing of a destroyed app runs under an id; with
// gone, that all of its volumes have gone.
func (tx *Tx) OrphanLeft(uuid, app string, gone bool) error {
	query, args := "DELETE FROM forgotten_volumes WHERE uuid = ? AND app = ? AND name = ''", []any{uuid, app}
	if gone {
		query, args = "DELETE FROM forgotten_volumes WHERE uuid = ?", []any{uuid}
	}
	_, err := tx.exec(query, args...)
	return err
}
