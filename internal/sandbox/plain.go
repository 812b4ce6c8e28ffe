package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// supervise is a shell that waits at the gate, runs the command, and leaves
// the exit code in the status file. Signals for the session end the command,
// not the shell.
const supervise = `trap : TERM INT HUP QUIT USR1 USR2
IFS= read -r go <&4 || exit 125
exec 4<&-
"$@" 3>&-
code=$?
echo "{ \"exit-code\": $code }" >&3
exit $code`

// forkPlain forks a process group without namespaces.
func (s *Sandbox) forkPlain(h *held, p Process, files []*os.File) error {
	p, err := s.view(p)
	if err != nil {
		return err
	}
	p, h.seen = sealed(real(p, p.Mounts)), p.Mounts
	h.letGo = []byte("go\n")
	sh, err := lookPath("sh")
	if err != nil {
		return err
	}
	argv := []string{title(p.Name), "-c", supervise, title(p.Name)}
	if s.offer.Root {
		argv = append(argv, setpriv(p.UID)...)
	}
	if p.Dir == "" {
		p.Dir = "/"
	}
	return h.fork(sh, append(argv, p.Argv...), p.Env, p.Dir, files, p.Terminal)
}

// real rewrites the paths inside that mounts would have made to where things
// really are.
func real(p Process, mounts []Mount) Process {
	rewrite := func(path string) string {
		for _, mount := range slices.Backward(mounts) {
			if rest, ok := strings.CutPrefix(path, mount.Target); ok && (rest == "" || rest[0] == '/') {
				return filepath.Clean(mount.Source + rest)
			}
		}
		return path
	}
	argv, env := make([]string, len(p.Argv)), make([]string, len(p.Env))
	for i, arg := range p.Argv {
		argv[i] = rewrite(arg)
	}
	for i, entry := range p.Env {
		key, value, _ := strings.Cut(entry, "=")
		parts := strings.Split(value, ":")
		for j, part := range parts {
			parts[j] = rewrite(part)
		}
		env[i] = key + "=" + strings.Join(parts, ":")
	}
	p.Argv, p.Env, p.Dir = argv, env, rewrite(p.Dir)
	return p
}
