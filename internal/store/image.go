package store

import (
	"errors"

	"github.com/slipway-paas/slipway/internal/platform"
)

// ImagesInUse are the images that the builds of all apps name, the stacks
// below them, and those that are kept to build on, each once, in no order. With
// keep above zero, of each app those alone that its newest keep releases name,
// and the one that serves or is on its way.
func (tx *Tx) ImagesInUse(keep int) ([]string, error) {
	const stacks = " UNION SELECT image FROM stacks"
	if keep <= 0 {
		return all(tx, scanText, "SELECT image FROM builds UNION SELECT stack FROM builds WHERE stack <> ''"+stacks)
	}
	const used = `WITH numbered AS (
	SELECT build, state, version, ROW_NUMBER() OVER (PARTITION BY app ORDER BY version DESC) AS place,
		MAX(CASE WHEN state = 'succeeded' THEN version ELSE 0 END) OVER (PARTITION BY app) AS serving
	FROM releases
), used AS (
	SELECT build FROM numbered WHERE build IS NOT NULL AND (place <= ? OR version = serving OR state NOT IN ('succeeded', 'failed'))
)
SELECT image FROM builds WHERE uuid IN (SELECT build FROM used)
UNION SELECT stack FROM builds WHERE stack <> '' AND uuid IN (SELECT build FROM used)`
	return all(tx, scanText, used+stacks, keep)
}

// ImageQuota is how many bytes the app's images may hold, and whether somebody
// said so.
func (tx *Tx) ImageQuota(app string) (bytes int64, said bool, err error) {
	bytes, err = one(tx, platform.ErrNotFound, func(row scanner) (n int64, err error) {
		err = row.Scan(&n)
		return n, err
	}, "SELECT bytes FROM image_quotas WHERE app = ?", app)
	if errors.Is(err, platform.ErrNotFound) {
		return 0, false, nil
	}
	return bytes, err == nil, err
}

// SetImageQuota says so; nil: nobody does any more.
func (tx *Tx) SetImageQuota(app string, bytes *int64) error {
	if bytes == nil {
		_, err := tx.exec("DELETE FROM image_quotas WHERE app = ?", app)
		return err
	}
	_, err := tx.exec("INSERT INTO image_quotas (app, bytes) VALUES (?, ?) ON CONFLICT (app) DO UPDATE SET bytes = excluded.bytes", app, *bytes)
	return err
}
