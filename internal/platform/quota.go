package platform

import (
	"fmt"
	"regexp"
)

// OverQuota words what the registry says of an app whose images hold so many
// bytes, when more would be above the limit.
func OverQuota(app string, used, limit int64) string {
	const mib = 1 << 20
	return fmt.Sprintf("the images of app %s hold %.1f of the %.1f MiB they may: delete tags you do not need and have an administrator run slipway images gc, or ask for a larger quota",
		app, float64(used)/mib, float64(limit)/mib)
}

var overQuota = regexp.MustCompile(`the images of app [a-z0-9-]+ hold [0-9.]+ of the [0-9.]+ MiB they may: [a-z ,]+ or ask for a larger quota`)

// AsOverQuota is err as what its user can mend, when the registry refused a
// push with those words: whichever client pushed, its error repeats them.
func AsOverQuota(err error) error {
	if err == nil {
		return nil
	}
	if words := overQuota.FindString(err.Error()); words != "" {
		return &UserError{Kind: ErrConflict, Message: words}
	}
	return err
}
