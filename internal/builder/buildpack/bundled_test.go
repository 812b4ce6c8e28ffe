package buildpack_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAProcfileAloneBuilds(t *testing.T) {
	s := open(t, nil)
	repository := example(t, "hello-procfile")
	result, out := s.build(t, repository, nil)
	contains(t, out, "-----> Procfile app detected\n", "-----> Discovering process types\n       Procfile declares types -> web\n", "-----> Compiled slug size is ")
	if result.Procfile["web"] != "python3 server.py" || result.Detected != "Procfile" || result.Size == 0 || result.Kind != platform.ImageSlug {
		t.Errorf("%+v", result)
	}
	if !strings.HasPrefix(result.Image, "blog@sha256:") {
		t.Errorf("image %s", result.Image)
	}
	files := s.files(t, result.Image)
	contains(t, files["slipway/launch"], "exec bash -c")
	contains(t, files["app/server.py"], "Says hello")
	started := time.Now()
	again, _ := s.build(t, repository, nil)
	t.Logf("second build took %s", time.Since(started))
	if again.Image != result.Image {
		t.Errorf("%s, then %s", result.Image, again.Image)
	}
	s.clean(t)
}

// The programs are small: a first build compiles what they need of Go itself.
var goTree = map[string]string{
	"go.mod":   "module example.com/hello\n\ngo 1.22\n",
	"main.go":  "package main\n\nfunc main() { println(`hello`) }\n",
	"Procfile": "web: bin/hello\n",
}

var goTreeWithModule = map[string]string{
	"go.mod": "module example.com/hello\n\ngo 1.22\n\nrequire github.com/inconshreveable/mousetrap v1.1.0\n",
	"go.sum": `github.com/inconshreveable/mousetrap v1.1.0 h1:wN+x4NVGpMsO7ErUn/mUI3vEoE6Jt13X2s0bqwp9tc8=
github.com/inconshreveable/mousetrap v1.1.0/go.mod h1:vpF70FUmC8bwa3OWnCshd2FqLfsEA9PFc4w1p2J65bw=
`,
	"cmd/tool/m.go":  "package main\n\nimport `github.com/inconshreveable/mousetrap`\n\nfunc main() { println(mousetrap.StartedByExplorer()) }\n",
	"other/other.go": "package other\n",
}

func TestGoBuildsItsMainPackagesAndModules(t *testing.T) {
	needs(t, "go")
	s := open(t, nil)
	repository := commit(t, goTree)
	result, out := s.build(t, repository, nil)
	contains(t, out, "-----> Go app detected", "Procfile declares types -> web")
	if files := s.files(t, result.Image); !strings.HasPrefix(files["app/bin/hello"], "\x7fELF") {
		t.Errorf("no binary among %v", slices.Sorted(maps.Keys(files)))
	}
	if again, _ := s.build(t, repository, nil); again.Image != result.Image {
		t.Error("the same tree is another image")
	}

	// The same app turns to modules and loses its Procfile; its cache stays.
	result, out = s.build(t, commit(t, goTreeWithModule), nil)
	contains(t, out, "Default process types for Go -> web")
	if result.Procfile["web"] != "bin/tool" {
		t.Errorf("%+v", result)
	}

	_, out = s.fail(t, commit(t, map[string]string{"go.mod": "module x\n", "main.go": "package main\n\nfunc main() { undefined() }\n"}), nil)
	contains(t, out, "main.go:3:15: undefined: undefined")
	s.clean(t)
}

func TestNodeInstallsDependenciesOnce(t *testing.T) {
	needs(t, "node", "npm")
	s := open(t, nil)
	repository := example(t, "hello-node")
	result, out := s.build(t, repository, nil)
	contains(t, out, "-----> Node.js app detected", "Running: npm ci", "Default process types for Node.js -> web")
	if files := s.files(t, result.Image); files["app/node_modules/is-number/package.json"] == "" {
		t.Errorf("no dependency among %v", slices.Sorted(maps.Keys(files)))
	}
	started := time.Now()
	again, out := s.build(t, repository, nil)
	t.Logf("second build took %s", time.Since(started))
	contains(t, out, "Dependencies unchanged, restored from the cache")
	if again.Image != result.Image {
		t.Error("the same tree is another image")
	}
	s.clean(t)
}

func TestNodeWithoutAStartScriptSaysSo(t *testing.T) {
	needs(t, "node", "npm")
	_, out := open(t, nil).fail(t, commit(t, map[string]string{"package.json": "{}"}), nil)
	contains(t, out, "package.json has no start script", `Add "scripts"`)
}

func TestPythonUsesTheMachinesPackages(t *testing.T) {
	needs(t, "/usr/bin/python3")
	s := open(t, nil)
	repository := example(t, "hello-flask")
	result, out := s.build(t, repository, nil)
	contains(t, out, "-----> Python app detected", "Every requirement is among this machine's Python packages")
	if files := s.files(t, result.Image); files["app/.venv/bin/python"] != "/usr/bin/python3" {
		t.Errorf("no environment among %v", slices.Sorted(maps.Keys(files)))
	}
	if again, _ := s.build(t, repository, nil); again.Image != result.Image {
		t.Error("the same tree is another image")
	}
}

func TestPythonNamesWhatIsMissing(t *testing.T) {
	needs(t, "/usr/bin/python3")
	user, out := open(t, func(o *options) { o.Env = map[string]string{"PIP_NO_INDEX": "1"} }).fail(t,
		commit(t, map[string]string{"requirements.txt": "flask\nno-such-package-here==1.0\n", "Procfile": "web: true\n"}), nil)
	contains(t, out, "no-such-package-here==1.0 (missing): apt-get install python3-no-such-package-here")
	contains(t, out, "\nBuild pod exited with code 1, stopping build.\n")
	contains(t, user.Error(), "The Python buildpack failed with exit code 1.")
}

func TestAStaticSiteGetsAServer(t *testing.T) {
	s := open(t, nil)
	result, out := s.build(t, example(t, "hello-static"), nil)
	contains(t, out, "-----> Static site app detected", "Default process types for Static site -> web")
	files := s.files(t, result.Image)
	contains(t, files["app/.slipway/static"], "#!/usr/bin/perl")
	if result.Procfile["web"] != "exec /usr/bin/perl .slipway/static" {
		t.Errorf("%+v", result)
	}
}

func TestATreeOfNoKindIsRefusedWithTheCure(t *testing.T) {
	user, out := open(t, nil).fail(t, commit(t, map[string]string{"notes.txt": "x"}), nil)
	contains(t, out, "-----> Unable to select a buildpack\nBuild pod exited with code 1, stopping build.\n")
	contains(t, user.Error(), "Unable to select a buildpack", "Add a Procfile", "BUILDPACK_URL", "go, java, nodejs, php, python, ruby, perl, jar, static, procfile")
}
