package process

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// programs is where programs are found; Go's own is there for what the Go
// buildpack left to run time.
const programs = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin"

// environment is what an instance sees: the app's config over the image's own
// over ours; HOME, TMPDIR, PORT and PORT_<n> are always ours.
func environment(spec platform.Spec, image []string, port int, ports map[int]int) []string {
	env := map[string]string{"PATH": programs, "LANG": "C.UTF-8", "USER": "app", "LOGNAME": "app", "SHELL": "/bin/bash"}
	for _, entry := range image {
		if key, value, ok := strings.Cut(entry, "="); ok {
			env[key] = value
		}
	}
	maps.Copy(env, spec.Env)
	env["HOME"], env["TMPDIR"] = "/app", "/tmp"
	if port != 0 {
		env["PORT"] = strconv.Itoa(port)
	}
	for known, own := range ports {
		env["PORT_"+strconv.Itoa(known)] = strconv.Itoa(own)
	}
	var entries []string
	for _, key := range slices.Sorted(maps.Keys(env)) {
		if key != "" && !strings.Contains(key, "=") {
			entries = append(entries, key+"="+env[key])
		}
	}
	return entries
}

// entrypoint is the image's, which the command line is handed to.
func (r *Runtime) entrypoint(image image) []string {
	entrypoint := slices.Clone(image.Entrypoint)
	if len(entrypoint) == 0 {
		entrypoint = []string{launcher}
	}
	if r.sandbox.Offer().Isolation != platform.IsolationSandbox && entrypoint[0] == launcher {
		return []string{"bash", "-c", launchAnywhere, launcher}
	}
	return entrypoint
}

const launcher = "/slipway/launch"

// launchAnywhere does what a slug's launcher does where there is no /app.
const launchAnywhere = `cd "$HOME" || exit 1
shopt -s nullglob
for profile in .profile.d/*.sh; do source "$profile"; done
exec bash -c "$*"`
