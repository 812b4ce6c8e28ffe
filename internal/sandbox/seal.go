package sandbox

import (
	"fmt"
	"strings"
)

// sealPrefix begins the names that an environment travels under.
const sealPrefix = "SLIPWAY_SEALED_"

// ownEnv is the environment of the sandbox's own programs. It must be enough
// to find nsenter(1).
const ownEnv = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

// sealed returns p with its environment out of reach of every program that
// runs before the command: those hold the platform's privileges, and variables
// such as LD_PRELOAD would run the app's code in them. Each entry travels as
// the value of a variable that nobody heeds; env(1), started when the
// privileges are gone, opens them. None of it is ever on a command line:
// env expands the names after it has begun.
func sealed(p Process) Process {
	env, open := []string{ownEnv}, []string{"-i"}
	for _, entry := range p.Env {
		if name, _, ok := strings.Cut(entry, "="); !ok || name == "" {
			continue // env would take it for the command
		}
		name := fmt.Sprintf("%s%d", sealPrefix, len(open))
		env, open = append(env, name+"="+entry), append(open, "${"+name+"}")
	}
	argv := []string{"/usr/bin/env", "--split-string", strings.Join(open, " ")}
	if strings.Contains(p.Argv[0], "=") {
		argv = append(argv, "/bin/sh", "-c", `exec "$0" "$@"`) // env would take it for a variable
	}
	p.Env, p.Argv = env, append(argv, p.Argv...)
	return p
}

// unsealed reports whether an environment is the command's own already.
func unsealed(environ []string) bool {
	for _, entry := range environ {
		if strings.HasPrefix(entry, sealPrefix) {
			return false
		}
	}
	return true
}
