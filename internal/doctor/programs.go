package doctor

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// oldestGit is the first version with what the git endpoint relies on: push
// options and an object quarantine while pre-receive runs.
var oldestGit = [2]int{2, 11}

var gitVersion = regexp.MustCompile(`git version (\d+)\.(\d+)\S*`)

func git(ctx context.Context, _ Options) []Finding {
	const cure = "apt-get install git"
	said, err := say(ctx, "git", "--version")
	if err != nil {
		return one("git", Fail, "git does not run: nobody can push ("+err.Error()+")", cure)
	}
	m := gitVersion.FindStringSubmatch(said)
	if m == nil {
		return one("git", Warn, fmt.Sprintf("git names no version this check knows: %q", said), "")
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	if major < oldestGit[0] || major == oldestGit[0] && minor < oldestGit[1] {
		return one("git", Fail, fmt.Sprintf("%s is too old: pushes need %d.%d", m[0], oldestGit[0], oldestGit[1]), cure)
	}
	return one("git", OK, m[0], "")
}

// toolchain is what a bundled buildpack needs of this machine.
type toolchain struct {
	name   string   // of the language
	argv   []string // alone: being there is enough
	debian string
}

func toolchains(ctx context.Context, _ Options) []Finding {
	var found []Finding
	for _, tool := range []toolchain{
		{"Go", []string{"go", "version"}, "golang-go"},
		{"Node.js", []string{"node", "--version"}, "nodejs"},
		{"Node.js", []string{"npm"}, "npm"},
		{"Python", []string{"python3", "--version"}, "python3"},
		{"Python", pythonHas("ensurepip"), "python3-venv"},
		{"Python", pythonHas("pip"), "python3-pip"},
	} {
		found = append(found, tool.look(ctx))
	}
	return found
}

func dockerfiles(_ context.Context, o Options) []Finding {
	const name = "Dockerfiles"
	if o.Dockerfiles == nil {
		return nil
	}
	if problem := o.Dockerfiles(); problem != nil {
		return one(name, Warn, problem.Message, problem.Cure)
	}
	return one(name, OK, "a pushed Dockerfile is built by BuildKit with runc", "")
}

// pythonHas asks for a module without running any of it.
func pythonHas(module string) []string {
	return []string{"python3", "-c", "import importlib.util, sys; print('has " + module + "') if importlib.util.find_spec('" + module + "') else sys.exit('no " + module + "')"}
}

func (t toolchain) look(ctx context.Context) Finding {
	name := "buildpack " + t.name
	said, err := say(ctx, t.argv...)
	if err != nil {
		return Finding{
			name, Warn, fmt.Sprintf("%s is missing: %s apps may not build (%v)", t.debian, t.name, err),
			"apt-get install " + t.debian,
		}
	}
	return Finding{name, OK, strings.TrimSpace(t.argv[0] + " " + strings.TrimPrefix(said, t.argv[0]+" ")), ""}
}

// say runs a program and returns the first line of what it prints.
func say(ctx context.Context, argv ...string) (string, error) {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return "", fmt.Errorf("%s is not in PATH", argv[0])
	}
	if len(argv) == 1 {
		return path, nil
	}
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s did not end in %s", argv[0], checkTimeout)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(argv[:min(2, len(argv))], " "), err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line, nil
}
