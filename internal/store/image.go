package store

// ImagesInUse are the images that the builds of all apps name, and the stacks
// below them, each once, in no order. With keep above zero, of each app those
// alone that its newest keep releases name, and the one that serves or is on
// its way.
func (tx *Tx) ImagesInUse(keep int) ([]string, error) {
	if keep <= 0 {
		return all(tx, scanText, "SELECT image FROM builds UNION SELECT stack FROM builds WHERE stack <> ''")
	}
	const used = `WITH newest AS (
	SELECT app, build, state, version, ROW_NUMBER() OVER (PARTITION BY app ORDER BY version DESC) AS place,
		MAX(CASE WHEN state = 'succeeded' THEN version ELSE 0 END) OVER (PARTITION BY app) AS serving
	FROM releases
), used AS (
	SELECT build FROM newest WHERE build IS NOT NULL AND (place <= ? OR version = serving OR state NOT IN ('succeeded', 'failed'))
)
SELECT image FROM builds WHERE uuid IN (SELECT build FROM used)
UNION SELECT stack FROM builds WHERE stack <> '' AND uuid IN (SELECT build FROM used)`
	return all(tx, scanText, used, keep)
}
