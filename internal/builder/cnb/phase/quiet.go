package phase

import (
	"bytes"
	"io"
)

// quiet leaves out what tells a user nothing: files that a builder image need
// not have, and names that images have in here alone. The logger writes an
// entry at once.
type quiet struct{ to io.Writer }

func (q quiet) Write(entry []byte) (int, error) {
	for _, part := range []string{"Did not find SBOM", Registry, "*** Images (", "Adding label 'io.buildpacks.", "labels not found, reading /etc/os-release"} {
		if bytes.Contains(entry, []byte(part)) {
			return len(entry), nil
		}
	}
	return q.to.Write(entry)
}
